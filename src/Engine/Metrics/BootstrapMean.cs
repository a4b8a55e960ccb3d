namespace FineTuneStudio.Engine.Metrics;

/// <summary>Percentile bootstrap over rows of a number that is computed from sums over rows: a mean, a ratio, or a function of one.</summary>
public static class BootstrapMean
{
    /// <summary>Interval of the mean of one number a row.</summary>
    /// <param name="values">One number a row; at least one.</param>
    public static Interval Of(IReadOnlyList<double> values, int resamples = 1000, int seed = 1, double level = 0.95) =>
        OfRatio(values, Enumerable.Repeat(1.0, values.Count).ToList(), ratio => ratio, resamples, seed, level);

    /// <summary>Interval of a function of the ratio of two sums, such as perplexity: the exponential of losses over tokens.</summary>
    /// <param name="parts">Upper numbers, one a row.</param>
    /// <param name="wholes">Lower numbers, one a row, none below 0 and not all 0.</param>
    /// <param name="of">Applied to each resample's ratio.</param>
    public static Interval OfRatio(IReadOnlyList<double> parts, IReadOnlyList<double> wholes, Func<double, double> of, int resamples = 1000, int seed = 1, double level = 0.95) =>
        OfDraws(parts.Count, drawn =>
        {
            var (part, whole) = (0.0, 0.0);
            foreach (var row in drawn) (part, whole) = (part + parts[row], whole + wholes[row]);
            return of(whole > 0 ? part / whole : 0);
        }, resamples, seed, level);

    /// <summary>Interval of the mean difference, second minus first, of two numbers of the same rows.</summary>
    public static Interval OfDifference(IReadOnlyList<double> first, IReadOnlyList<double> second, int resamples = 1000, int seed = 1, double level = 0.95) =>
        Of([.. first.Zip(second, (one, two) => two - one)], resamples, seed, level);

    /// <summary>Interval of any number that drawn rows give.</summary>
    /// <param name="rows">How many there are.</param>
    /// <param name="of">The number of the drawn rows, which come with repetitions.</param>
    public static Interval OfDraws(int rows, Func<int[], double> of, int resamples = 1000, int seed = 1, double level = 0.95)
    {
        if (rows == 0) throw new ArgumentException("A bootstrap needs at least one row.");
        var (random, values, drawn) = (new Random(seed), new double[resamples], new int[rows]);
        for (var r = 0; r < resamples; r++)
        {
            for (var i = 0; i < rows; i++) drawn[i] = random.Next(rows);
            values[r] = of(drawn);
        }
        return Bootstrap.Percentiles(values, level);
    }
}
