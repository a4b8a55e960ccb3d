using System.Threading.Channels;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// Takes what the engine reports, writes it to the tables in small batches, and only then sends it to those who watch:
/// what a person has seen is never lost. One journal a stretch of training; after a restart it replaces what lies beyond the checkpoint.
internal sealed class RunJournal : IDisposable
{
    private static readonly TimeSpan Batch = TimeSpan.FromMilliseconds(150);
    private readonly int runId;
    private readonly IDbContextFactory<StudioDb> databases;
    private readonly TrainerSignals signals;
    private readonly RunWatchers watchers;
    private readonly TimeProvider clock;
    private readonly TimeSpan patience;
    private readonly ILogger log;
    private readonly CancellationToken stopping;
    private readonly Lock buffer = new(), writing = new();
    private readonly Channel<RunUpdate> outbox = Channel.CreateUnbounded<RunUpdate>();
    private readonly ITimer timer;
    private readonly Task sender;
    private List<TrainingEvent> events = [];
    private bool begun;
    private Exception? failure;
    private long? waitingSince;

    public RunJournal(int runId, IDbContextFactory<StudioDb> databases, TrainerSignals signals, RunWatchers watchers, TimeProvider clock, TimeSpan patience, ILogger log, CancellationToken stopping)
    {
        (this.runId, this.databases, this.signals, this.watchers, this.clock, this.patience, this.log, this.stopping) = (runId, databases, signals, watchers, clock, patience, log, stopping);
        timer = clock.CreateTimer(_ => { if (writing.TryEnter()) try { WriteGuarded(); } finally { writing.Exit(); } }, null, Batch, Batch);
        sender = Task.Run(SendAll);
    }

    public void Take(TrainingEvent happened)
    {
        ThrowIfLost();
        if (happened is StepDone step) signals.Expect(runId, step.SecondsLeft);
        lock (buffer) events.Add(happened);
        // Before a checkpoint can be on disk its steps are in the tables, so that a restart leaves no gap.
        if (happened is EvaluationDone or CheckpointSaved) Write();
    }

    /// Training waits here while the database cannot be written, until it can, or patience ends, or the server stops.
    public void Write()
    {
        while (true)
        {
            lock (writing)
            {
                WriteGuarded();
                if (waitingSince is null || failure is not null) return;
            }
            if (stopping.WaitHandle.WaitOne(DatabaseWaits.Pause)) return;
        }
    }

    /// Writes what is left; throws where anything could not be written.
    public void Close()
    {
        Write();
        ThrowIfLost();
        if (waitingSince is not null) stopping.ThrowIfCancellationRequested();
    }

    public void Dispose()
    {
        timer.Dispose();
        lock (writing) WriteGuarded();
        outbox.Writer.TryComplete();
        sender.Wait(TimeSpan.FromSeconds(5));
    }

    private void ThrowIfLost()
    {
        if (failure is not null) throw new IOException($"The run's numbers could not be written to the database: {failure.Message}", failure);
    }

    private void WriteGuarded()
    {
        List<TrainingEvent> batch;
        lock (buffer) { batch = events; events = []; }
        if (batch.Count == 0) return;
        try
        {
            outbox.Writer.TryWrite(Persist(batch));
            waitingSince = null;
        }
        catch (Exception e) when (DatabaseWaits.MayPass(e))
        {
            lock (buffer) events.InsertRange(0, batch);
            if (waitingSince is null) log.LogWarning(e, "The numbers of run {Id} cannot be written at the moment; they are kept and tried again", runId);
            waitingSince ??= clock.GetTimestamp();
            if (clock.GetElapsedTime(waitingSince.Value) > patience) failure = e;
        }
        catch (Exception e) { failure = e; }
    }

