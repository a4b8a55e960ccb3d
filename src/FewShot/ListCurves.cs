using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.FewShot;

public sealed record CurveLine(LearningCurveRun Curve, int PointsDone, string BaseModel, int Split, string StartedBy);

public sealed class ListCurves(IDbContextFactory<StudioDb> databases, ProjectAccess access, CurveSignals signals)
{
    /// Newest first.
    [Needs(Permission.ViewProject)]
    public async Task<IReadOnlyList<CurveLine>> Handle(string projectId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var curves = await (from c in db.LearningCurves.AsNoTracking() where c.ProjectId == projectId
                            join m in db.BaseModels on c.BaseModelId equals m.Id
                            join s in db.Splits on c.SplitId equals s.Id
                            join u in db.Users on c.StartedById equals u.Id
                            orderby c.Number descending
                            select new { Curve = c, Model = m.Name, Split = s.Number, u.DisplayName }).ToListAsync(cancel);
        return [.. curves.Select(c => new CurveLine(c.Curve, signals.Standing(c.Curve.Id)?.PointsDone ?? c.Curve.PointsDone, c.Model, c.Split, c.DisplayName))];
    }
}
