namespace FineTuneStudio.Tests;

/// Real data and weights that are not part of the repository: beside it, or where FTS_SHARED says.
public static class Shared
{
    /// Null where it is missing, which is a reason to skip; under CI it is a fault.
    public static string? Find(params string[] path)
    {
        var root = Environment.GetEnvironmentVariable("FTS_SHARED") is { Length: > 0 } named ? named : Path.Combine(ContentRoot.Find([]), "..", "shared");
        var found = Path.GetFullPath(Path.Combine([root, .. path]));
        if (File.Exists(found) || Directory.Exists(found)) return found;
        if (Environment.GetEnvironmentVariable("CI") == "true") Assert.Fail($"{string.Join('/', path)} is missing in the shared folder; set FTS_SHARED.");
        Console.WriteLine($"skipped: {string.Join('/', path)} is not here; set FTS_SHARED to the folder that holds it");
        return null;
    }
}
