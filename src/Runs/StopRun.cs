using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

public sealed class StopRun(IDbContextFactory<StudioDb> databases, ProjectAccess access, TrainerSignals signals, IEnumerable<TrainingKind> kinds, StudioFolder folder, TimeProvider clock)
{
    /// Ends a running run after its step and keeps the best checkpoint; an interrupted one is queued for just that.
    [Needs(Permission.LaunchRun)]
    public Task Stop(string projectId, int run, CancellationToken cancel = default) => Ask(projectId, run, StopRequest.Stop, cancel);

    /// Ends a run and throws its checkpoints away; its numbers and its log stay.
    [Needs(Permission.LaunchRun)]
    public Task Cancel(string projectId, int run, CancellationToken cancel = default) => Ask(projectId, run, StopRequest.Cancel, cancel);

    private async Task Ask(string projectId, int number, StopRequest what, CancellationToken cancel)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var run = await db.Runs.SingleOrDefaultAsync(r => r.ProjectId == projectId && r.Number == number, cancel)
            ?? throw new ArgumentException($"There is no run {number} in this project.");
        await Ask(db, run, pass.UserId, what, cancel);
    }

    /// Of any kind that the trainer works on. Whether the person may has been asked.
    internal async Task Ask(StudioDb db, TrainingRun run, string userId, StopRequest what, CancellationToken cancel)
    {
        var (called, word) = (Ui.Say.Capital(run.Called), what == StopRequest.Stop ? "stop" : "cancel");
        if (run.IsOver) throw new ArgumentException($"{called} is over already; there is nothing to {word}.");
        var now = clock.GetUtcNow().UtcDateTime;
        if (run.State != RunState.Running && kinds.Single(k => k.Kind == run.Kind) is var kind && kind.Made(db, run) is { } made)
        {
            Trainer.EndAsMade(db, run, made, now);
            await db.SaveChangesAsync(cancel);
            kind.Clear(run.Id, run.State);
            throw new ArgumentException($"{called} had come to its end when the server stopped: “{made.Name}” is a base model of the project, so there is nothing to {word}.");
        }
        var fromCheckpoint = what == StopRequest.Stop && run.State == RunState.Interrupted && folder.HasCheckpoint(run.Id);
        if (what == StopRequest.Stop && run.State != RunState.Running && !fromCheckpoint) throw new ArgumentException($"{called} is not running; cancel it, or restart it first.");
        db.Events.Add(new ProjectEvent { ProjectId = run.ProjectId, UserId = userId, At = now, Text = $"{(what == StopRequest.Stop ? "stopped" : "cancelled")} {run.Called}", Href = run.Href });
        if (fromCheckpoint)
        {
            run.Requeue();
            run.Asked = word;
            await db.SaveChangesAsync(cancel);
            signals.Wake();
            return;
        }
        if (run.State != RunState.Running)
        {
            // Nobody trains it, so it ends here and now.
            run.End(RunState.Cancelled, now);
            db.RunLog.Add(new RunLogLine { RunId = run.Id, At = now, Text = "Cancelled; no checkpoint was kept." });
            await db.SaveChangesAsync(cancel);
            if (Directory.Exists(folder.Run(run.Id))) Directory.Delete(folder.Run(run.Id), recursive: true);
            return;
        }
        run.Asked = word;
        await db.SaveChangesAsync(cancel);
        signals.Ask(run.Id, what);
    }
}
