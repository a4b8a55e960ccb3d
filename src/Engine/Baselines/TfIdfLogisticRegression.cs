namespace FineTuneStudio.Engine.Baselines;

/// <summary>
/// Logistic regression on TF-IDF of single words: the optimum that scikit-learn's TfidfVectorizer() and
/// LogisticRegression(C=1) converge to with their defaults (multinomial loss summed over rows plus half the squared
/// weights, biases free; with two labels one weight vector). Deterministic on any number of processors.
/// </summary>
public sealed class TfIdfLogisticRegression
{
    /// <summary>Largest number of weights; beyond it only the most frequent words are kept, so that memory stays below about 1 GB.</summary>
    const int MaxWeights = 4_000_000;

    readonly TfIdf features;
    readonly int[] present;
    readonly int outputs;
    readonly double[] weights;

    TfIdfLogisticRegression(TfIdf features, int[] present, int outputs, double[] weights, double objective, int iterations)
    {
        (this.features, this.present, this.outputs, this.weights) = (features, present, outputs, weights);
        (Objective, Iterations) = (objective, iterations);
    }

    /// <summary>Loss summed over the training rows plus half the squared weights, at the optimum found.</summary>
    internal double Objective { get; }

    /// <summary>Steps that the optimizer took.</summary>
    internal int Iterations { get; }

    /// <summary>Words that it weighs, and the different words in its training texts; fewer where there would be too many weights.</summary>
    public (int Used, int Seen) Words => (features.Count, features.Seen);

    /// <summary>Fits on all processors. A label without a row is never predicted.</summary>
    /// <param name="labels">One a text, 0 to classes - 1.</param>
    /// <exception cref="ArgumentException">There are no rows, the lists differ in length, or a label is out of range.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TfIdfLogisticRegression Fit(IReadOnlyList<string> texts, IReadOnlyList<int> labels, int classes, CancellationToken cancel = default)
    {
        if (texts.Count != labels.Count) throw new ArgumentException($"There are {texts.Count} texts but {labels.Count} labels.");
        if (texts.Count == 0) throw new ArgumentException("There are no training rows to fit on.");
        for (int i = 0; i < labels.Count; i++)
        {
            if ((uint)labels[i] >= (uint)classes) throw new ArgumentException($"Row {i} has the label {labels[i]}; with {classes} classes it must be 0 to {classes - 1}.");
        }
        int[] present = [.. labels.Distinct().Order()];
        int outputs = present.Length <= 2 ? 1 : present.Length;
        TfIdf features = TfIdf.Fit(texts, MaxWeights / outputs, cancel);
        // One row of outputs a feature, and the biases as the last row.
        double[] weights = new double[(features.Count + 1) * outputs];
        if (present.Length == 1) return new(features, present, outputs, weights, 0, 0);

        int[] targets = [.. labels.Select(l => Array.BinarySearch(present, l))];
        Problem problem = new(Rows(texts, features, cancel), targets, features.Count, outputs, cancel);
        var (objective, iterations) = Lbfgs.Minimize(weights, problem.Evaluate, gradientTolerance: 1e-4, relativeTolerance: 1e-9, maxIterations: 500);
        return new(features, present, outputs, weights, objective, iterations);
    }

    static (int[] Features, double[] Weights)[] Rows(IReadOnlyList<string> texts, TfIdf features, CancellationToken cancel)
    {
        var rows = new (int[], double[])[texts.Count];
        Parallel.For(0, texts.Count, new ParallelOptions { CancellationToken = cancel }, i => rows[i] = features.Transform(texts[i]));
        return rows;
    }

    /// <summary>The most likely label of each text; of equally likely ones the first.</summary>
    public int[] Predict(IReadOnlyList<string> texts)
    {
        int[] predictions = new int[texts.Count];
        Parallel.For(0, texts.Count, i =>
        {
            double[] scores = Scores(texts[i]);
            int best = outputs == 1 ? (scores[0] > 0 && present.Length == 2 ? 1 : 0) : Array.IndexOf(scores, scores.Max());
            predictions[i] = present[best];
        });
        return predictions;
    }

