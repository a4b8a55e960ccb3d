using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>
/// Which rows are examples. Each row's place within its label follows from seed, draw and row id alone, so that the draw of 2 a label contains that of 1,
/// all methods learn from the same rows, and neither the order of the pool nor other rows change what is drawn.
/// </summary>
public static class FewShotDraw
{
    private const int Measuring = -1;

    /// <summary>The first <paramref name="k"/> rows of each label in a draw's order, or all that a label has, by row id.</summary>
    /// <param name="draw">Counted from 0.</param>
    public static IReadOnlyList<LabeledText> Of(IReadOnlyList<LabeledText> pool, int k, int draw, int seed) => Of(Ordered(pool, draw, seed), k);

    /// <summary>The same of labels whose rows are in the draw's order already.</summary>
    internal static IReadOnlyList<LabeledText> Of(IReadOnlyList<LabeledText[]> ordered, int k) => [.. ordered.SelectMany(label => label.Take(k)).OrderBy(r => r.RowId)];

    /// <summary>The rows of each label in a draw's order.</summary>
    internal static IReadOnlyList<LabeledText[]> Ordered(IReadOnlyList<LabeledText> pool, int draw, int seed) => [.. pool.GroupBy(r => r.Label).Select(label => InOrder(label, draw, seed).ToArray())];

    /// <summary>How many rows the draws of a k have.</summary>
    public static int Rows(IReadOnlyList<LabeledText> pool, int k) => pool.CountBy(r => r.Label).Sum(l => Math.Min(k, l.Value));

    /// <summary>Which part of its rows one draw of a k has in common with another, in the mean: near 0 where labels have many more rows than k, 1 where every draw takes all. It need not rise with k.</summary>
    public static double Shared(IReadOnlyList<LabeledText> pool, int k) =>
        pool.CountBy(r => r.Label).Sum(l => (double)Math.Min(k, l.Value) * Math.Min(k, l.Value) / l.Value) / Rows(pool, k);

    /// <summary>A random sample of at most <paramref name="most"/> rows to measure on, by row id.</summary>
    public static IReadOnlyList<LabeledText> Sample(IReadOnlyList<LabeledText> rows, int most, int seed) => [.. InOrder(rows, Measuring, seed).Take(most).OrderBy(r => r.RowId)];

    /// <summary>The ks, rising, without those that would draw the same rows as the one before, because no label has more.</summary>
    public static IReadOnlyList<int> DistinctKs(IReadOnlyList<LabeledText> pool, IEnumerable<int> ks) => DistinctKs(pool.GroupBy(r => r.Label).Max(g => g.Count()), ks);

    /// <summary>The same where only the rows of the most frequent label are counted.</summary>
    public static IReadOnlyList<int> DistinctKs(int largest, IEnumerable<int> ks)
    {
        var rising = ks.Order().ToList();
        return [.. rising.Where((k, i) => i == 0 || rising[i - 1] < largest)];
    }

    /// <summary>What a run of a draw begins with: other heads and batches in each draw, the same for all methods and ks.</summary>
    internal static int SeedOf(int draw, int seed) => (int)(RowSeed.Mix(Start(draw, seed)) >> 33);

    private static IEnumerable<LabeledText> InOrder(IEnumerable<LabeledText> rows, int draw, int seed)
    {
        var start = Start(draw, seed);
        return rows.OrderBy(r => RowSeed.Mix(start ^ (ulong)r.RowId)).ThenBy(r => r.RowId);
    }

    private static ulong Start(int draw, int seed) => RowSeed.Mix((ulong)(uint)seed << 32 | (uint)draw);
}
