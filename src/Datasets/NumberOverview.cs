namespace FineTuneStudio.Datasets;

/// What numbers are like: how many, their spread, and how many lie in each of some ranges of the same width.
/// Quartiles lie between two numbers where their place does, as NumPy's percentile has them by default.
public sealed record NumberOverview(int Count, double Least, double LowerQuartile, double Median, double Mean, double UpperQuartile, double Most, IReadOnlyList<NumberOverview.Bin> Bins)
{
    private const int MostBins = 10;

    /// From is in it; To is in the last one only.
    public sealed record Bin(double From, double To, int Count);

    /// Null where there is none.
    public static NumberOverview? Of(IEnumerable<double> numbers)
    {
        double[] sorted = [.. numbers.Order()];
        if (sorted.Length == 0) return null;
        double Quantile(double share)
        {
            var at = share * (sorted.Length - 1);
            var below = (int)at;
            return below + 1 == sorted.Length ? sorted[below] : sorted[below] * (below + 1 - at) + sorted[below + 1] * (at - below);
        }
        return new(sorted.Length, sorted[0], Quantile(0.25), Quantile(0.5), sorted.Average(), Quantile(0.75), sorted[^1], Divide(sorted));
    }

    private static IReadOnlyList<Bin> Divide(double[] sorted)
    {
        var (low, high) = (sorted[0], sorted[^1]);
        // Half of the width and of the ends: twice a number may be more than a number can be.
        var half = high / 2 - low / 2;
        if (half == 0) return [new(low, high, sorted.Length)];
        var counts = new int[MostBins];
        foreach (var number in sorted) counts[Math.Min(MostBins - 1, (int)((number / 2 - low / 2) / half * MostBins))]++;
        double End(int i) => i == MostBins ? high : low * ((MostBins - i) / (double)MostBins) + high * (i / (double)MostBins);
        return [.. counts.Select((count, i) => new Bin(End(i), End(i + 1), count))];
    }
}
