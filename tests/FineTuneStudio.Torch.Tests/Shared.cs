namespace FineTuneStudio.Torch.Tests;

/// <summary>The shared folder with goldens and references, where there is one.</summary>
internal static class Shared
{
    /// <summary>The path of a shared file, or null with the reason printed; on a build server its absence is an error.</summary>
    internal static string? File(string relative)
    {
        var root = Environment.GetEnvironmentVariable("FTS_SHARED");
        for (var d = new DirectoryInfo(AppContext.BaseDirectory); root is null && d is not null; d = d.Parent)
            if (System.IO.File.Exists(Path.Combine(d.FullName, "FineTuneStudio.sln"))) root = Path.Combine(d.FullName, "..", "shared");
        var path = Path.Combine(root ?? "", relative);
        if (System.IO.File.Exists(path)) return path;
        if (Environment.GetEnvironmentVariable("CI") == "true") throw new FileNotFoundException($"{path} is missing; set FTS_SHARED to the shared folder.");
        Console.WriteLine($"Skipped: {path} is missing; set FTS_SHARED to the shared folder.");
        return null;
    }
}
