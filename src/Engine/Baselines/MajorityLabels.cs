namespace FineTuneStudio.Engine.Baselines;

/// <summary>
/// The baseline that gives every text the same labels: the most frequent ones, as many as give the highest micro-F1 on the train rows.
/// </summary>
public sealed class MajorityLabels
{
    /// <summary>The labels it always gives, in order.</summary>
    public IReadOnlyList<int> Labels { get; }

    MajorityLabels(IReadOnlyList<int> labels) => Labels = labels;

    /// <exception cref="ArgumentException">There are no rows.</exception>
    public static MajorityLabels Fit(IReadOnlyList<IReadOnlyList<int>> truth, int labels)
    {
        if (truth.Count == 0) throw new ArgumentException("There are no training rows to find the most frequent labels in.");
        int[] counts = new int[labels];
        foreach (var row in truth) foreach (int label in row) counts[label]++;
        int[] order = [.. Enumerable.Range(0, labels).OrderByDescending(l => counts[l]).ThenBy(l => l)];
        double all = counts.Sum(), hits = 0, best = -1;
        int most = 0;
        for (int k = 1; k <= labels; k++)
        {
            hits += counts[order[k - 1]];
            if (2 * hits / (all + (double)k * truth.Count) is var f1 && f1 > best) (best, most) = (f1, k);
        }
        return new([.. order[..most].Order()]);
    }
}
