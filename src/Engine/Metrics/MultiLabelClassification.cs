namespace FineTuneStudio.Engine.Metrics;

/// <summary>How sets of predicted labels meet the true ones.</summary>
/// <param name="MicroF1">F1 over all single decisions together, so common labels weigh most.</param>
/// <param name="MacroF1">Mean F1 over all labels, each counting the same; one that neither occurs nor is predicted has 0.</param>
/// <param name="WeightedF1">Mean F1 weighted by support.</param>
/// <param name="SamplesF1">Mean over the rows of each row's own F1; 0 for a row without true and predicted labels.</param>
/// <param name="SamplesJaccard">Mean over the rows of shared labels divided by all labels of both sets, 0 as before.</param>
/// <param name="ExactMatch">Share of rows with exactly their labels (subset accuracy).</param>
/// <param name="HammingLoss">Share of wrong single decisions among rows times labels.</param>
public sealed record MultiLabelReport(int Count, double MicroF1, double MacroF1, double WeightedF1, double SamplesF1, double SamplesJaccard, double ExactMatch, double HammingLoss, IReadOnlyList<LabelScore> PerLabel);

/// <summary>Metrics of rows with any number of labels, equal to scikit-learn's on indicator matrices with zero_division=0.</summary>
public static class MultiLabelClassification
{
    /// <param name="truth">Labels of each row, 0 to labels - 1, each once.</param>
    /// <param name="predictions">The same of what a model says, in the order of <paramref name="truth"/>.</param>
    /// <exception cref="ArgumentException">The lists differ in length, are empty, or hold a label out of range.</exception>
    public static MultiLabelReport Evaluate(IReadOnlyList<IReadOnlyList<int>> truth, IReadOnlyList<IReadOnlyList<int>> predictions, int labels) =>
        Report(Rows(truth, predictions, labels), labels);

    /// <summary>The labels whose probability is at least the threshold.</summary>
    public static int[] Above(IReadOnlyList<float> probabilities, double threshold = 0.5) =>
        [.. Enumerable.Range(0, probabilities.Count).Where(i => probabilities[i] >= threshold)];

    /// <summary>Interval of a metric: percentile bootstrap, stratified by each row's rarest true label, so that no rare label vanishes from most resamples.</summary>
    public static Interval Interval(IReadOnlyList<IReadOnlyList<int>> truth, IReadOnlyList<IReadOnlyList<int>> predictions, int labels, Func<MultiLabelReport, double> metric, int resamples = 1000, int seed = 1, double level = 0.95)
    {
        Row[] rows = Rows(truth, predictions, labels), drawn = new Row[rows.Length];
        return Bootstrap.Resample(Strata(truth, labels), places =>
        {
            for (int i = 0; i < places.Length; i++) drawn[i] = rows[places[i]];
            return metric(Report(drawn, labels));
        }, resamples, seed, level);
    }

    /// <summary>Interval of the difference (second minus first) of a metric between two models on the same rows; both are resampled together.</summary>
    public static Interval IntervalOfDifference(IReadOnlyList<IReadOnlyList<int>> truth, IReadOnlyList<IReadOnlyList<int>> first, IReadOnlyList<IReadOnlyList<int>> second, int labels, Func<MultiLabelReport, double> metric, int resamples = 1000, int seed = 1, double level = 0.95)
    {
        Row[] one = Rows(truth, first, labels), two = Rows(truth, second, labels), drawnOne = new Row[one.Length], drawnTwo = new Row[one.Length];
        return Bootstrap.Resample(Strata(truth, labels), places =>
        {
            for (int i = 0; i < places.Length; i++) (drawnOne[i], drawnTwo[i]) = (one[places[i]], two[places[i]]);
            return metric(Report(drawnTwo, labels)) - metric(Report(drawnOne, labels));
        }, resamples, seed, level);
    }

    sealed record Row(int[] Hits, int[] Missed, int[] Wrong);

    static Row[] Rows(IReadOnlyList<IReadOnlyList<int>> truth, IReadOnlyList<IReadOnlyList<int>> predictions, int labels)
    {
        if (truth.Count != predictions.Count) throw new ArgumentException($"There are {truth.Count} rows of labels but {predictions.Count} of predictions.");
        if (truth.Count == 0) throw new ArgumentException("There are no rows to evaluate.");
        Row[] rows = new Row[truth.Count];
        for (int i = 0; i < rows.Length; i++)
        {
            if (truth[i].Concat(predictions[i]).Where(l => (uint)l >= (uint)labels).Cast<int?>().FirstOrDefault() is { } stray)
                throw new ArgumentException($"Row {i} has the label {stray}; with {labels} labels it must be 0 to {labels - 1}.");
            rows[i] = new([.. truth[i].Intersect(predictions[i])], [.. truth[i].Except(predictions[i])], [.. predictions[i].Except(truth[i])]);
        }
        return rows;
    }

    static MultiLabelReport Report(Row[] rows, int labels)
    {
        int[] hits = new int[labels], missed = new int[labels], wrong = new int[labels];
        double samples = 0, jaccard = 0;
        int exact = 0, errors = 0;
        foreach (Row row in rows)
        {
            foreach (int label in row.Hits) hits[label]++;
            foreach (int label in row.Missed) missed[label]++;
            foreach (int label in row.Wrong) wrong[label]++;
            int apart = row.Missed.Length + row.Wrong.Length;
            samples += Ratio(2 * row.Hits.Length, 2 * row.Hits.Length + apart);
            jaccard += Ratio(row.Hits.Length, row.Hits.Length + apart);
            errors += apart;
            if (apart == 0) exact++;
        }
        LabelScore[] scores = new LabelScore[labels];
        int support = 0, all = 0;
        double macro = 0, weighted = 0;
        for (int label = 0; label < labels; label++)
        {
            int rowsOf = hits[label] + missed[label];
            double f1 = Ratio(2 * hits[label], 2 * hits[label] + missed[label] + wrong[label]);
            scores[label] = new(label, Ratio(hits[label], hits[label] + wrong[label]), Ratio(hits[label], rowsOf), f1, rowsOf);
            macro += f1;
            weighted += f1 * rowsOf;
            support += rowsOf;
            all += hits[label];
        }
        return new(rows.Length, Ratio(2 * all, 2 * all + errors), labels == 0 ? 0 : macro / labels, support == 0 ? 0 : weighted / support,
            samples / rows.Length, jaccard / rows.Length, (double)exact / rows.Length, labels == 0 ? 0 : (double)errors / ((long)rows.Length * labels), scores);
    }

    /// <summary>Rows grouped by the rarest of their true labels; those without any are one group.</summary>
    static int[][] Strata(IReadOnlyList<IReadOnlyList<int>> truth, int labels)
    {
        int[] counts = new int[labels];
        foreach (var row in truth) foreach (int label in row) counts[label]++;
        return [.. Enumerable.Range(0, truth.Count).GroupBy(i => truth[i].Count == 0 ? -1 : truth[i].MinBy(l => (counts[l], l))).OrderBy(g => g.Key).Select(g => g.ToArray())];
    }

    static double Ratio(int part, int whole) => whole == 0 ? 0 : (double)part / whole;
}
