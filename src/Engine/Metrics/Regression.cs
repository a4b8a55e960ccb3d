namespace FineTuneStudio.Engine.Metrics;

/// <summary>How predicted numbers meet the true ones. What cannot be computed because one side never changes is 0.</summary>
/// <param name="RSquared">1 minus squared errors over squared distances from the true mean; below 0 for a model worse than that mean.</param>
/// <param name="ExplainedVariance">The same without the mean error.</param>
/// <param name="Pearson">Correlation of the values.</param>
/// <param name="Spearman">Correlation of the ranks, equal values sharing their mean rank.</param>
/// <param name="KendallTauB">Pairs in the same order minus pairs in opposite order, corrected for ties.</param>
public sealed record RegressionReport(int Count, double MeanSquaredError, double RootMeanSquaredError, double MeanAbsoluteError, double MedianAbsoluteError, double MaxError,
    double RSquared, double ExplainedVariance, double Pearson, double Spearman, double KendallTauB);

/// <summary>Metrics of predicted numbers, equal to scikit-learn's and scipy's.</summary>
public static class Regression
{
    /// <exception cref="ArgumentException">The lists differ in length, are empty, or hold a number that is not finite.</exception>
    public static RegressionReport Evaluate(IReadOnlyList<double> truth, IReadOnlyList<double> predictions)
    {
        Check(truth, predictions);
        double[] errors = [.. truth.Zip(predictions, (t, p) => Math.Abs(t - p)).Order()];
        int half = errors.Length / 2;
        double mse = MeanSquaredError(truth, predictions);
        return new(truth.Count, mse, Math.Sqrt(mse), errors.Average(), errors.Length % 2 == 1 ? errors[half] : (errors[half - 1] + errors[half]) / 2, errors[^1],
            RSquared(truth, predictions), ExplainedVariance(truth, predictions), Pearson(truth, predictions), Spearman(truth, predictions), KendallTauB(truth, predictions));
    }

    public static double MeanSquaredError(IReadOnlyList<double> truth, IReadOnlyList<double> predictions)
    {
        double sum = 0;
        for (int i = 0; i < truth.Count; i++) sum += (truth[i] - predictions[i]) * (truth[i] - predictions[i]);
        return sum / truth.Count;
    }

    public static double RootMeanSquaredError(IReadOnlyList<double> truth, IReadOnlyList<double> predictions) => Math.Sqrt(MeanSquaredError(truth, predictions));

    public static double MeanAbsoluteError(IReadOnlyList<double> truth, IReadOnlyList<double> predictions)
    {
        double sum = 0;
        for (int i = 0; i < truth.Count; i++) sum += Math.Abs(truth[i] - predictions[i]);
        return sum / truth.Count;
    }

    public static double RSquared(IReadOnlyList<double> truth, IReadOnlyList<double> predictions) => Explained(MeanSquaredError(truth, predictions), Variance(truth));

    public static double ExplainedVariance(IReadOnlyList<double> truth, IReadOnlyList<double> predictions) =>
        Explained(Variance([.. truth.Zip(predictions, (t, p) => t - p)]), Variance(truth));

    static double Explained(double left, double all) => all > 0 ? 1 - left / all : left == 0 ? 1 : 0;

    public static double Pearson(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        if (IsConstant(x) || IsConstant(y)) return 0;
        double mx = x.Average(), my = y.Average(), xy = 0, xx = 0, yy = 0;
        for (int i = 0; i < x.Count; i++)
        {
            double dx = x[i] - mx, dy = y[i] - my;
            (xy, xx, yy) = (xy + dx * dy, xx + dx * dx, yy + dy * dy);
        }
        return xx <= 0 || yy <= 0 ? 0 : Math.Clamp(xy / Math.Sqrt(xx) / Math.Sqrt(yy), -1, 1);
    }

    public static double Spearman(IReadOnlyList<double> x, IReadOnlyList<double> y) => Pearson(Ranks(x), Ranks(y));

    /// <summary>The place of each value from 1 on; equal values share the mean of their places.</summary>
    internal static double[] Ranks(IReadOnlyList<double> values)
    {
        double[] sorted = [.. values], ranks = new double[sorted.Length];
        int[] order = [.. Enumerable.Range(0, sorted.Length)];
        Array.Sort(sorted, order);
        for (int start = 0, end; start < sorted.Length; start = end)
        {
            for (end = start + 1; end < sorted.Length && sorted[end] == sorted[start];) end++;
            for (int i = start; i < end; i++) ranks[order[i]] = (start + 1 + end) / 2.0;
        }
        return ranks;
    }

