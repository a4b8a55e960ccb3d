using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Metrics;

/// <summary>How spans of one row met the true ones.</summary>
/// <param name="Hits">Predicted spans with the start, end and type of a true one.</param>
public sealed record SpanCounts(int Hits, int Predicted, int Actual)
{
    public double Precision => Ratio(Hits, Predicted);
    public double Recall => Ratio(Hits, Actual);
    public double F1 => Ratio(2 * Hits, Predicted + Actual);

    static double Ratio(int part, int whole) => whole == 0 ? 0 : (double)part / whole;
}

/// <summary>What is wrong with predicted spans, each true or predicted span counted once.</summary>
/// <param name="WrongType">True spans whose very start and end were found under another type.</param>
/// <param name="WrongBoundary">True spans that a predicted one overlaps, with another start or end, whatever its type.</param>
/// <param name="Missed">True spans that no predicted one touches.</param>
/// <param name="Invented">Predicted spans that touch no true one.</param>
public sealed record SpanErrors(int Right, int WrongType, int WrongBoundary, int Missed, int Invented);

/// <summary>Entity-level scores: a span counts only with the same start, end and type.</summary>
/// <param name="Micro">All spans together.</param>
/// <param name="MacroF1">Mean F1 over the types that occur among true or predicted spans, each counting the same.</param>
/// <param name="PerType">One entry a type, also for types that do not occur.</param>
/// <param name="ByRow">One entry a row, in order.</param>
public sealed record EntityReport(int Rows, SpanCounts Micro, double MacroF1, IReadOnlyList<SpanCounts> PerType, SpanErrors Errors, IReadOnlyList<SpanCounts> ByRow);

/// <summary>Metrics of token classification over whole entities, equal to seqeval's in its default mode.</summary>
public static class Entities
{
    /// <param name="actual">True spans of each row; those of a row do not overlap.</param>
    /// <param name="predicted">Predicted spans of each row, in the same order.</param>
    /// <param name="types">Number of types.</param>
    /// <exception cref="ArgumentException">The lists differ in length, are empty, or hold a type out of range.</exception>
    public static EntityReport Evaluate(IReadOnlyList<IReadOnlyList<TextSpan>> actual, IReadOnlyList<IReadOnlyList<TextSpan>> predicted, int types)
    {
        if (actual.Count != predicted.Count) throw new ArgumentException($"There are true spans of {actual.Count} rows but predicted ones of {predicted.Count}.");
        if (actual.Count == 0) throw new ArgumentException("There are no rows to evaluate.");
        int[] hits = new int[types], said = new int[types], real = new int[types];
        int right = 0, wrongType = 0, boundary = 0, missed = 0, invented = 0;
        List<SpanCounts> rows = new(actual.Count);
        for (int row = 0; row < actual.Count; row++)
        {
            HashSet<TextSpan> its = [.. actual[row]], found = [.. predicted[row]];
            foreach (TextSpan span in its.Concat(found).Where(s => (uint)s.Label >= (uint)types))
                throw new ArgumentException($"Row {row} has a span of the type {span.Label}; with {types} types it must be 0 to {types - 1}.");
            int same = 0;
            foreach (TextSpan span in found)
            {
                said[span.Label]++;
                if (its.Contains(span)) { hits[span.Label]++; same++; }
                else if (!its.Any(s => Touch(s, span))) invented++;
            }
            foreach (TextSpan span in its)
            {
                real[span.Label]++;
                if (found.Contains(span)) right++;
                else if (found.Any(s => s.Start == span.Start && s.End == span.End)) wrongType++;
                else if (found.Any(s => Touch(s, span))) boundary++;
                else missed++;
            }
            rows.Add(new(same, found.Count, its.Count));
        }
        SpanCounts[] perType = [.. Enumerable.Range(0, types).Select(t => new SpanCounts(hits[t], said[t], real[t]))];
        List<SpanCounts> present = [.. perType.Where(t => t.Actual + t.Predicted > 0)];
        return new(actual.Count, new(hits.Sum(), said.Sum(), real.Sum()), present.Count == 0 ? 0 : present.Average(t => t.F1), perType,
            new(right, wrongType, boundary, missed, invented), rows);
    }

    static bool Touch(TextSpan a, TextSpan b) => a.Start < b.End && b.Start < a.End;

    /// <summary>Percentile bootstrap interval (Efron and Tibshirani 1993) of a number over all spans, whole rows resampled; seeded.</summary>
    public static Interval Interval(IReadOnlyList<SpanCounts> rows, Func<SpanCounts, double> metric, int resamples = 1000, int seed = 1, double level = 0.95) =>
        Bootstrap.Percentiles(Resample(rows.Count, resamples, seed, drawn => metric(Sum(rows, drawn))), level);

    /// <summary>Interval of the difference (second minus first) between two models on the same rows, which are resampled together.</summary>
    public static Interval IntervalOfDifference(IReadOnlyList<SpanCounts> first, IReadOnlyList<SpanCounts> second, Func<SpanCounts, double> metric, int resamples = 1000, int seed = 1, double level = 0.95)
    {
        if (first.Count != second.Count) throw new ArgumentException($"There are {first.Count} rows of the first model but {second.Count} of the second.");
        return Bootstrap.Percentiles(Resample(first.Count, resamples, seed, drawn => metric(Sum(second, drawn)) - metric(Sum(first, drawn))), level);
    }

    static double[] Resample(int rows, int resamples, int seed, Func<int[], double> value)
    {
        if (rows == 0) throw new ArgumentException("There are no rows to evaluate.");
        Random random = new(seed);
        int[] drawn = new int[rows];
        return [.. Enumerable.Range(0, resamples).Select(_ =>
        {
            for (int i = 0; i < rows; i++) drawn[i] = random.Next(rows);
            return value(drawn);
        })];
    }

    static SpanCounts Sum(IReadOnlyList<SpanCounts> rows, int[] drawn)
    {
        int hits = 0, predicted = 0, actual = 0;
        foreach (int i in drawn)
        {
            hits += rows[i].Hits;
            predicted += rows[i].Predicted;
            actual += rows[i].Actual;
        }
        return new(hits, predicted, actual);
    }
}
