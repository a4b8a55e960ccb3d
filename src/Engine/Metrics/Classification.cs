namespace FineTuneStudio.Engine.Metrics;

/// <summary>Scores of one label. A score whose denominator is zero is 0, as with scikit-learn's zero_division=0.</summary>
/// <param name="Support">Rows whose true label this is.</param>
public sealed record LabelScore(int Label, double Precision, double Recall, double F1, int Support);

/// <summary>How predictions meet the true labels.</summary>
/// <param name="MacroF1">Mean F1 over the labels that occur among the true or the predicted labels, each counting the same.</param>
/// <param name="WeightedF1">Mean F1 weighted by support.</param>
/// <param name="PerLabel">One entry a label, also for labels that do not occur.</param>
/// <param name="Confusion">Counts; rows are true labels, columns predicted ones.</param>
public sealed record ClassificationReport(int Count, double Accuracy, double MacroF1, double WeightedF1, IReadOnlyList<LabelScore> PerLabel, int[][] Confusion);

/// <summary>Metrics of single-label classification, equal to scikit-learn's precision_recall_fscore_support.</summary>
public static class Classification
{
    /// <param name="labels">True label of each row, 0 to classes - 1.</param>
    /// <param name="predictions">Predicted label of each row, in the same order.</param>
    /// <exception cref="ArgumentException">The lists differ in length, are empty, or hold a label out of range.</exception>
    public static ClassificationReport Evaluate(IReadOnlyList<int> labels, IReadOnlyList<int> predictions, int classes) =>
        Report(Confusion(labels, predictions, classes));

    internal static int[][] Confusion(IReadOnlyList<int> labels, IReadOnlyList<int> predictions, int classes)
    {
        Check(labels, predictions, classes);
        int[][] confusion = Square(classes);
        for (int i = 0; i < labels.Count; i++) confusion[labels[i]][predictions[i]]++;
        return confusion;
    }

    internal static void Check(IReadOnlyList<int> labels, IReadOnlyList<int> predictions, int classes)
    {
        if (labels.Count != predictions.Count) throw new ArgumentException($"There are {labels.Count} labels but {predictions.Count} predictions.");
        if (labels.Count == 0) throw new ArgumentException("There are no rows to evaluate.");
        for (int i = 0; i < labels.Count; i++)
        {
            if ((uint)labels[i] >= (uint)classes) throw new ArgumentException($"Row {i} has the label {labels[i]}; with {classes} classes it must be 0 to {classes - 1}.");
            if ((uint)predictions[i] >= (uint)classes) throw new ArgumentException($"Row {i} has the prediction {predictions[i]}; with {classes} classes it must be 0 to {classes - 1}.");
        }
    }

    internal static int[][] Square(int classes) => [.. Enumerable.Range(0, classes).Select(_ => new int[classes])];

    /// <summary>All metrics from a confusion matrix (rows true, columns predicted).</summary>
    internal static ClassificationReport Report(int[][] confusion)
    {
        int classes = confusion.Length, count = 0, right = 0, present = 0;
        int[] predicted = new int[classes];
        foreach (int[] row in confusion)
        {
            for (int p = 0; p < classes; p++) predicted[p] += row[p];
        }
        LabelScore[] scores = new LabelScore[classes];
        double sum = 0, weighted = 0;
        for (int label = 0; label < classes; label++)
        {
            int support = confusion[label].Sum(), hits = confusion[label][label];
            double precision = Ratio(hits, predicted[label]), recall = Ratio(hits, support), f1 = Ratio(2 * hits, support + predicted[label]);
            scores[label] = new(label, precision, recall, f1, support);
            count += support;
            right += hits;
            sum += f1;
            weighted += f1 * support;
            if (support + predicted[label] > 0) present++;
        }
        return new(count, Ratio(right, count), present == 0 ? 0 : sum / present, count == 0 ? 0 : weighted / count, scores, confusion);
    }

    static double Ratio(int part, int whole) => whole == 0 ? 0 : (double)part / whole;
}
