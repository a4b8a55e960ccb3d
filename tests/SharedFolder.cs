namespace FineTuneStudio;

/// <summary>Real data, reference numbers and weights that are not part of the repository: beside it, or where FTS_SHARED says. Compiled into each test project.</summary>
internal static class Shared
{
    /// <summary>The path of a file or folder. Where it is missing the test is reported as skipped, with the reason; on a build server it fails.</summary>
    public static string Find(string relative)
    {
        var root = Environment.GetEnvironmentVariable("FTS_SHARED");
        for (var up = new DirectoryInfo(AppContext.BaseDirectory); string.IsNullOrEmpty(root) && up is not null; up = up.Parent)
            if (File.Exists(Path.Combine(up.FullName, "FineTuneStudio.sln"))) root = Path.Combine(up.FullName, "..", "shared");
        var path = Path.GetFullPath(Path.Combine(root ?? "shared", relative));
        if (Path.Exists(path)) return path;
        if (Environment.GetEnvironmentVariable("CI") == "true") Assert.Fail($"{relative} is missing in the shared folder; set FTS_SHARED.");
        throw new SkipException($"{relative} is missing in the shared folder; set FTS_SHARED to where it is.");
    }
}
