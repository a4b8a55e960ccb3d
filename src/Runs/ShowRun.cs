using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// Everything the page of a run says, as of now.
public sealed record RunView(TrainingView All, Run Run, TextTask Task, SplitChoice Split, BaseModel Model) : TrainingView(All);

public sealed class ShowRun(IDbContextFactory<StudioDb> databases, ProjectAccess access, TrainerSignals signals, StudioFolder folder)
{
    /// Null where the project has no such run.
    [Needs(Permission.ViewProject)]
    public async Task<RunView?> Handle(string projectId, int run, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == projectId && r.Number == run, cancel) is not { } found) return null;
        var split = await (from s in db.Splits where s.Id == found.SplitId join v in db.Versions on s.VersionId equals v.Id select new { s.Number, Version = v.Number, s.CountsJson }).SingleAsync(cancel);
        var model = await db.BaseModels.AsNoTracking().SingleAsync(m => m.Id == found.BaseModelId, cancel);
        return new(await TrainingView.Read(db, found, pass.Project.Task.Metrics(), signals, folder, cancel), found, pass.Project.Task, PlanRun.Choice(split.Number, split.Version, split.CountsJson), model);
    }
}
