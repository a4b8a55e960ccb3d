using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

public sealed class RestartRun(IDbContextFactory<StudioDb> databases, ProjectAccess access, TrainerSignals signals, TimeProvider clock)
{
    /// Queues an interrupted run again; it goes on from its last checkpoint, or from the beginning where there is none.
    [Needs(Permission.LaunchRun)]
    public async Task Handle(string projectId, int run, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var found = await db.Runs.SingleOrDefaultAsync(r => r.ProjectId == projectId && r.Number == run, cancel)
            ?? throw new ArgumentException($"There is no run {run} in this project.");
        await Restart(db, found, pass.UserId, cancel);
    }

    /// Of any kind that the trainer works on. Whether the person may has been asked.
    internal async Task Restart(StudioDb db, TrainingRun run, string userId, CancellationToken cancel)
    {
        if (run.State != RunState.Interrupted) throw new ArgumentException($"{Ui.Say.Capital(run.Called)} is not interrupted, so it cannot be restarted.");
        run.Requeue();
        run.Asked = null;
        var now = clock.GetUtcNow().UtcDateTime;
        db.RunLog.Add(new RunLogLine { RunId = run.Id, At = now, Text = "Restarted by a person." });
        db.Events.Add(new ProjectEvent { ProjectId = run.ProjectId, UserId = userId, At = now, Text = $"restarted {run.Called}", Href = run.Href });
        await db.SaveChangesAsync(cancel);
        signals.Wake();
    }
}
