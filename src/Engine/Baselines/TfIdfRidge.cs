namespace FineTuneStudio.Engine.Baselines;

/// <summary>
/// Ridge regression on TF-IDF of single words: the optimum of scikit-learn's Ridge(alpha=1) on TfidfVectorizer() with their
/// defaults (squared errors summed over rows plus the squared weights, the intercept free). Conjugate gradients on the
/// centred normal equations.
/// </summary>
public sealed class TfIdfRidge
{
    const int MaxWeights = 1_000_000, MaxIterations = 1000;

    readonly TfIdf features;
    readonly double[] weights;
    readonly double intercept;

    TfIdfRidge(TfIdf features, double[] weights, double intercept) => (this.features, this.weights, this.intercept) = (features, weights, intercept);

    /// <summary>Words that it weighs, and the different words in its training texts; fewer where there would be too many weights.</summary>
    public (int Used, int Seen) Words => (features.Count, features.Seen);

    /// <exception cref="ArgumentException">There are no rows, or the lists differ in length.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TfIdfRidge Fit(IReadOnlyList<string> texts, IReadOnlyList<double> values, double alpha = 1, CancellationToken cancel = default)
    {
        if (texts.Count != values.Count) throw new ArgumentException($"There are {texts.Count} texts but {values.Count} values.");
        if (texts.Count == 0) throw new ArgumentException("There are no training rows to fit on.");
        TfIdf features = TfIdf.Fit(texts, MaxWeights, cancel);
        var rows = new (int[] Features, double[] Weights)[texts.Count];
        Parallel.For(0, rows.Length, new ParallelOptions { CancellationToken = cancel }, i => rows[i] = features.Transform(texts[i]));

        int n = rows.Length, size = features.Count;
        double[] means = new double[size];
        for (int r = 0; r < n; r++) for (int i = 0; i < rows[r].Features.Length; i++) means[rows[r].Features[i]] += rows[r].Weights[i] / n;
        double mean = values.Average();
        double[] products = new double[n];

        // centred: (X - 1 m')' (X - 1 m') v = X' (X v - 1 (m'v)) - m * sum(X v - 1 (m'v)), and the last sum is 0.
        double[] Gram(double[] v)
        {
            double shift = Lbfgs.Dot(means, v);
            for (int r = 0; r < n; r++) products[r] = Product(rows[r], v) - shift;
            return Back(products, v);
        }
        double[] Back(double[] byRow, double[]? ridge)
        {
            double[] result = new double[size];
            double sum = 0;
            for (int r = 0; r < n; r++)
            {
                sum += byRow[r];
                for (int i = 0; i < rows[r].Features.Length; i++) result[rows[r].Features[i]] += rows[r].Weights[i] * byRow[r];
            }
            for (int f = 0; f < size; f++) result[f] += (ridge is null ? 0 : alpha * ridge[f]) - means[f] * sum;
            return result;
        }

        double[] weights = new double[size], residual = Back([.. values.Select(v => v - mean)], null), direction = [.. residual];
        double squared = Lbfgs.Dot(residual, residual), target = 1e-20 * squared;
        for (int iteration = 0; iteration < MaxIterations && squared > target && squared > 0; iteration++)
        {
            cancel.ThrowIfCancellationRequested();
            double[] image = Gram(direction);
            double step = squared / Lbfgs.Dot(direction, image);
            Lbfgs.AddScaled(weights, step, direction);
            Lbfgs.AddScaled(residual, -step, image);
            double next = Lbfgs.Dot(residual, residual);
            for (int f = 0; f < size; f++) direction[f] = residual[f] + next / squared * direction[f];
            squared = next;
        }
        return new(features, weights, mean - Lbfgs.Dot(means, weights));
    }

    public double[] Predict(IReadOnlyList<string> texts)
    {
        double[] predictions = new double[texts.Count];
        Parallel.For(0, texts.Count, i => predictions[i] = intercept + Product(features.Transform(texts[i]), weights));
        return predictions;
    }

    static double Product((int[] Features, double[] Weights) row, double[] vector)
    {
        double sum = 0;
        for (int i = 0; i < row.Features.Length; i++) sum += row.Weights[i] * vector[row.Features[i]];
        return sum;
    }
}
