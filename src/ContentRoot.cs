namespace FineTuneStudio;

/// Where appsettings.json and wwwroot are: an explicit --contentRoot, else beside the published app, else the repository above the build output.
public static class ContentRoot
{
    public static string Find(string[] args)
    {
        if (args.FirstOrDefault(a => a.StartsWith("--contentRoot=", StringComparison.OrdinalIgnoreCase)) is { } given)
            return given["--contentRoot=".Length..];
        var at = AppContext.BaseDirectory;
        if (File.Exists(Path.Combine(at, "appsettings.json")) && Directory.Exists(Path.Combine(at, "wwwroot"))) return at;
        for (var up = new DirectoryInfo(at); up is not null; up = up.Parent)
            if (File.Exists(Path.Combine(up.FullName, "FineTuneStudio.sln"))) return up.FullName;
        return Directory.GetCurrentDirectory();
    }
}
