using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

/// Starts, watches and stops the import of a received file.
public sealed class StartImport(IDbContextFactory<StudioDb> databases, ProjectAccess access, ImportJobs jobs)
{
    public sealed record Status(Import Import, ImportProgress? Progress, int? VersionNumber);

    [Needs(Permission.UploadData)]
    public async Task Handle(string projectId, int importId, FileFormat format, ColumnMapping mapping, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.UploadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (mapping.Faults([.. mapping.Columns.Select(c => c.Name)]) is { Count: > 0 } faults) throw new DataFileException(string.Join(" ", faults));
        var (formatJson, mappingJson) = (format.ToJson(), mapping.ToJson());
        var started = await db.Imports.Where(i => i.Id == importId && i.ProjectId == projectId && (i.State == ImportState.Received || i.State == ImportState.Failed))
            .ExecuteUpdateAsync(s => s.SetProperty(i => i.State, ImportState.Importing).SetProperty(i => i.Problem, (string?)null)
                .SetProperty(i => i.FormatJson, formatJson).SetProperty(i => i.MappingJson, mappingJson), cancel);
        if (started == 0) throw new DataFileException("This file is being imported already, or is not here any more; load the page again.");
        jobs.Enqueue(importId);
    }

    [Needs(Permission.UploadData)]
    public async Task<Status> Watch(string projectId, int importId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.UploadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var import = await db.Imports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == importId && i.ProjectId == projectId, cancel)
            ?? throw new DataFileException($"There is no upload {importId} in this project.");
        var number = await db.Versions.Where(v => v.Id == import.VersionId).Select(v => (int?)v.Number).SingleOrDefaultAsync(cancel);
        return new(import, jobs.Of(importId), number);
    }

    /// Stops a running import; the file stays and can be imported again.
    [Needs(Permission.UploadData)]
    public async Task Cancel(string projectId, int importId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.UploadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (!await db.Imports.AnyAsync(i => i.Id == importId && i.ProjectId == projectId && i.State == ImportState.Importing, cancel)) return;
        // One that still waits for its turn is found changed when the turn comes.
        if (!jobs.Cancel(importId))
            await db.Imports.Where(i => i.Id == importId && i.State == ImportState.Importing).ExecuteUpdateAsync(s => s.SetProperty(i => i.State, ImportState.Received), cancel);
    }
}
