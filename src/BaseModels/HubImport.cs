using System.Text.Json;

namespace FineTuneStudio.BaseModels;

public enum HubImportState { Downloading, Interrupted, Failed, Cancelled, Imported }

/// A model on its way from the hub into the catalogue. Its files are gathered below the uploads, and a cut download goes on from there.
public sealed class HubImport
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    /// What it will be called in the catalogue.
    public required string Name { get; init; }
    public required ModelOrigin Origin { get; init; }
    /// The hub's address when it was asked; no other one is asked for the rest.
    public required string Hub { get; init; }
    public required string Repository { get; init; }
    public required string Commit { get; init; }
    public string? License { get; init; }
    /// What is downloaded, as the hub listed it: see Files.
    public required string FilesJson { get; init; }
    public required long Bytes { get; init; }
    /// Folder name below the uploads.
    public required string StoredAs { get; init; }
    /// A token was given. It is held in memory until the download ends and is never written anywhere.
    public required bool NeedsToken { get; set; }
    public HubImportState State { get; set; }
    public string? Problem { get; set; }
    public int? BaseModelId { get; set; }
    public required string CreatedById { get; init; }
    public required DateTime CreatedAt { get; init; }

    /// Where the catalogue says that the model comes from.
    public string Source => $"{new Uri(Hub).Authority} {Repository}@{Commit}";

    public IReadOnlyList<HubFile> Files() => JsonSerializer.Deserialize<List<HubFile>>(FilesJson)!;
}

/// One file as the hub lists it. Hash is the SHA-256 of a large file, or the name of a small one in git: SHA-1 over "blob", its length, NUL, its bytes.
public sealed record HubFile(string Name, long Size, string Hash)
{
    /// Large files are kept in a store of their own, which the hub sends us to.
    public bool IsLarge => Hash.Length == 64;
}
