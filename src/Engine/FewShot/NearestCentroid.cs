namespace FineTuneStudio.Engine.FewShot;

/// <summary>
/// The label whose mean feature vector is nearest by cosine: prototypical networks (Snell et al. 2017, arXiv:1703.05175) without their training,
/// on features of length 1 as in SimpleShot (Wang et al. 2019, arXiv:1911.04623).
/// </summary>
internal static class NearestCentroid
{
    /// <summary>A label for each row; of labels that are equally near, the first. A label without examples is never given.</summary>
    /// <param name="examples">Feature vectors of length 1.</param>
    /// <param name="labels">The label of each example, 0 to classes - 1.</param>
    /// <param name="rows">Feature vectors of the same size.</param>
    public static int[] Predict(IReadOnlyList<float[]> examples, IReadOnlyList<int> labels, int classes, IReadOnlyList<float[]> rows)
    {
        var means = new double[classes][];
        for (var i = 0; i < examples.Count; i++)
        {
            var mean = means[labels[i]] ??= new double[examples[i].Length];
            for (var j = 0; j < mean.Length; j++) mean[j] += examples[i][j];
        }
        // A sum points where the mean does, and cosine asks no more.
        foreach (var mean in means)
        {
            if (mean is null || Math.Sqrt(mean.Sum(x => x * x)) is not (> 0 and var length)) continue;
            for (var j = 0; j < mean.Length; j++) mean[j] /= length;
        }
        return [.. rows.Select(row =>
        {
            var (best, nearest) = (-1, double.NegativeInfinity);
            for (var label = 0; label < classes; label++)
            {
                if (means[label] is not { } mean) continue;
                var cosine = 0.0;
                for (var j = 0; j < mean.Length; j++) cosine += mean[j] * row[j];
                if (cosine > nearest) (best, nearest) = (label, cosine);
            }
            return best;
        })];
    }
}
