using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// A dry run on this machine. The free bytes are those before it.
public sealed record MeasuredStep(DryRunResult Cost, long? FreeMemoryBytes, long FreeDiskBytes)
{
    public bool FitsMemory => FreeMemoryBytes is not { } free || Cost.PeakMemoryBytes <= free;

    public bool FitsDisk => Cost.DiskBytes <= FreeDiskBytes;
}

public sealed class MeasureStep(IDbContextFactory<StudioDb> databases, ProjectAccess access, PlanRun plan, StudioFolder folder, TrainerSignals signals)
{
    internal const string RunTrains = "A run is training on this server, so a step measured now would come out slower than it is; measure when the run is over.";
    internal const string CurveTrains = "A learning curve is being measured on this server, so a step measured now would come out slower than it is; measure when the curve is over or stopped.";
    internal const string AnotherMeasures = "A step is being measured on this server already, and two at once would slow each other down; try again in a few seconds.";
    internal const string RunBegan = "A run began to train, so the measuring was stopped; measure when the run is over.";
    internal const string CurveBegan = "A learning curve began, so the measuring was stopped; measure when the curve is over or stopped.";

    /// Trains a few steps of the recipe and keeps nothing. Throws ArgumentException with the sentence that says why it does not measure.
    [Needs(Permission.LaunchRun)]
    public async Task<MeasuredStep> Handle(string projectId, int split, int model, RunRecipe recipe, Action<double>? progress = null, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        DryRunJob job;
        await using (var db = await databases.CreateDbContextAsync(cancel))
        {
            var frozen = await PlanRun.FindSplit(db, projectId, split, cancel);
            var start = await PlanRun.FindModel(db, projectId, model, cancel);
            if (start.WhyNotFor(pass.Project.Task) is { } unfit) throw new ArgumentException(unfit);
            var facts = await plan.Facts(db, frozen, start, cancel);
            var blocks = PreFlight.Check(recipe, facts).Where(f => f.Severity == Severity.Block).Select(f => f.Sentence).ToList();
            if (blocks.Count > 0) throw new ArgumentException(string.Join(" ", blocks));
            var labels = await TrainingRows.LabelsOf(db, frozen, cancel);
            job = new(recipe, folder.BaseModel(start.StoredAs), labels.Count, facts.TokenLengths, facts.ValidationRows, Task: facts.Task);
        }

        var disk = new DriveInfo(folder.Root).AvailableFreeSpace;
        var (cost, memory) = await OnFreeMachine(signals, (limit, stop) => DryRun.Measure(job with { MemoryLimitBytes = limit }, stop, progress), cancel);
        return new(cost, memory, disk);
    }

    /// Measures while nothing trains, within the memory that is free. Throws ArgumentException with the sentence that says why it does not.
    internal static async Task<(T Measured, long? FreeMemoryBytes)> OnFreeMachine<T>(TrainerSignals signals, Func<long, CancellationToken, T> measure, CancellationToken cancel)
    {
        using var machine = signals.TakeToMeasure(out var trains) ?? throw new ArgumentException(!trains ? AnotherMeasures : signals.CurveTrains ? CurveTrains : RunTrains);
        var memory = FreeMemory.Bytes();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, machine.RunWaits);
        try
        {
            return (await OnItsOwnThread(() => measure(memory ?? long.MaxValue, either.Token)), memory);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested) { throw new ArgumentException(signals.CurveTrains ? CurveBegan : RunBegan); }
        catch (Exception refused) when (refused is TrainingException or WeightFileException or TokenizerFileException) { throw new ArgumentException(refused.Message, refused); }
    }

    /// As the trainer's: the engine's threads inherit its priority, so it takes as long as it will there, and pages go first.
    private static Task<T> OnItsOwnThread<T>(Func<T> measure)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            Trainer.PagesGoFirst();
            try { done.SetResult(measure()); }
            catch (Exception e) { done.SetException(e); }
        }) { IsBackground = true, Name = "dry run" }.Start();
        return done.Task;
    }
}
