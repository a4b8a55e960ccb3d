namespace FineTuneStudio.Engine.Metrics;

/// <summary>A range with a stated confidence.</summary>
public sealed record Interval(double Low, double High);

/// <summary>
/// Percentile bootstrap (Efron and Tibshirani 1993), stratified by true label: every resample keeps the number of rows of
/// each label. Seeded, so that the same rows give the same interval.
/// </summary>
public static class Bootstrap
{
    /// <summary>Interval of a metric.</summary>
    /// <param name="metric">Picks the number out of a report, for example its macro-F1.</param>
    /// <param name="level">Share of the resamples inside the interval.</param>
    public static Interval Of(IReadOnlyList<int> labels, IReadOnlyList<int> predictions, int classes, Func<ClassificationReport, double> metric, int resamples = 1000, int seed = 1, double level = 0.95)
    {
        Classification.Check(labels, predictions, classes);
        Random random = new(seed);
        // Rows of one label and one prediction are alike, so a resample is a draw of predictions for each label.
        int[][] byLabel = [.. Enumerable.Range(0, classes).Select(_ => Array.Empty<int>())];
        foreach (var group in Enumerable.Range(0, labels.Count).GroupBy(i => labels[i])) byLabel[group.Key] = [.. group.Select(i => predictions[i])];
        double[] values = new double[resamples];
        for (int r = 0; r < resamples; r++)
        {
            int[][] confusion = Classification.Square(classes);
            for (int label = 0; label < classes; label++)
            {
                int[] drawn = byLabel[label], row = confusion[label];
                for (int i = 0; i < drawn.Length; i++) row[drawn[random.Next(drawn.Length)]]++;
            }
            values[r] = metric(Classification.Report(confusion));
        }
        return Percentiles(values, level);
    }

    /// <summary>Interval of the difference (second minus first) of a metric between two models on the same rows; both are resampled together.</summary>
    public static Interval OfDifference(IReadOnlyList<int> labels, IReadOnlyList<int> first, IReadOnlyList<int> second, int classes, Func<ClassificationReport, double> metric, int resamples = 1000, int seed = 1, double level = 0.95)
    {
        Classification.Check(labels, first, classes);
        Classification.Check(labels, second, classes);
        Random random = new(seed);
        (int First, int Second)[][] byLabel = [.. Enumerable.Range(0, classes).Select(_ => Array.Empty<(int, int)>())];
        foreach (var group in Enumerable.Range(0, labels.Count).GroupBy(i => labels[i])) byLabel[group.Key] = [.. group.Select(i => (first[i], second[i]))];
        double[] values = new double[resamples];
        for (int r = 0; r < resamples; r++)
        {
            int[][] one = Classification.Square(classes), two = Classification.Square(classes);
            for (int label = 0; label < classes; label++)
            {
                (int First, int Second)[] drawn = byLabel[label];
                for (int i = 0; i < drawn.Length; i++)
                {
                    (int a, int b) = drawn[random.Next(drawn.Length)];
                    one[label][a]++;
                    two[label][b]++;
                }
            }
            values[r] = metric(Classification.Report(two)) - metric(Classification.Report(one));
        }
        return Percentiles(values, level);
    }

    /// <summary>Draws as many places from each stratum as it has, with replacement, and gives the interval of the number over the resamples.</summary>
    internal static Interval Resample(int[][] strata, Func<int[], double> number, int resamples, int seed, double level)
    {
        Random random = new(seed);
        int[] places = new int[strata.Sum(s => s.Length)];
        double[] values = new double[resamples];
        for (int r = 0; r < resamples; r++)
        {
            int at = 0;
            foreach (int[] stratum in strata)
                for (int i = 0; i < stratum.Length; i++) places[at++] = stratum[random.Next(stratum.Length)];
            values[r] = number(places);
        }
        return Percentiles(values, level);
    }

    /// <summary>Linear interpolation between the order statistics, as numpy.percentile does by default.</summary>
    internal static Interval Percentiles(double[] values, double level)
    {
        if (values.Length == 0 || level is not (> 0 and < 1)) throw new ArgumentException($"A bootstrap needs at least one resample and a level between 0 and 1; got {values.Length} and {level}.");
        Array.Sort(values);
        double At(double share)
        {
            double place = share * (values.Length - 1);
            int below = (int)place;
            return below + 1 == values.Length ? values[below] : values[below] + (place - below) * (values[below + 1] - values[below]);
        }
        return new(At((1 - level) / 2), At((1 + level) / 2));
    }
}
