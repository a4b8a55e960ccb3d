using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

/// The versions of a project's data, newest first, and the files that are not a version yet.
public sealed class ListVersions(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public sealed record Line(DatasetVersion Version, int Labels, int? ParentNumber, string By);

    public sealed record Answer(IReadOnlyList<Line> Versions, IReadOnlyList<Import> Pending);

    [Needs(Permission.ViewProject)]
    public async Task<Answer> Handle(string projectId, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var versions = await db.Versions.AsNoTracking().Where(v => v.ProjectId == projectId).OrderByDescending(v => v.Number).ToListAsync(cancel);
        var people = versions.Select(v => v.CreatedById).Distinct().ToList();
        var names = await db.Users.Where(u => people.Contains(u.Id)).ToDictionaryAsync(u => u.Id, u => u.DisplayName, cancel);
        var pending = pass.May(Permission.UploadData)
            ? await db.Imports.AsNoTracking().Where(i => i.ProjectId == projectId && i.State != ImportState.Imported && i.State != ImportState.Cancelled).OrderByDescending(i => i.Id).ToListAsync(cancel)
            : [];
        return new([.. versions.Select(v => new Line(v, LabelCount.FromJson(v.LabelsJson).Count, versions.Find(p => p.Id == v.ParentId)?.Number, names.GetValueOrDefault(v.CreatedById, "someone who left")))], pending);
    }
}
