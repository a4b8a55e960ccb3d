using System.Text.Json;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.BaseModels;

/// Begins, watches, continues and cancels the download of a model from the hub.
public sealed class ImportFromHub(IDbContextFactory<StudioDb> databases, ProjectAccess access, HubSettings settings, ReadHubModel read, HubDownloads downloads, TimeProvider clock)
{
    public const int MostAtOnce = 5;

    public sealed record Status(HubImport Import, HubProgress? Progress, long Here);

    /// Asks the hub what the model is, and begins to download it. Throws ModelRefused with a sentence.
    [Needs(Permission.ImportBaseModel)]
    public async Task<HubImport> Start(string projectId, NewBaseModel form, HubSource from, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ImportBaseModel, cancel);
        settings.RequireOpen();
        if (Faults(form, from) is { Count: > 0 } faults) throw new ModelRefused(string.Join(" ", faults));
        var model = await read.Of(from, cancel);
        var bytes = model.Files.Sum(f => f.Size);
        settings.RequireRoom(model.Repository, bytes);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var open = await Unfinished(db, projectId).Select(i => new { i.Repository, i.Commit }).ToListAsync(cancel);
        if (open.Any(i => i.Repository == model.Repository && i.Commit == model.Commit)) throw new ModelRefused($"“{model.Repository}” is on its way into this project already; continue or cancel that import.");
        if (open.Count >= MostAtOnce) throw new ModelRefused($"{MostAtOnce} models are on their way into this project; wait for one, or cancel one.");
        var import = new HubImport
        {
            ProjectId = projectId, Name = form.Name.Trim(), Origin = form.Origin!.Value, Hub = settings.Address, Repository = model.Repository, Commit = model.Commit, License = model.License,
            FilesJson = JsonSerializer.Serialize(model.Files), Bytes = bytes, StoredAs = Guid.NewGuid().ToString("N"), NeedsToken = !string.IsNullOrWhiteSpace(from.Token),
            CreatedById = pass.UserId, CreatedAt = clock.GetUtcNow().UtcDateTime,
        };
        db.HubImports.Add(import);
        await db.SaveChangesAsync(cancel);
        downloads.Enqueue(import.Id, Given(from.Token));
        return import;
    }

    /// What the form can say before the hub is asked.
    public static IReadOnlyList<string> Faults(NewBaseModel form, HubSource from) => [.. HubSource.Faults(from), .. ImportBaseModel.Faults(form, saysSource: false)];

    /// Those that are not in the catalogue yet, oldest first.
    [Needs(Permission.ImportBaseModel)]
    public async Task<IReadOnlyList<Status>> List(string projectId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ImportBaseModel, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return [.. (await Unfinished(db, projectId).OrderBy(i => i.Id).ToListAsync(cancel)).Select(i => new Status(i, downloads.Of(i.Id), downloads.Here(i)))];
    }

    /// How one ended, or null where it was cancelled.
    [Needs(Permission.ImportBaseModel)]
    public async Task<HubImport?> Find(string projectId, int id, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ImportBaseModel, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await db.HubImports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id && i.ProjectId == projectId, cancel);
    }

    /// Goes on with an interrupted one, from the bytes that are here.
    [Needs(Permission.ImportBaseModel)]
    public async Task Continue(string projectId, int id, string? token, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ImportBaseModel, cancel);
        settings.RequireOpen();
        if (HubSource.TokenFault(token) is { } fault) throw new ModelRefused(fault);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var import = await db.HubImports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id && i.ProjectId == projectId && i.State == HubImportState.Interrupted, cancel)
            ?? throw new ModelRefused("This import is not interrupted any more; load the page again.");
        if (import.NeedsToken && Given(token) is null) throw new ModelRefused("Give the access token again: the server keeps it nowhere.");
        var needsToken = Given(token) is not null;
        if (await db.HubImports.Where(i => i.Id == id && i.State == HubImportState.Interrupted).ExecuteUpdateAsync(s => s.SetProperty(i => i.State, HubImportState.Downloading)
            .SetProperty(i => i.Problem, (string?)null).SetProperty(i => i.NeedsToken, needsToken), cancel) == 1) downloads.Enqueue(id, Given(token));
    }

    /// Stops it, wherever it is, and takes away what was downloaded.
    [Needs(Permission.ImportBaseModel)]
    public async Task Cancel(string projectId, int id, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ImportBaseModel, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await Unfinished(db, projectId).Where(i => i.Id == id).ExecuteUpdateAsync(s => s.SetProperty(i => i.State, HubImportState.Cancelled), cancel) == 1) await downloads.GiveUp(id, cancel);
    }

    private static IQueryable<HubImport> Unfinished(StudioDb db, string projectId) => db.HubImports.AsNoTracking().Where(i => i.ProjectId == projectId
        && (i.State == HubImportState.Downloading || i.State == HubImportState.Interrupted || i.State == HubImportState.Failed));

    private static string? Given(string? token) => string.IsNullOrWhiteSpace(token) ? null : token.Trim();
}
