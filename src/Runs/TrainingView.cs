using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// What the page of any training says, as of now. Metrics: those of its evaluations, the one to look at first ahead. Ahead: what is before it in the queue.
/// Checkpoint: whether a restart has one to go on from.
public record TrainingView(TrainingRun Of, RunRecipe Recipe, IReadOnlyList<Metric> Metrics, string LaunchedBy, int Ahead, bool Checkpoint, double? SecondsLeft,
    IReadOnlyList<EvaluationPoint> Evaluations, IReadOnlyList<StepPoint> Steps, IReadOnlyList<RunLogLine> Log)
{
    /// Steps are thinned to what a table can show; the last one is always there.
    public const int MostRows = 40;

    /// A learning curve has the machine.
    public bool CurveTrains { get; init; }

    internal static async Task<TrainingView> Read(StudioDb db, TrainingRun found, IReadOnlyList<Metric> metrics, TrainerSignals signals, StudioFolder folder, CancellationToken cancel)
    {
        var who = await db.Users.Where(u => u.Id == found.LaunchedById).Select(u => u.DisplayName).SingleOrDefaultAsync(cancel);
        var ahead = found.State != RunState.Queued ? 0 : await db.TrainingRuns.CountAsync(r => r.State == RunState.Running || r.State == RunState.Queued && (r.QueuedAt < found.QueuedAt || r.QueuedAt == found.QueuedAt && r.Id < found.Id), cancel);
        var evaluations = await db.RunEvaluations.AsNoTracking().Where(e => e.RunId == found.Id).OrderBy(e => e.Step).ToListAsync(cancel);
        var every = Math.Max(1, (found.StepsDone + MostRows - 1) / MostRows);
        var steps = await db.RunSteps.AsNoTracking().Where(s => s.RunId == found.Id && (s.Step % every == 0 || s.Step == 1 || s.Step == found.StepsDone)).OrderBy(s => s.Step)
            .Select(s => new StepPoint(s.Step, s.Epoch, s.TrainLoss, s.LearningRate, s.GradientNorm, s.ExamplesPerSecond, s.MemoryBytes)).ToListAsync(cancel);
        var log = await db.RunLog.AsNoTracking().Where(l => l.RunId == found.Id).OrderByDescending(l => l.Id).Take(200).ToListAsync(cancel);
        log.Reverse();
        var recipe = RunRecipe.FromJson(found.RecipeJson);
        return new(found, recipe, [.. metrics.OrderBy(m => m != recipe.Metric)], who ?? "someone who has left", ahead, folder.HasCheckpoint(found.Id),
            found.State == RunState.Running ? signals.SecondsLeft(found.Id) : null, [.. evaluations.Select(EvaluationPoint.Of)], steps, log) { CurveTrains = signals.CurveTrains };
    }
}
