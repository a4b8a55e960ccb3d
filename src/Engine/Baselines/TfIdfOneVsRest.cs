namespace FineTuneStudio.Engine.Baselines;

/// <summary>
/// A logistic regression on TF-IDF of single words for each label: the optimum of scikit-learn's
/// OneVsRestClassifier(LogisticRegression(C=1)) on TfidfVectorizer() with their defaults. Deterministic on any number of processors.
/// </summary>
public sealed class TfIdfOneVsRest
{
    /// <summary>Largest number of weights; beyond it only the most frequent words are kept.</summary>
    const int MaxWeights = 4_000_000;

    readonly TfIdf features;
    readonly double[][] weights;

    TfIdfOneVsRest(TfIdf features, double[][] weights) => (this.features, this.weights) = (features, weights);

    /// <summary>Words that it weighs, and the different words in its training texts; fewer where there would be too many weights.</summary>
    public (int Used, int Seen) Words => (features.Count, features.Seen);

    /// <summary>Fits on all processors.</summary>
    /// <param name="truth">Labels of each text, 0 to labels - 1.</param>
    /// <param name="maxWeights">Weights of all labels together; beyond it only the most frequent words are kept.</param>
    /// <exception cref="ArgumentException">There are no rows, or the lists differ in length.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TfIdfOneVsRest Fit(IReadOnlyList<string> texts, IReadOnlyList<IReadOnlyList<int>> truth, int labels, int maxWeights = MaxWeights, CancellationToken cancel = default)
    {
        if (texts.Count != truth.Count) throw new ArgumentException($"There are {texts.Count} texts but {truth.Count} rows of labels.");
        if (texts.Count == 0) throw new ArgumentException("There are no training rows to fit on.");
        TfIdf features = TfIdf.Fit(texts, maxWeights / Math.Max(1, labels), cancel);
        var rows = new (int[] Features, double[] Weights)[texts.Count];
        ParallelOptions parallel = new() { CancellationToken = cancel };
        Parallel.For(0, rows.Length, parallel, i => rows[i] = features.Transform(texts[i]));
        double[][] weights = new double[labels][];
        Parallel.For(0, labels, parallel, label =>
        {
            bool[] has = [.. truth.Select(row => row.Contains(label))];
            weights[label] = new double[features.Count + 1];
            int positive = has.Count(h => h);
            // A label that no row or every row has is always answered so.
            if (positive == 0 || positive == has.Length) weights[label][^1] = positive == 0 ? -30 : 30;
            else Lbfgs.Minimize(weights[label], (point, gradient) => Evaluate(rows, has, point, gradient, cancel), gradientTolerance: 1e-4, relativeTolerance: 1e-9, maxIterations: 500);
        });
        return new(features, weights);
    }

    /// <summary>The labels of each text that are more likely than not.</summary>
    public int[][] Predict(IReadOnlyList<string> texts)
    {
        int[][] predictions = new int[texts.Count][];
        Parallel.For(0, texts.Count, i =>
        {
            double[] scores = Scores(texts[i]);
            predictions[i] = [.. Enumerable.Range(0, scores.Length).Where(l => scores[l] > 0)];
        });
        return predictions;
    }

    /// <summary>Decision values before the sigmoid.</summary>
    internal double[] Scores(string text)
    {
        var row = features.Transform(text);
        return [.. weights.Select(w => Score(row, w))];
    }

    static double Score((int[] Features, double[] Weights) row, double[] weights)
    {
        double score = weights[^1];
        for (int i = 0; i < row.Features.Length; i++) score += row.Weights[i] * weights[row.Features[i]];
        return score;
    }

    /// <summary>Loss summed over the rows plus half the squared weights, the bias free; one thread, in a fixed order.</summary>
    static double Evaluate((int[] Features, double[] Weights)[] rows, bool[] has, double[] weights, double[] gradient, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        weights.CopyTo(gradient, 0);
        gradient[^1] = 0;
        double loss = 0;
        for (int r = 0; r < rows.Length; r++)
        {
            double score = Score(rows[r], weights), signed = has[r] ? score : -score, residual = 1 / (1 + Math.Exp(-score)) - (has[r] ? 1 : 0);
            loss += signed > 0 ? Math.Log(1 + Math.Exp(-signed)) : Math.Log(1 + Math.Exp(signed)) - signed;
            for (int i = 0; i < rows[r].Features.Length; i++) gradient[rows[r].Features[i]] += rows[r].Weights[i] * residual;
            gradient[^1] += residual;
        }
        ReadOnlySpan<double> penalized = weights.AsSpan(0, weights.Length - 1);
        return loss + Lbfgs.Dot(penalized, penalized) / 2;
    }
}
