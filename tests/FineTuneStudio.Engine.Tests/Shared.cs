using System.Text.Json;

namespace FineTuneStudio.Engine.Tests;

/// <summary>The folder of reference numbers and data beside the repository. Without it a test says so and passes, but not on CI.</summary>
static class Shared
{
    public static string? Find(string relative)
    {
        string? root = Environment.GetEnvironmentVariable("FTS_SHARED");
        if (root is null)
        {
            DirectoryInfo? folder = new(AppContext.BaseDirectory);
            while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "FineTuneStudio.sln"))) folder = folder.Parent;
            root = folder is null ? "shared" : Path.Combine(folder.FullName, "..", "shared");
        }
        string path = Path.GetFullPath(Path.Combine(root, relative));
        if (Path.Exists(path)) return path;
        if (Environment.GetEnvironmentVariable("CI") == "true") Assert.Fail($"{path} is missing; on CI it must be there.");
        Console.WriteLine($"Skipped: {path} is missing (set FTS_SHARED to the shared folder).");
        return null;
    }

    public static JsonElement Json(string path)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.Clone();
    }
}

/// <summary>A folder for one test, deleted afterwards.</summary>
sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("fts-engine-").FullName;
    public string File(string name) => System.IO.Path.Combine(Path, name);
    public void Dispose() => Directory.Delete(Path, recursive: true);
}
