using System.Text.Json;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.FewShot;

/// Everything the page of a curve says, as of now. Standing is null where it is not being measured now.
public sealed record CurveView(LearningCurveRun Run, FewShotCurve Curve, string BaseModel, int Split, string StartedBy, CurveProgress? Standing, string? Fault);

public sealed class ShowCurve(IDbContextFactory<StudioDb> databases, ProjectAccess access, CurveSignals signals, StudioFolder folder)
{
    internal static string None(int curve) => $"There is no learning curve {curve} in this project.";

    /// Null where the project has no such curve.
    [Needs(Permission.ViewProject)]
    public async Task<CurveView?> Handle(string projectId, int curve, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await Find(db.LearningCurves.AsNoTracking(), projectId, curve, cancel) is not { } found) return null;
        var model = await db.BaseModels.Where(m => m.Id == found.BaseModelId).Select(m => m.Name).SingleAsync(cancel);
        var split = await db.Splits.Where(s => s.Id == found.SplitId).Select(s => s.Number).SingleAsync(cancel);
        var who = await db.Users.Where(u => u.Id == found.StartedById).Select(u => u.DisplayName).SingleOrDefaultAsync(cancel);
        var (measured, fault) = Read(folder, found);
        return new(found, measured, model, split, who ?? "someone who has left", signals.Standing(found.Id), fault);
    }

    internal static Task<LearningCurveRun?> Find(IQueryable<LearningCurveRun> curves, string projectId, int number, CancellationToken cancel) =>
        curves.SingleOrDefaultAsync(c => c.ProjectId == projectId && c.Number == number, cancel);

    /// The curve as far as it is measured, and why its points cannot be read.
    internal static (FewShotCurve Curve, string? Fault) Read(StudioFolder folder, LearningCurveRun run)
    {
        IReadOnlyList<FewShotPoint> points = [];
        string? fault = null;
        try { points = KeptPoints.In(folder.Curve(run.Id)); }
        catch (Exception e) when (e is TrainingException or IOException) { fault = $"The points of this curve cannot be read: {e.Message}"; }
        return (new(run.State == CurveState.Finished ? FewShotOutcome.Finished : FewShotOutcome.Stopped, points, run.PointsTotal, run.PoolRows, run.MeasuredRows,
            run.MajorityLabel, run.MajorityAccuracy, run.MajorityMacroF1, JsonSerializer.Deserialize<string[]>(run.NotesJson)!), fault);
    }
}
