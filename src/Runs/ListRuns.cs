using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

public sealed record RunLine(Run Run, Metric Metric, string BaseModel, int Split, string LaunchedBy, double? LastTrainLoss);

/// The runs, newest first, and what is missing before there can be one.
public sealed record RunList(IReadOnlyList<RunLine> Runs, bool HasSplit, bool HasModel);

public sealed class ListRuns(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    [Needs(Permission.ViewProject)]
    public async Task<RunList> Handle(string projectId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var runs = await (from r in db.Runs.AsNoTracking() where r.ProjectId == projectId
                          join m in db.BaseModels on r.BaseModelId equals m.Id
                          join s in db.Splits on r.SplitId equals s.Id
                          join u in db.Users on r.LaunchedById equals u.Id
                          orderby r.Number descending
                          select new { Run = r, Model = m.Name, Split = s.Number, u.DisplayName,
                              Loss = db.RunSteps.Where(x => x.RunId == r.Id).OrderByDescending(x => x.Step).Select(x => (double?)x.TrainLoss).FirstOrDefault() }).ToListAsync(cancel);
        return new([.. runs.Select(r => new RunLine(r.Run, RunRecipe.FromJson(r.Run.RecipeJson).Metric, r.Model, r.Split, r.DisplayName, r.Loss))],
            await db.Splits.AnyAsync(s => s.ProjectId == projectId, cancel), await db.BaseModels.AnyAsync(m => m.ProjectId == projectId && m.CanTrain, cancel));
    }
}