    /// <summary>Knight's way (1966): sort by one side and count the swaps that sorting by the other takes, in n log n steps.</summary>
    public static double KendallTauB(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        int n = x.Count;
        int[] order = [.. Enumerable.Range(0, n).OrderBy(i => x[i]).ThenBy(i => y[i])];
        double[] other = [.. order.Select(i => y[i])];
        double pairs = n * (n - 1.0) / 2, tiedX = Ties(order.Select(i => x[i])), tiedBoth = Ties(order.Select(i => (x[i], y[i]))), swaps = Sort(other, new double[n], 0, n), tiedY = Ties(other);
        double scale = Math.Sqrt(pairs - tiedX) * Math.Sqrt(pairs - tiedY);
        return scale <= 0 ? 0 : Math.Clamp((pairs - tiedX - tiedY + tiedBoth - 2 * swaps) / scale, -1, 1);
    }

    static double Ties<T>(IEnumerable<T> sorted) where T : IEquatable<T>
    {
        double pairs = 0, run = 0;
        T? last = default;
        bool any = false;
        foreach (T value in sorted)
        {
            run = any && value.Equals(last) ? run + 1 : 0;
            pairs += run;
            (last, any) = (value, true);
        }
        return pairs;
    }

    /// <summary>Merge sort; the number of pairs that stood in the wrong order.</summary>
    static double Sort(double[] values, double[] room, int from, int to)
    {
        if (to - from < 2) return 0;
        int middle = (from + to) / 2, left = from, right = middle;
        double swaps = Sort(values, room, from, middle) + Sort(values, room, middle, to);
        for (int i = from; i < to; i++)
        {
            if (left < middle && (right == to || values[left] <= values[right])) room[i] = values[left++];
            else
            {
                room[i] = values[right++];
                swaps += middle - left;
            }
        }
        Array.Copy(room, from, values, from, to - from);
        return swaps;
    }

    /// <summary>Interval of a metric: percentile bootstrap over the rows.</summary>
    /// <param name="metric">Of truth and predictions, for example <see cref="Spearman"/>.</param>
    public static Interval Interval(IReadOnlyList<double> truth, IReadOnlyList<double> predictions, Func<IReadOnlyList<double>, IReadOnlyList<double>, double> metric, int resamples = 1000, int seed = 1, double level = 0.95)
    {
        Check(truth, predictions);
        double[] t = new double[truth.Count], p = new double[truth.Count];
        return Bootstrap.Resample([[.. Enumerable.Range(0, truth.Count)]], places =>
        {
            for (int i = 0; i < places.Length; i++) (t[i], p[i]) = (truth[places[i]], predictions[places[i]]);
            return metric(t, p);
        }, resamples, seed, level);
    }

    /// <summary>Interval of the difference (second minus first) of a metric between two models on the same rows; both are resampled together.</summary>
    public static Interval IntervalOfDifference(IReadOnlyList<double> truth, IReadOnlyList<double> first, IReadOnlyList<double> second, Func<IReadOnlyList<double>, IReadOnlyList<double>, double> metric, int resamples = 1000, int seed = 1, double level = 0.95)
    {
        Check(truth, first);
        Check(truth, second);
        double[] t = new double[truth.Count], a = new double[truth.Count], b = new double[truth.Count];
        return Bootstrap.Resample([[.. Enumerable.Range(0, truth.Count)]], places =>
        {
            for (int i = 0; i < places.Length; i++) (t[i], a[i], b[i]) = (truth[places[i]], first[places[i]], second[places[i]]);
            return metric(t, b) - metric(t, a);
        }, resamples, seed, level);
    }

    // For rounding, the mean of equal values need not be that value.
    static bool IsConstant(IReadOnlyList<double> values)
    {
        for (int i = 1; i < values.Count; i++)
            if (values[i] != values[0]) return false;
        return true;
    }

    static double Variance(IReadOnlyList<double> values)
    {
        if (IsConstant(values)) return 0;
        double mean = values.Average(), sum = 0;
        foreach (double value in values) sum += (value - mean) * (value - mean);
        return sum / values.Count;
    }

    static void Check(IReadOnlyList<double> truth, IReadOnlyList<double> predictions)
    {
        if (truth.Count != predictions.Count) throw new ArgumentException($"There are {truth.Count} true values but {predictions.Count} predictions.");
        if (truth.Count == 0) throw new ArgumentException("There are no rows to evaluate.");
        for (int i = 0; i < truth.Count; i++)
            if (!double.IsFinite(truth[i]) || !double.IsFinite(predictions[i])) throw new ArgumentException($"Row {i} has a value that is not a finite number.");
    }
}
