using System.Text.Json;

namespace FineTuneStudio.Engine.Tests;

/// <summary>Files that are committed with the repository: reference numbers and the practice model.</summary>
static class Repository
{
    public static string Root { get; } = FindRoot();

    public static string PracticeModel => Path.Combine(Root, "tests", "practice-model");

    public static string Golden(string relative) => Path.Combine(Root, "tests", "FineTuneStudio.Engine.Tests", "Goldens", relative);

    public static JsonElement Json(string path)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.Clone();
    }

    public static JsonElement GoldenJson(string relative) => Json(Golden(relative));

    static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "FineTuneStudio.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new DirectoryNotFoundException($"No folder above {AppContext.BaseDirectory} has FineTuneStudio.sln.");
    }
}
