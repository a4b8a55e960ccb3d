namespace FineTuneStudio.Engine.Baselines;

/// <summary>The baseline that always says the most frequent training label.</summary>
public sealed class MajorityLabel
{
    /// <summary>The label it always gives.</summary>
    public int Label { get; }

    MajorityLabel(int label) => Label = label;

    /// <summary>Of labels that are equally frequent, the first is taken.</summary>
    /// <exception cref="ArgumentException">There are no labels, or one is out of range.</exception>
    public static MajorityLabel Fit(IReadOnlyList<int> labels, int classes)
    {
        if (labels.Count == 0) throw new ArgumentException("There are no training rows to find the most frequent label in.");
        int[] counts = new int[classes];
        for (int i = 0; i < labels.Count; i++)
        {
            if ((uint)labels[i] >= (uint)classes) throw new ArgumentException($"Row {i} has the label {labels[i]}; with {classes} classes it must be 0 to {classes - 1}.");
            counts[labels[i]]++;
        }
        return new(Array.IndexOf(counts, counts.Max()));
    }
}
