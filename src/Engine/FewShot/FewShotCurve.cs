using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>How a curve ended. What was stopped or cancelled can go on from its points.</summary>
public enum FewShotOutcome { Finished, Stopped, Cancelled }

/// <summary>The draws of one method at one k.</summary>
/// <param name="K">Examples a label.</param>
/// <param name="Rows">Examples of all labels together.</param>
/// <param name="Values">The metric of each finished draw.</param>
/// <param name="Mean">Over the draws.</param>
/// <param name="Interval">95 % interval of the mean by Student's t over the draws, cut to 0 to 1: it tells the chance of the examples and of the training, not that of the measured
/// rows, which are the same for all. Null with one draw.</param>
public sealed record FewShotMean(int K, int Rows, IReadOnlyList<double> Values, double Mean, Interval? Interval);

/// <summary>The curve of one method by one metric, k rising; ks without a finished draw are not there.</summary>
public sealed record FewShotLine(FewShotMethod Method, IReadOnlyList<FewShotMean> Means);

/// <summary>A learning curve, whole or as far as it came.</summary>
/// <param name="Points">In the order in which they were finished.</param>
/// <param name="PointsTotal">How many there are when all is done.</param>
/// <param name="PoolRows">Rows from which examples are drawn.</param>
/// <param name="MeasuredRows">Rows on which each point is measured.</param>
/// <param name="MajorityLabel">The most frequent label of the pool.</param>
/// <param name="MajorityAccuracy">Of always saying it, on the measured rows.</param>
/// <param name="MajorityMacroF1">Of always saying it, on the measured rows.</param>
/// <param name="Notes">Sentences on what a reader must know: labels with too few rows, ks that were left out, what was measured.</param>
public sealed record FewShotCurve(FewShotOutcome Outcome, IReadOnlyList<FewShotPoint> Points, int PointsTotal, int PoolRows, int MeasuredRows,
    string MajorityLabel, double MajorityAccuracy, double MajorityMacroF1, IReadOnlyList<string> Notes)
{
    /// <param name="metric"><see cref="Metric.Accuracy"/> or <see cref="Metric.MacroF1"/>.</param>
    public double Majority(Metric metric) => metric == Metric.Accuracy ? MajorityAccuracy : MajorityMacroF1;

    /// <summary>One line a method that has a point, in the order of the methods.</summary>
    /// <param name="metric"><see cref="Metric.Accuracy"/> or <see cref="Metric.MacroF1"/>.</param>
    public IReadOnlyList<FewShotLine> Lines(Metric metric) => [.. Points.GroupBy(p => p.Method).OrderBy(g => g.Key).Select(g => new FewShotLine(g.Key, [.. g.GroupBy(p => p.K).OrderBy(k => k.Key).Select(k => Mean(k, metric))]))];

    /// <summary>What more rows would bring by a method's points.</summary>
    /// <param name="metric"><see cref="Metric.Accuracy"/> or <see cref="Metric.MacroF1"/>.</param>
    public MoreRows MoreRows(FewShotMethod method, Metric metric) => FewShot.MoreRows.Fit([.. Points.Where(p => p.Method == method).Select(p => (p.Draw, p.Rows, 1 - p[metric]))]);

    private static FewShotMean Mean(IGrouping<int, FewShotPoint> points, Metric metric)
    {
        double[] values = [.. points.OrderBy(p => p.Draw).Select(p => p[metric])];
        return new(points.Key, points.First().Rows, values, values.Average(), StudentT.OfMean(values) is { } t ? new(Math.Max(0, t.Low), Math.Min(1, t.High)) : null);
    }
}