    private RunUpdate Persist(List<TrainingEvent> batch)
    {
        var now = clock.GetUtcNow().UtcDateTime;
        using var db = databases.CreateDbContext();
        using var all = db.Database.BeginTransaction();
        var (begins, rewound) = begun ? (false, null) : Rewind(db, batch);
        var steps = batch.OfType<StepDone>().Select(s => new RunStep
        {
            RunId = runId, Step = s.Step, Epoch = s.Epoch, TrainLoss = s.TrainLoss, LearningRate = s.LearningRate,
            GradientNorm = s.GradientNorm, ExamplesPerSecond = s.ExamplesPerSecond, MemoryBytes = s.MemoryBytes,
        }).ToList();
        var evaluations = batch.OfType<EvaluationDone>().Select(e => new RunEvaluation
        {
            RunId = runId, Step = e.Step, Epoch = e.Epoch, ValidationLoss = e.ValidationLoss, ScoresJson = RunEvaluation.ToJson(e.Scores),
            TrainSampleLoss = e.TrainSampleLoss, TrainSampleMetric = e.TrainSampleMetric, IsBest = e.IsBest,
        }).ToList();
        db.RunSteps.AddRange(steps);
        db.RunEvaluations.AddRange(evaluations);
        db.RunLog.AddRange(batch.SelectMany(Sentences).Select(text => new RunLogLine { RunId = runId, At = now, Text = text }));
        var run = db.TrainingRuns.Single(r => r.Id == runId);
        if (batch.OfType<StepDone>().LastOrDefault() is { } last) (run.StepsDone, run.TotalSteps) = (last.Step, last.TotalSteps);
        if (batch.OfType<WeightsLoaded>().LastOrDefault() is { } loaded) run.BackboneShare = loaded.Report.BackboneShare;
        if (evaluations.LastOrDefault(e => e.IsBest) is { } best)
            (run.BestStep, run.BestMetric) = (best.Step, best[RunRecipe.FromJson(run.RecipeJson).Metric]);
        db.SaveChanges();
        all.Commit();
        begun |= begins;
        return new RunUpdate(rewound,
            [.. steps.Select(s => new StepPoint(s.Step, s.Epoch, s.TrainLoss, s.LearningRate, s.GradientNorm, s.ExamplesPerSecond, s.MemoryBytes))],
            [.. evaluations.Select(EvaluationPoint.Of)],
            run.State.ToString(), run.StepsDone, run.TotalSteps);
    }

    /// The first step of this stretch says where it goes on from: later numbers of an earlier stretch are replaced, not doubled.
    private (bool Begins, int? To) Rewind(StudioDb db, List<TrainingEvent> batch)
    {
        var step = batch.OfType<StepDone>().FirstOrDefault()?.Step;
        var evaluation = batch.OfType<EvaluationDone>().FirstOrDefault()?.Step;
        if (step is null && evaluation is null) return (false, null);
        var from = step is { } s ? s : evaluation!.Value + 1;
        var steps = db.RunSteps.Where(x => x.RunId == runId && x.Step >= from).ExecuteDelete();
        var evaluations = db.RunEvaluations.Where(x => x.RunId == runId && x.Step >= Math.Min(from, evaluation ?? from)).ExecuteDelete();
        return (true, steps + evaluations > 0 ? from : null);
    }

    private static IEnumerable<string> Sentences(TrainingEvent happened)
    {
        switch (happened)
        {
            case LogLine line: yield return line.Text; break;
            case CheckpointSaved { Best: true } saved: yield return $"Step {Say.Count(saved.Step)}: the best checkpoint so far is on disk."; break;
            case EvaluationDone e:
                yield return $"Step {Say.Count(e.Step)}: validation loss {Say.Number(e.ValidationLoss)}, {string.Join(", ", e.Scores.Select(s => $"{s.Key.Name()} {Say.Number(s.Value)}"))}; loss on a sample of the train rows {Say.Number(e.TrainSampleLoss)}."; break;
            case WeightsLoaded loaded:
                var report = loaded.Report;
                yield return $"{Say.Percent(report.BackboneShare)} of the backbone loaded from the file ({Say.Count(report.MatchedBackboneElements)} of {Say.Count(report.BackboneElements)} numbers); {Say.Count(loaded.TrainableParameters)} of {Say.Count(loaded.TotalParameters)} parameters train.";
                if (report.Missing.Count > 0) yield return $"Not in the file, initialised anew: {string.Join(", ", report.Missing)}.";
                if (report.Reshaped.Count > 0) yield return $"Of another shape in the file, initialised anew: {string.Join(", ", report.Reshaped)}.";
                if (report.Unexpected.Count > 0) yield return $"In the file but without a place in this model: {string.Join(", ", report.Unexpected)}.";
                break;
        }
    }

    /// At most about seven messages a second, whatever the speed of the steps.
    private async Task SendAll()
    {
        while (await outbox.Reader.WaitToReadAsync())
        {
            var updates = new List<RunUpdate>();
            while (outbox.Reader.TryRead(out var update)) updates.Add(update);
            var last = updates[^1];
            await watchers.Send(runId, last with
            {
                RewoundTo = updates.Select(u => u.RewoundTo).FirstOrDefault(r => r is not null),
                Steps = [.. updates.SelectMany(u => u.Steps)], Evaluations = [.. updates.SelectMany(u => u.Evaluations)],
            });
            await Task.WhenAny(Task.Delay(140), outbox.Reader.Completion);
        }
    }
}
