using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

/// From is the base model's name; null where it began with new weights. Made is the name of the base model that came of it.
public sealed record PretrainLine(PretrainRun Run, string? From, string? Made, string LaunchedBy);

public sealed class ListPretraining(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    /// Newest first.
    [Needs(Permission.ViewProject)]
    public async Task<IReadOnlyList<PretrainLine>> Handle(string projectId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var runs = await (from r in db.PretrainRuns.AsNoTracking() where r.ProjectId == projectId
                          join u in db.Users on r.LaunchedById equals u.Id
                          orderby r.Number descending
                          select new { Run = r, u.DisplayName, From = db.BaseModels.Where(m => m.Id == r.FromModelId).Select(m => m.Name).FirstOrDefault(),
                              Made = db.BaseModels.Where(m => m.ProjectId == projectId && m.PretrainingNumber == r.Number).Select(m => m.Name).FirstOrDefault() }).ToListAsync(cancel);
        return [.. runs.Select(r => new PretrainLine(r.Run, r.From, r.Made, r.DisplayName))];
    }
}