    /// <summary>Decision values before the softmax (or, with two labels, before the sigmoid for the second).</summary>
    internal double[] Scores(string text)
    {
        double[] scores = new double[outputs];
        var (indices, values) = features.Transform(text);
        AddScores((indices, values), weights, features.Count, outputs, scores);
        return scores;
    }

    static void AddScores((int[] Features, double[] Weights) row, double[] weights, int biases, int outputs, Span<double> scores)
    {
        weights.AsSpan(biases * outputs, outputs).CopyTo(scores);
        for (int i = 0; i < row.Features.Length; i++) Lbfgs.AddScaled(scores, row.Weights[i], weights.AsSpan(row.Features[i] * outputs, outputs));
    }

    /// <summary>Objective and gradient over all rows.</summary>
    sealed class Problem
    {
        readonly (int[] Features, double[] Weights)[] rows;
        readonly (int[] Rows, double[] Weights)[] columns;
        readonly int[] targets;
        readonly int features, outputs;
        readonly double[] residuals, losses;
        readonly ParallelOptions parallel;

        public Problem((int[] Features, double[] Weights)[] rows, int[] targets, int features, int outputs, CancellationToken cancel)
        {
            (this.rows, this.targets, this.features, this.outputs) = (rows, targets, features, outputs);
            residuals = new double[(long)rows.Length * outputs];
            losses = new double[rows.Length];
            parallel = new() { CancellationToken = cancel };

            int[] counts = new int[features];
            foreach (var row in rows) foreach (int feature in row.Features) counts[feature]++;
            columns = [.. counts.Select(c => (new int[c], new double[c]))];
            Array.Clear(counts);
            for (int r = 0; r < rows.Length; r++)
            {
                for (int i = 0; i < rows[r].Features.Length; i++)
                {
                    int feature = rows[r].Features[i], at = counts[feature]++;
                    columns[feature].Rows[at] = r;
                    columns[feature].Weights[at] = rows[r].Weights[i];
                }
            }
        }

        public double Evaluate(double[] weights, double[] gradient)
        {
            // Each row and each feature is summed by one thread in a fixed order, so the result never depends on their number.
            Parallel.For(0, rows.Length, parallel, r =>
            {
                Span<double> scores = residuals.AsSpan(r * outputs, outputs);
                AddScores(rows[r], weights, features, outputs, scores);
                losses[r] = outputs == 1 ? Sigmoid(scores, targets[r]) : Softmax(scores, targets[r]);
            });
            Parallel.For(0, features, parallel, f =>
            {
                Span<double> sums = gradient.AsSpan(f * outputs, outputs);
                weights.AsSpan(f * outputs, outputs).CopyTo(sums);
                var (atRows, values) = columns[f];
                for (int i = 0; i < atRows.Length; i++) Lbfgs.AddScaled(sums, values[i], residuals.AsSpan(atRows[i] * outputs, outputs));
            });
            Span<double> biases = gradient.AsSpan(features * outputs, outputs);
            biases.Clear();
            for (int r = 0; r < rows.Length; r++) Lbfgs.AddScaled(biases, 1, residuals.AsSpan(r * outputs, outputs));
            ReadOnlySpan<double> penalized = weights.AsSpan(0, features * outputs);
            return losses.Sum() + Lbfgs.Dot(penalized, penalized) / 2;
        }

        /// <summary>Turns scores into probability minus truth and gives the loss.</summary>
        static double Softmax(Span<double> scores, int target)
        {
            double most = scores[0], sum = 0;
            foreach (double score in scores) most = Math.Max(most, score);
            double own = scores[target] - most;
            for (int k = 0; k < scores.Length; k++) sum += scores[k] = Math.Exp(scores[k] - most);
            for (int k = 0; k < scores.Length; k++) scores[k] /= sum;
            scores[target] -= 1;
            return Math.Log(sum) - own;
        }

        static double Sigmoid(Span<double> scores, int target)
        {
            double signed = target == 1 ? scores[0] : -scores[0];
            scores[0] = 1 / (1 + Math.Exp(-scores[0])) - target;
            return signed > 0 ? Math.Log(1 + Math.Exp(-signed)) : Math.Log(1 + Math.Exp(signed)) - signed;
        }
    }
}
