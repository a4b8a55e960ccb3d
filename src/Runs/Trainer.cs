using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Projects;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// Trains queued runs of every kind, one at a time, on a thread of its own. A run that was under way when the server stopped, however it stopped,
/// is interrupted: it goes on from its last checkpoint when a person says so.
public sealed class Trainer(IDbContextFactory<StudioDb> databases, IEnumerable<TrainingKind> kinds, TrainerSignals signals, RunWatchers watchers,
    TimeProvider clock, DatabaseWaits waits, ProjectNews news, ILogger<Trainer> log) : BackgroundService
{
    /// False while the tables may say of a run that it trains although no thread does.
    private bool swept;

    public override async Task StartAsync(CancellationToken cancel)
    {
        // Pages come up even where the database takes no writing now; the trainer's thread then sweeps later.
        try { Sweep(null, run => $"The server stopped at step {Ui.Say.Count(run.StepsDone)}; the run is interrupted."); }
        catch (Exception e) when (DatabaseWaits.MayPass(e)) { log.LogWarning(e, "The runs that the last stop of the server cut off cannot be marked yet"); }
        await base.StartAsync(cancel);
    }

    internal void Sweep(string? why, Func<TrainingRun, string> said)
    {
        using var db = databases.CreateDbContext();
        var ended = new List<TrainingRun>();
        foreach (var run in db.TrainingRuns.Where(r => r.State == RunState.Running).ToList())
        {
            if (KindOf(run).Made(db, run) is { } made)
            {
                EndAsMade(db, run, made, clock.GetUtcNow().UtcDateTime);
                ended.Add(run);
                continue;
            }
            run.Interrupt(why);
            Say(db, run, said(run));
        }
        db.SaveChanges();
        swept = true;
        foreach (var run in ended) KindOf(run).Clear(run.Id, run.State);
    }

    private TrainingKind KindOf(TrainingRun run) => kinds.Single(k => k.Kind == run.Kind);

    /// For a run that was cut off after its model had come into the catalogue.
    internal static void EndAsMade(StudioDb db, TrainingRun run, BaseModel made, DateTime at)
    {
        run.EndWith(made.WeightsHash, at);
        db.RunLog.Add(new RunLogLine { RunId = run.Id, At = at, Text = $"It had come to its end when the server stopped: “{made.Name}” is a base model of the project." });
    }

    protected override Task ExecuteAsync(CancellationToken stopping)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => { try { Work(stopping); } finally { done.SetResult(); } }) { IsBackground = true, Name = "trainer" }.Start();
        return done.Task;
    }

    private void Work(CancellationToken stopping)
    {
        PagesGoFirst();
        while (!stopping.IsCancellationRequested)
            try
            {
                if (!swept) Sweep("The trainer had lost it.", run => $"No thread trained the run any more at step {Ui.Say.Count(run.StepsDone)}; it is interrupted.");
                int? next;
                using (var db = databases.CreateDbContext())
                    next = db.TrainingRuns.Where(r => r.State == RunState.Queued).OrderBy(r => r.QueuedAt).ThenBy(r => r.Id).Select(r => (int?)r.Id).FirstOrDefault();
                if (next is { } id)
                {
                    using var machine = signals.TakeToTrain(stopping);
                    swept = false;
                    Train(id, stopping);
                    swept = true;
                }
                else signals.WaitForWork(stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested) { }
            catch (Exception e)
            {
                log.LogError(e, "The trainer could not take the next run");
                stopping.WaitHandle.WaitOne(TimeSpan.FromSeconds(5));
            }
    }

    /// Lowers this thread. On Linux by the thread's own nice value, which the engine's threads inherit; .NET's priorities do nothing there.
    internal static void PagesGoFirst()
    {
        if (OperatingSystem.IsLinux()) SetPriority(0, 0, 5); else Thread.CurrentThread.Priority = ThreadPriority.BelowNormal;
    }

    private void Train(int id, CancellationToken stopping)
    {
        bool resume;
        TrainingKind kind;
        Func<Stretch, FineTuneResult> train;
        using (var db = databases.CreateDbContext())
        {
            var run = db.TrainingRuns.Single(r => r.Id == id);
            // Cancelled while it waited for the machine.
            if (run.State != RunState.Queued) return;
            (resume, kind) = (run.StartedAt is not null, KindOf(run));
            if (kind.Made(db, run) is { } made)
            {
                EndAsMade(db, run, made, clock.GetUtcNow().UtcDateTime);
                try { db.SaveChanges(); } catch (DbUpdateConcurrencyException) { return; }
                news.Tell(run.ProjectId);
                kind.Clear(id, run.State);
                return;
            }
            signals.Ask(id, run.Asked switch { "stop" => StopRequest.Stop, "cancel" => StopRequest.Cancel, _ => StopRequest.None });
            run.Start(clock.GetUtcNow().UtcDateTime);
            try { db.SaveChanges(); } catch (DbUpdateConcurrencyException) { return; }
            news.Tell(run.ProjectId);
            try { train = kind.Prepare(db, run); }
            catch (Exception e) { Fail(id, kind, e, stopping); return; }
        }
        try
        {
            FineTuneResult result;
            using (var journal = new RunJournal(id, databases, signals, watchers, clock, waits.Patience, log, stopping))
            {
                result = train(new(id, journal.Take, () => signals.Asked(id), resume, stopping));
                journal.Close();
            }
            Finish(id, kind, result, stopping);
        }
        catch (Exception) when (stopping.IsCancellationRequested)
        {
            End(id, stopping, run => run.Interrupt(), "The server is shutting down; the run is interrupted and can be restarted from its last checkpoint.");
        }
        catch (Exception e) { Fail(id, kind, e, stopping); }
    }

    /// A run and its report name the hash that the base model was imported with: it must be that of the weights that are trained.
    internal static void RequireAsImported(StudioFolder folder, BaseModel model, string then)
    {
        if (ModelWeights.Sha256(folder.BaseModel(model.StoredAs)) is var found && found != model.WeightsHash)
            throw new WeightFileException($"The weights of the base model “{model.Name}” are not those that were imported: their SHA-256 begins with {found[..12]}, at the import it began with {model.WeightsHash[..12]}. Import the model again and {then}.");
    }

    private void Finish(int id, TrainingKind kind, FineTuneResult result, CancellationToken stopping)
    {
        var cancelled = result.Outcome == FineTuneOutcome.Cancelled;
        var hash = !cancelled && result.BestFolder is { } best ? HashOf(Path.Combine(best, "model.safetensors")) : null;
        var said = result.Outcome switch
        {
            FineTuneOutcome.Cancelled => "Cancelled; no checkpoint was kept.",
            FineTuneOutcome.StoppedByPerson when hash is null => "Stopped before the first checkpoint; there is no model.",
            FineTuneOutcome.StoppedByPerson => $"Stopped; the best checkpoint, of step {Ui.Say.Count(result.BestStep)}, is kept.",
            FineTuneOutcome.StoppedEarly => $"Early stopping ended the run; the best checkpoint is of step {Ui.Say.Count(result.BestStep)}.",
            _ => $"Finished; the best checkpoint is of step {Ui.Say.Count(result.BestStep)}.",
        } + (hash is null ? "" : kind.Keep(id, result));
        var state = result.Outcome switch
        {
            FineTuneOutcome.Cancelled => RunState.Cancelled,
            FineTuneOutcome.StoppedByPerson => RunState.StoppedByPerson,
            _ => RunState.Finished,
        };
        End(id, stopping, run =>
        {
            run.StepsDone = result.StepsDone;
            run.BestStep = hash is null ? null : result.BestStep;
            run.BestMetric = hash is null || double.IsNaN(result.BestMetric) ? null : result.BestMetric;
            run.WeightsHash = hash;
            run.End(state, clock.GetUtcNow().UtcDateTime);
        }, said, tell: true);
        kind.Clear(id, state);
    }

    private void Fail(int id, TrainingKind kind, Exception e, CancellationToken stopping)
    {
        if (DatabaseWaits.MayPass(e))
        {
            log.LogError(e, "Run {Id} is interrupted: the database could not be used", id);
            End(id, stopping, run => run.Interrupt("The server's database could not be written for too long; is it locked by another program, or is the disk full?"),
                "The database could not be written for too long; the run is interrupted.", tell: true);
            return;
        }
        var plain = e is TrainingException or WeightFileException or TokenizerFileException or FormatException or ModelRefused;
        if (!plain) log.LogError(e, "Run {Id} failed", id);
        var sentence = plain ? e.Message : $"The run stopped on an error that nobody foresaw: {e.Message.ReplaceLineEndings(" ")}";
        if (kind.OutlivesErrors(id))
        {
            End(id, stopping, run => run.Interrupt(sentence), plain ? sentence : $"{sentence} ({e.GetType().Name})", tell: true);
            return;
        }
        End(id, stopping, run => run.End(RunState.Failed, clock.GetUtcNow().UtcDateTime, sentence), plain ? sentence : $"{sentence} ({e.GetType().Name})", tell: true);
        kind.Clear(id, RunState.Failed);
    }

    /// Tries until it is written; only a stop of the server ends that, and the next start then finds the run.
    private void End(int id, CancellationToken stopping, Action<TrainingRun> change, string said, bool tell = false)
    {
        TrainingRun run = null!;
        DatabaseWaits.Insist(() => { Write(); return Task.CompletedTask; }, log, $"the end of run {id}: {said}", stopping).GetAwaiter().GetResult();
        watchers.Send(id, new RunUpdate(null, [], [], run.State.ToString(), run.StepsDone, run.TotalSteps)).Wait(TimeSpan.FromSeconds(3));

        void Write()
        {
            using var db = databases.CreateDbContext();
            run = db.TrainingRuns.Single(r => r.Id == id);
            change(run);
            Say(db, run, said);
            if (tell) db.Events.Add(new ProjectEvent { ProjectId = run.ProjectId, UserId = run.LaunchedById, At = clock.GetUtcNow().UtcDateTime,
                Text = $"{run.Called}: {char.ToLowerInvariant(said[0])}{said[1..]}", Href = run.Href });
            db.SaveChanges();
        }
    }

    private void Say(StudioDb db, TrainingRun run, string text) => db.RunLog.Add(new RunLogLine { RunId = run.Id, At = clock.GetUtcNow().UtcDateTime, Text = text });

    private static string HashOf(string file)
    {
        using var stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    [DllImport("libc", EntryPoint = "setpriority")]
    private static extern int SetPriority(int which, uint who, int nice);
}
