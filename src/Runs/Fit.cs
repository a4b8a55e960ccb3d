using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Runs;

public enum FitKind { Unstable, OverFitting, UnderFitting, StillLearning, WideGap, Healthy }

/// How a run's losses on its train sample and on validation go together: one reading for the run's page, the checklist and the report.
/// Gap (M1) is that of the metric, relative to the train sample; GeneralisationLoss (M2) and RisingStrip (M3), how many evaluations in
/// a row the validation loss rose while the train loss fell, are Prechelt's (1998). Step is where it turned.
public sealed record Fit(FitKind Kind, int? Step, double? Gap, double GeneralisationLoss, int RisingStrip, bool HasLearned)
{
    /// <param name="floor">What an answer without a model would score; not a number where that is not known.</param>
    public static Fit? Of(IReadOnlyList<EvaluationPoint> evaluations, Metric metric, double floor = double.NaN)
    {
        if (evaluations.Count == 0) return null;
        var gaps = evaluations.Select(e => GapOf(e, metric)).ToList();
        var (lowest, loss, strip, longest) = (double.PositiveInfinity, 0.0, 0, 0);
        int? since = null;
        var turned = evaluations[0].Step;
        for (var i = 0; i < evaluations.Count; i++)
        {
            var now = evaluations[i];
            // A new lowest takes back whatever looked like over-fitting before it.
            if (now.ValidationLoss < lowest) (lowest, turned, since) = (now.ValidationLoss, now.Step, null);
            loss = 100 * (now.ValidationLoss / lowest - 1);
            var rises = i > 0 && now.ValidationLoss > evaluations[i - 1].ValidationLoss && now.TrainSampleLoss < evaluations[i - 1].TrainSampleLoss;
            strip = rises ? strip + 1 : 0;
            longest = Math.Max(longest, strip);
            if (strip >= 3 || loss >= 5) since = turned;
        }
        var (last, gap) = (evaluations[^1], gaps[^1]);
        // A perplexity or a distance has no way to perfect of which a share could be won; a token accuracy, no known floor.
        var gain = !metric.IsBestAtOne() || metric == Metric.TokenAccuracy ? double.NaN : (last.TrainSampleMetric - floor) / (1 - floor);
        Fit Is(FitKind kind, int? step) => new(kind, step, gap, loss, longest, !(gain < 0.30));
        if (evaluations.FirstOrDefault(e => !double.IsFinite(e.ValidationLoss) || !double.IsFinite(e.TrainSampleLoss)) is { } broken) return Is(FitKind.Unstable, broken.Step);
        // The metric's gap alone proves nothing while the validation loss stands at its lowest, or within its noise of that.
        if (loss >= 2 && gap > 0.10 && gaps.Count >= 3 && gap > gaps[^2] && gaps[^2] > gaps[^3]) since ??= turned;
        if (since is not null) return Is(FitKind.OverFitting, since);
        if (gain < 0.30) return Is(FitKind.UnderFitting, last.Step);
        if (StillLearning(evaluations)) return Is(FitKind.StillLearning, last.Step);
        return Is(gap > 0.10 ? FitKind.WideGap : FitKind.Healthy, null);
    }

    /// Over the last fifth of the run, the train sample's loss fell by more than a twentieth of itself an epoch.
    private static bool StillLearning(IReadOnlyList<EvaluationPoint> evaluations)
    {
        var last = evaluations[^1];
        var before = evaluations.LastOrDefault(e => e.Step <= last.Step * 0.8);
        if (before is null || last.Epoch <= before.Epoch || last.TrainSampleLoss < 0.05) return false;
        return (last.TrainSampleLoss - before.TrainSampleLoss) / before.TrainSampleLoss / (last.Epoch - before.Epoch) < -0.05;
    }

    private static double? GapOf(EvaluationPoint e, Metric metric)
    {
        if (metric == Metric.ValidationLoss || e.TrainSampleMetric == 0) return null;
        return (metric.IsHigherBetter() ? e.TrainSampleMetric - e[metric] : e[metric] - e.TrainSampleMetric) / Math.Abs(e.TrainSampleMetric);
    }
}

/// Steps at which a run jumped. Held against what came just before, because a loss that falls through two powers of ten in a run
/// is far above its median at the beginning and shakes by many times itself at the end.
public sealed record Jumps(int Loss, int GradientNorm, int NotANumber)
{
    public static Jumps Of(IReadOnlyList<(double Loss, double GradientNorm)> steps) => new(
        Count([.. steps.Select(s => s.Loss)], 3), Count([.. steps.Select(s => s.GradientNorm)], 10), steps.Count(s => !double.IsFinite(s.Loss)));

    /// How often the values rise above so many times the median of those just before (50, in a short run a quarter of it), and above a
    /// tenth of what the run began with; a value that stays up is one jump.
    private static int Count(double[] values, double times)
    {
        var before = Math.Clamp(values.Length / 4, 10, 50);
        if (values.Length <= before) return 0;
        var (jumps, up, floor) = (0, false, Median(values.AsSpan(0, before)) / 10);
        for (var i = before; i < values.Length; i++)
        {
            var isUp = values[i] > floor && values[i] > times * Median(values.AsSpan(i - before, before));
            if (isUp && !up) jumps++;
            up = isUp;
        }
        return jumps;
    }

    private static double Median(ReadOnlySpan<double> values)
    {
        var sorted = values.ToArray();
        Array.Sort(sorted);
        return sorted[sorted.Length / 2];
    }
}
