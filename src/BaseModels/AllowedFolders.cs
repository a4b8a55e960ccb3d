namespace FineTuneStudio.BaseModels;

/// The folders of this server from which models may be imported: BaseModels:AllowedFolders. An empty list allows nothing.
public sealed class AllowedFolders(IConfiguration configuration, IHostEnvironment environment)
{
    internal IReadOnlyList<string> List => [.. (configuration.GetSection("BaseModels:AllowedFolders").Get<string[]>() ?? [])
        .Where(f => f.Length > 0).Select(f => Path.GetFullPath(f, environment.ContentRootPath))];

    /// The true place of a path, every symbolic link on the way followed; refused where it lies outside of the list.
    internal string Resolve(string path)
    {
        if (List.Count == 0) throw new ModelRefused("No folder of this server is open for imports. An administrator can list some under BaseModels:AllowedFolders in appsettings.json.");
        if (!Path.IsPathFullyQualified(path)) throw new ModelRefused($"“{path}” is not a full path; write it from the root, such as {List[0]}/my-model.");
        var place = True(Path.GetFullPath(path));
        if (place is null || !List.Select(f => True(f)).Any(f => f is not null && (place == f || place.StartsWith(f.TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar, StringComparison.Ordinal))))
            throw new ModelRefused($"“{path}” is not a folder inside those that are open for imports ({string.Join(", ", List)}).");
        return place;
    }

    private static string? True(string path)
    {
        var at = Path.GetPathRoot(path)!;
        foreach (var part in path[at.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
        {
            at = Path.Combine(at, part);
            FileSystemInfo here = Directory.Exists(at) ? new DirectoryInfo(at) : new FileInfo(at);
            if (!here.Exists) return null;
            if (here.LinkTarget is null) continue;
            try { if (here.ResolveLinkTarget(returnFinalTarget: true) is not { Exists: true } target || True(target.FullName) is not { } there) return null; else at = there; }
            catch (IOException) { return null; }
        }
        return at;
    }
}
