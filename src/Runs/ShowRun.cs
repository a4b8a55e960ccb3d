using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// Everything the page of a run says, as of now. Ahead: runs before it in the queue. Checkpoint: whether a restart has one to go on from.
public sealed record RunView(Run Run, TextTask Task, RunRecipe Recipe, SplitChoice Split, BaseModel Model, string LaunchedBy, int Ahead, bool Checkpoint, double? SecondsLeft,
    IReadOnlyList<EvaluationPoint> Evaluations, IReadOnlyList<StepPoint> Steps, IReadOnlyList<RunLogLine> Log)
{
    /// A learning curve has the machine.
    public bool CurveTrains { get; init; }
}

public sealed class ShowRun(IDbContextFactory<StudioDb> databases, ProjectAccess access, TrainerSignals signals, StudioFolder folder)
{
    /// Steps are thinned to what a table can show; the last one is always there.
    public const int MostRows = 40;

    /// Null where the project has no such run.
    [Needs(Permission.ViewProject)]
    public async Task<RunView?> Handle(string projectId, int run, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == projectId && r.Number == run, cancel) is not { } found) return null;
        var split = await (from s in db.Splits where s.Id == found.SplitId join v in db.Versions on s.VersionId equals v.Id select new { s.Number, Version = v.Number, s.CountsJson }).SingleAsync(cancel);
        var model = await db.BaseModels.AsNoTracking().SingleAsync(m => m.Id == found.BaseModelId, cancel);
        var who = await db.Users.Where(u => u.Id == found.LaunchedById).Select(u => u.DisplayName).SingleOrDefaultAsync(cancel);
        var ahead = found.State != RunState.Queued ? 0 : await db.Runs.CountAsync(r => r.State == RunState.Running || r.State == RunState.Queued && (r.QueuedAt < found.QueuedAt || r.QueuedAt == found.QueuedAt && r.Id < found.Id), cancel);
        var evaluations = await db.RunEvaluations.AsNoTracking().Where(e => e.RunId == found.Id).OrderBy(e => e.Step).ToListAsync(cancel);
        var every = Math.Max(1, (found.StepsDone + MostRows - 1) / MostRows);
        var steps = await db.RunSteps.AsNoTracking().Where(s => s.RunId == found.Id && (s.Step % every == 0 || s.Step == 1 || s.Step == found.StepsDone)).OrderBy(s => s.Step)
            .Select(s => new StepPoint(s.Step, s.Epoch, s.TrainLoss, s.LearningRate, s.GradientNorm, s.ExamplesPerSecond, s.MemoryBytes)).ToListAsync(cancel);
        var log = await db.RunLog.AsNoTracking().Where(l => l.RunId == found.Id).OrderByDescending(l => l.Id).Take(200).ToListAsync(cancel);
        log.Reverse();
        return new(found, pass.Project.Task, RunRecipe.FromJson(found.RecipeJson), PlanRun.Choice(split.Number, split.Version, split.CountsJson), model, who ?? "someone who has left",
            ahead, File.Exists(Path.Combine(folder.Run(found.Id), "last", "state.json")), found.State == RunState.Running ? signals.SecondsLeft(found.Id) : null, [.. evaluations.Select(EvaluationPoint.Of)], steps, log) { CurveTrains = signals.CurveTrains };
    }
}
