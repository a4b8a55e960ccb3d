using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.FewShot;

public sealed class StopCurve(IDbContextFactory<StudioDb> databases, ProjectAccess access, CurveSignals signals, TimeProvider clock)
{
    /// Ends a curve and keeps its finished points; the point under way is dropped.
    [Needs(Permission.LaunchRun)]
    public async Task Handle(string projectId, int curve, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var found = await ShowCurve.Find(db.LearningCurves, projectId, curve, cancel) ?? throw new ArgumentException(ShowCurve.None(curve));
        if (found.IsOver) throw new ArgumentException($"Learning curve {curve} is over already; there is nothing to stop.");
        var now = clock.GetUtcNow().UtcDateTime;
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = now, Text = $"stopped learning curve {curve}", Href = $"/p/{projectId}/few-shot/{curve}" });
        // Nobody measures one that waits, so it ends here and now.
        if (found.State == CurveState.Queued) found.End(CurveState.Stopped, now); else found.StopAsked = true;
        await db.SaveChangesAsync(cancel);
        if (found.StopAsked) signals.AskStop(found.Id);
    }
}
