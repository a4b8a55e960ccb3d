using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

public sealed class StopPretraining(IDbContextFactory<StudioDb> databases, ProjectAccess access, StopRun stop, RestartRun restart, TimeProvider clock)
{
    /// Ends it after its step, or from its last checkpoint where it is interrupted; the best model so far goes into the catalogue.
    [Needs(Permission.LaunchRun)]
    public Task Stop(string projectId, int pretraining, CancellationToken cancel = default) => With(projectId, pretraining, (db, run, who) => stop.Ask(db, run, who, StopRequest.Stop, cancel), cancel);

    /// Ends it and throws its model away; its numbers and its log stay.
    [Needs(Permission.LaunchRun)]
    public Task Cancel(string projectId, int pretraining, CancellationToken cancel = default) => With(projectId, pretraining, (db, run, who) => stop.Ask(db, run, who, StopRequest.Cancel, cancel), cancel);

    /// Queues an interrupted one again; it goes on from its last checkpoint, or from the beginning where there is none. Where whoever launched it
    /// may not any more, it goes on in the name of who restarts it: its model could not come into the catalogue otherwise.
    [Needs(Permission.LaunchRun)]
    public Task Restart(string projectId, int pretraining, CancellationToken cancel = default) => With(projectId, pretraining, async (db, run, who) =>
    {
        var roles = (await db.Memberships.Where(m => m.ProjectId == projectId && m.UserId == run.LaunchedById).Select(m => m.Role).ToListAsync(cancel)).ToHashSet();
        if (!roles.Allow(Permission.LaunchRun))
        {
            run.LaunchedById = who;
            db.RunLog.Add(new RunLogLine { RunId = run.Id, At = clock.GetUtcNow().UtcDateTime, Text = "Whoever launched it may not any more; from here on it runs in the name of who restarts it." });
        }
        await restart.Restart(db, run, who, cancel);
    }, cancel);

    private async Task With(string projectId, int number, Func<StudioDb, PretrainRun, string, Task> work, CancellationToken cancel)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        await work(db, await db.PretrainRuns.SingleOrDefaultAsync(r => r.ProjectId == projectId && r.Number == number, cancel) ?? throw new ArgumentException($"There is no pretraining {number} in this project."), pass.UserId);
    }
}
