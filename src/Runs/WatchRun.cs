using FineTuneStudio.Accounts;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

public sealed class WatchRun(IDbContextFactory<StudioDb> databases, ProjectAccess access, RunWatchers watchers, CurrentUser user)
{
    /// More points than a chart has pixels help nobody.
    public const int MostPoints = 2000;

    /// Begins to watch and answers with everything since a step. First the watcher, then the reading: a point may come twice, never not at all.
    [Needs(Permission.ViewProject)]
    public async Task<RunUpdate> Handle(string projectId, string kind, int run, string connection, int sinceStep, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var found = await db.TrainingRuns.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == projectId && r.Kind == kind && r.Number == run, cancel)
            ?? throw new ArgumentException($"There is no run {run} in this project.");
        watchers.Add(connection, new(projectId, found.Id, pass.UserId, user.SecurityStamp));

        var all = db.RunSteps.AsNoTracking().Where(s => s.RunId == found.Id && s.Step > sinceStep);
        var last = await all.MaxAsync(s => (int?)s.Step, cancel) ?? 0;
        var every = Math.Max(1, (await all.CountAsync(cancel) + MostPoints - 1) / MostPoints);
        var steps = await all.Where(s => s.Step % every == 0 || s.Step == last).OrderBy(s => s.Step)
            .Select(s => new StepPoint(s.Step, s.Epoch, s.TrainLoss, s.LearningRate, s.GradientNorm, s.ExamplesPerSecond, s.MemoryBytes)).ToListAsync(cancel);
        var evaluations = await db.RunEvaluations.AsNoTracking().Where(e => e.RunId == found.Id && e.Step > sinceStep).OrderBy(e => e.Step).ToListAsync(cancel);
        return new RunUpdate(null, steps, [.. evaluations.Select(EvaluationPoint.Of)], found.State.ToString(), found.StepsDone, found.TotalSteps);
    }

    internal void Forget(string connection) => watchers.Remove(connection);
}
