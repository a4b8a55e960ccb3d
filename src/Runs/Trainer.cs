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

/// Trains queued runs, one at a time, on a thread of its own. A run that was under way when the server stopped, however it stopped,
/// is interrupted: it goes on from its last checkpoint when a person says so.
public sealed class Trainer(IDbContextFactory<StudioDb> databases, StudioFolder folder, TrainerSignals signals, RunWatchers watchers,
    TimeProvider clock, ILogger<Trainer> log) : BackgroundService
{
    public override async Task StartAsync(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        foreach (var run in await db.Runs.Where(r => r.State == RunState.Running).ToListAsync(cancel))
        {
            run.Interrupt();
            Say(db, run, $"The server stopped at step {Ui.Say.Count(run.StepsDone)}; the run is interrupted.");
        }
        await db.SaveChangesAsync(cancel);
        await base.StartAsync(cancel);
    }

    protected override Task ExecuteAsync(CancellationToken stopping)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => { try { Work(stopping); } finally { done.SetResult(); } }) { IsBackground = true, Name = "trainer" }.Start();
        return done.Task;
    }

    private void Work(CancellationToken stopping)
    {
        // Pages go first. On Linux this is the thread's own nice value, which the engine's threads inherit; .NET's priorities do nothing there.
        if (OperatingSystem.IsLinux()) SetPriority(0, 0, 5); else Thread.CurrentThread.Priority = ThreadPriority.BelowNormal;
        while (!stopping.IsCancellationRequested)
            try
            {
                int? next;
                using (var db = databases.CreateDbContext())
                    next = db.Runs.Where(r => r.State == RunState.Queued).OrderBy(r => r.QueuedAt).ThenBy(r => r.Id).Select(r => (int?)r.Id).FirstOrDefault();
                if (next is { } id) Train(id, stopping); else signals.WaitForWork(stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested) { }
            catch (Exception e)
            {
                log.LogError(e, "The trainer could not take the next run");
                stopping.WaitHandle.WaitOne(TimeSpan.FromSeconds(5));
            }
    }

    private void Train(int id, CancellationToken stopping)
    {
        bool resume;
        FineTuneJob job;
        using (var db = databases.CreateDbContext())
        {
            var run = db.Runs.Single(r => r.Id == id);
            resume = run.StartedAt is not null;
            signals.Ask(id, run.Asked switch { "stop" => StopRequest.Stop, "cancel" => StopRequest.Cancel, _ => StopRequest.None });
            run.Start(clock.GetUtcNow().UtcDateTime);
            try { db.SaveChanges(); } catch (DbUpdateConcurrencyException) { return; }
            try
            {
                var split = db.Splits.AsNoTracking().Single(s => s.Id == run.SplitId);
                var model = db.BaseModels.AsNoTracking().Single(m => m.Id == run.BaseModelId);
                var rows = TrainingRows.Read(db, split).GetAwaiter().GetResult();
                job = new(RunRecipe.FromJson(run.RecipeJson), folder.BaseModel(model.StoredAs), rows.Labels, rows.Train, rows.Validation, folder.Run(id));
            }
            catch (Exception e) { Fail(id, e); return; }
        }
        try
        {
            FineTuneResult result;
            using (var journal = new RunJournal(id, databases, signals, watchers, clock))
            {
                result = FineTune.Run(job, journal.Take, () => signals.Asked(id), stopping, resume);
                journal.Close();
            }
            Finish(id, result);
        }
        catch (Exception) when (stopping.IsCancellationRequested)
        {
            End(id, run => run.Interrupt(), "The server is shutting down; the run is interrupted and can be restarted from its last checkpoint.");
        }
        catch (Exception e) { Fail(id, e); }
    }

    private void Finish(int id, FineTuneResult result)
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
        };
        End(id, run =>
        {
            run.StepsDone = result.StepsDone;
            run.BestStep = hash is null ? null : result.BestStep;
            run.BestMetric = hash is null || double.IsNaN(result.BestMetric) ? null : result.BestMetric;
            run.WeightsHash = hash;
            run.End(result.Outcome switch
            {
                FineTuneOutcome.Cancelled => RunState.Cancelled,
                FineTuneOutcome.StoppedByPerson => RunState.StoppedByPerson,
                _ => RunState.Finished,
            }, clock.GetUtcNow().UtcDateTime);
        }, said, tell: true);
        // The optimizer's state is of no use any more; the best checkpoint is all that stays.
        foreach (var gone in cancelled ? [folder.Run(id)] : new[] { Path.Combine(folder.Run(id), "last") })
            if (Directory.Exists(gone)) Directory.Delete(gone, recursive: true);
    }

    private void Fail(int id, Exception e)
    {
        var plain = e is TrainingException or WeightFileException or TokenizerFileException or FormatException;
        if (!plain) log.LogError(e, "Run {Id} failed", id);
        var sentence = plain ? e.Message : $"The run stopped on an error that nobody foresaw: {e.Message.ReplaceLineEndings(" ")}";
        End(id, run => run.End(RunState.Failed, clock.GetUtcNow().UtcDateTime, sentence), plain ? sentence : $"{sentence} ({e.GetType().Name})", tell: true);
    }

    private void End(int id, Action<Run> change, string said, bool tell = false)
    {
        Run run;
        using (var db = databases.CreateDbContext())
        {
            run = db.Runs.Single(r => r.Id == id);
            change(run);
            Say(db, run, said);
            if (tell) db.Events.Add(new ProjectEvent { ProjectId = run.ProjectId, UserId = run.LaunchedById, At = clock.GetUtcNow().UtcDateTime,
                Text = $"run {run.Number}: {char.ToLowerInvariant(said[0])}{said[1..]}", Href = $"/p/{run.ProjectId}/runs/{run.Number}" });
            db.SaveChanges();
        }
        watchers.Send(id, new RunUpdate(null, [], [], run.State.ToString(), run.StepsDone, run.TotalSteps)).Wait(TimeSpan.FromSeconds(3));
    }

    private void Say(StudioDb db, Run run, string text) => db.RunLog.Add(new RunLogLine { RunId = run.Id, At = clock.GetUtcNow().UtcDateTime, Text = text });

    private static string HashOf(string file)
    {
        using var stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    [DllImport("libc", EntryPoint = "setpriority")]
    private static extern int SetPriority(int which, uint who, int nice);
}
