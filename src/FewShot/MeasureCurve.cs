using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.FewShot;

/// How long a curve will take on this machine. The free bytes are those before the measuring.
public sealed record CurveEstimate(double Seconds, long PeakMemoryBytes, long? FreeMemoryBytes)
{
    public bool Fits => FreeMemoryBytes is not { } free || PeakMemoryBytes <= free;
}

public sealed class MeasureCurve(IDbContextFactory<StudioDb> databases, ProjectAccess access, PlanRun plan, StudioFolder folder, TrainerSignals signals)
{
    /// Trains a few steps of each method and keeps nothing. Throws ArgumentException with the sentence that says why it does not measure.
    [Needs(Permission.LaunchRun)]
    public async Task<CurveEstimate> Handle(string projectId, int split, int model, CurveSettings settings, Action<double>? progress = null, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        FewShotJob job;
        PreFlightFacts facts;
        await using (var db = await databases.CreateDbContextAsync(cancel))
        {
            var (frozen, start, made) = await StartCurve.Plan(db, pass, split, model, settings, cancel);
            job = made with { BaseFolder = folder.BaseModel(start.StoredAs) };
            facts = await plan.Facts(db, frozen, start, cancel);
        }
        var (estimate, free) = await MeasureStep.OnFreeMachine(signals, (limit, stop) => FewShotCost.Measure(job, facts.TokenLengths, limit, stop, progress), cancel);
        return new(estimate.Seconds, estimate.PeakMemoryBytes, free);
    }
}
