using System.Text.RegularExpressions;

namespace FineTuneStudio.BaseModels;

/// Which model of the hub, as the importer wrote it. A class, so that no log prints the token with it.
public sealed partial class HubSource
{
    public string Repository { get; set; } = "";
    public string Revision { get; set; } = "main";
    public string? Token { get; set; }

    /// One sentence for each field that cannot be taken. What passes cannot lead to another address than the one of its model.
    public static IReadOnlyList<string> Faults(HubSource from)
    {
        var faults = new List<string>();
        if (!IsRepository(from.Repository.Trim()))
            faults.Add(from.Repository.Trim().Length == 0 ? "Name the model on the hub, such as owner/name."
                : $"“{Short(from.Repository.Trim())}” is not the name of a model on a hub. Write owner/name as on the model's page, without the address: letters, digits, “-”, “_” and “.”, at most 96 of them each.");
        if (from.Revision.Trim() is var revision && (!Revisions().IsMatch(revision) || revision.Contains("..")))
            faults.Add($"“{Short(revision)}” is not a revision. Give a branch, a tag or a commit, such as main: letters, digits, “-”, “_”, “.” and “/”.");
        if (TokenFault(from.Token) is { } fault) faults.Add(fault);
        return faults;
    }

    /// The hub's own rules for names of models.
    internal static bool IsRepository(string name) => Repositories().IsMatch(name) && !name.Contains("..") && !name.Contains("--") && !name.EndsWith(".git", StringComparison.Ordinal);

    internal static string? TokenFault(string? token) => string.IsNullOrWhiteSpace(token) || token.Trim() is { Length: <= 500 } t && t.All(c => c is > ' ' and < '\u007f') ? null
        : "The access token has characters that no token has; copy it again from the hub's settings.";

    private static string Short(string text) => text.Length <= 80 ? text : text[..80] + "…";

    [GeneratedRegex(@"\A(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?/)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?\z")]
    private static partial Regex Repositories();

    [GeneratedRegex(@"\A[A-Za-z0-9_](?:[A-Za-z0-9_./-]{0,198}[A-Za-z0-9_-])?\z")]
    private static partial Regex Revisions();
}
