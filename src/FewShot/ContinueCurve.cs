using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.FewShot;

public sealed class ContinueCurve(IDbContextFactory<StudioDb> databases, ProjectAccess access, CurveSignals signals, TimeProvider clock)
{
    /// Queues a stopped or failed curve again; it goes on from its finished points.
    [Needs(Permission.LaunchRun)]
    public async Task Handle(string projectId, int curve, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var found = await ShowCurve.Find(db.LearningCurves, projectId, curve, cancel) ?? throw new ArgumentException(ShowCurve.None(curve));
        if (found.State is not (CurveState.Stopped or CurveState.Failed)) throw new ArgumentException($"Learning curve {curve} is {(found.State == CurveState.Finished ? "measured to its end" : "under way already")}; there is nothing to go on with.");
        found.Requeue();
        found.QueuedAt = clock.GetUtcNow().UtcDateTime;
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = found.QueuedAt, Text = $"let learning curve {curve} go on", Href = $"/p/{projectId}/few-shot/{curve}" });
        await db.SaveChangesAsync(cancel);
        signals.Wake();
    }
}
