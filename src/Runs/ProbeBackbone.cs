using System.Globalization;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Training;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// Measures whether a base model that is declared pretrained knows more than random weights: once for a base model on a split, before the first run's first step.
internal static class ProbeBackbone
{
    /// Never fails a run: what cannot be measured is said in its log.
    public static void For(int runId, FineTuneJob job, IDbContextFactory<StudioDb> databases, Func<StopRequest> stop, TimeProvider clock, ILogger log, CancellationToken cancel)
    {
        try
        {
            if (BackboneProbe.WhyNot(job.Task) is not null || !IsWanted(runId, databases, clock)) return;
            if (BackboneProbe.Measure(job, stop, cancel) is not { } result) return;
            using var db = databases.CreateDbContext();
            Keep(db, runId, result.Loss, result.ReinitialisedLoss, Sentence(result, job.Recipe.Seed), clock);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested) { throw; }
        catch (Exception e)
        {
            log.LogWarning(e, "The base model of run {Id} could not be probed", runId);
            try
            {
                using var db = databases.CreateDbContext();
                Say(db, runId, $"Whether the base model knows more than random weights could not be measured: {e.Message.ReplaceLineEndings(" ")}", clock);
            }
            catch (Exception lost) { log.LogWarning(lost, "Nor could that be written into its log"); }
        }
    }

    private static bool IsWanted(int runId, IDbContextFactory<StudioDb> databases, TimeProvider clock)
    {
        using var db = databases.CreateDbContext();
        var run = db.Runs.AsNoTracking().Single(r => r.Id == runId);
        if (run.ProbeLoss is not null || db.BaseModels.AsNoTracking().Single(m => m.Id == run.BaseModelId).Origin != ModelOrigin.Pretrained) return false;
        if (db.Runs.AsNoTracking().Where(r => r.BaseModelId == run.BaseModelId && r.SplitId == run.SplitId && r.ProbeLoss != null).OrderBy(r => r.Number).FirstOrDefault() is { } before)
        {
            Keep(db, runId, before.ProbeLoss, before.ReinitialisedProbeLoss, $"Probe of the base model, gain {Gain(before.ProbeGain!.Value)}, as run {before.Number} measured it on the same split.", clock);
            return false;
        }
        Say(db, runId, "The base model is declared pretrained; before the first step it is measured once for this split whether it knows more than random weights.", clock);
        return true;
    }

    private static void Keep(StudioDb db, int runId, double? loss, double? reinitialised, string said, TimeProvider clock)
    {
        db.Runs.Where(r => r.Id == runId).ExecuteUpdate(s => s.SetProperty(r => r.ProbeLoss, loss).SetProperty(r => r.ReinitialisedProbeLoss, reinitialised));
        Say(db, runId, said, clock);
    }

    private static void Say(StudioDb db, int runId, string text, TimeProvider clock)
    {
        db.RunLog.Add(new RunLogLine { RunId = runId, At = clock.GetUtcNow().UtcDateTime, Text = text });
        db.SaveChanges();
    }

    private static string Sentence(ProbeResult result, int seed) =>
        $"Probe of the base model, gain {Gain(result.Gain)}: {(result.TrainRows == 0 ? "untrained, its loss" : $"after one epoch of a linear head on {Ui.Say.Count(result.TrainRows, "train row")}, the loss")} on {Ui.Say.Count(result.ValidationRows, "validation row")} is {Ui.Say.Number(result.Loss)} with the loaded weights and {Ui.Say.Number(result.ReinitialisedLoss)} with random ones, drawn by the seed {seed}.";

    /// A gain as it is shown everywhere: +12.3 %.
    public static string Gain(double gain) => (gain * 100).ToString("+0.0;−0.0;0.0", CultureInfo.InvariantCulture) + " %";
}
