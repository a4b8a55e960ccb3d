using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Reports;

/// What a report of several labels a text shows beyond its scores. A pair is a label that was missed and one that was said instead.
public sealed record LabelSets(double Threshold, double HammingLoss, double SamplesF1, int NoneSaid, int WrongRows, IReadOnlyList<WrongSet> Worst, IReadOnlyList<SwappedLabels> Swapped);

public sealed record WrongSet(long RowId, string Text, IReadOnlyList<string> Missed, IReadOnlyList<string> Wrong, IReadOnlyList<string> Right);

public sealed record SwappedLabels(string Missed, string Said, int Rows);

/// Any number of labels a text: micro- and macro-F1, exact match, and two baselines on the same rows.
internal sealed class MeasureMultiLabel : MeasureTestPart
{
    internal const double Threshold = 0.5;
    private const int WorstKept = 20, PairsKept = 15;

    internal override TestNumbers Handle(TestPart part)
    {
        IReadOnlyList<int>[] Sets(IReadOnlyList<PartRow> rows) => [.. part.Examples(rows).Select(e => ((MultiLabeledText)e).Labels)];
        var (test, train) = (Sets(part.Test), Sets(part.Train));
        IReadOnlyList<int>[] said = [.. Probabilities.Of(part).Select(p => MultiLabelClassification.Above(p, Threshold))];
        var report = MultiLabelClassification.Evaluate(test, said, part.Labels.Count);
        var baselines = Baselines(part, train, test, said);
        string[] Names(IEnumerable<int> labels) => [.. labels.Select(l => part.Labels[l])];
        var wrong = Enumerable.Range(0, test.Length).Select(i => (Row: part.Test[i], Missed: test[i].Except(said[i]).ToList(), Wrong: said[i].Except(test[i]).ToList(), Right: test[i].Intersect(said[i]).ToList()))
            .Where(r => r.Missed.Count + r.Wrong.Count > 0).ToList();
        var sets = new LabelSets(Threshold, report.HammingLoss, report.SamplesF1, said.Count(s => s.Count == 0), wrong.Count,
            [.. wrong.OrderByDescending(r => r.Missed.Count + r.Wrong.Count).ThenBy(r => r.Row.RowId).Take(WorstKept).Select(r => new WrongSet(r.Row.RowId, r.Row.Text, Names(r.Missed), Names(r.Wrong), Names(r.Right)))],
            [.. wrong.SelectMany(r => r.Missed.SelectMany(m => r.Wrong.Select(w => (m, w)))).CountBy(p => p).OrderByDescending(p => p.Value).ThenBy(p => p.Key).Take(PairsKept).Select(p => new SwappedLabels(part.Labels[p.Key.m], part.Labels[p.Key.w], p.Value))]);
        return new(ScoresOf(test, said, part.Labels.Count), [], baselines, [], wrong.Count, LabelSets: sets);
    }

    private static Func<MultiLabelReport, double> Of(Metric metric) => metric switch
    {
        Metric.MacroF1 => r => r.MacroF1,
        Metric.ExactMatch => r => r.ExactMatch,
        _ => r => r.MicroF1,
    };

    internal static Scores ScoresOf(IReadOnlyList<IReadOnlyList<int>> truth, IReadOnlyList<IReadOnlyList<int>> said, int labels)
    {
        var report = MultiLabelClassification.Evaluate(truth, said, labels);
        Measured Measure(Metric metric) => MultiLabelClassification.Interval(truth, said, labels, Of(metric)) is var interval ? new(Of(metric)(report), interval.Low, interval.High) : null!;
        return new(report.Count, TextTask.MultiLabel.Metrics().ToDictionary(m => m, Measure), report.WeightedF1, report.PerLabel);
    }

    private static IReadOnlyList<Baseline> Baselines(TestPart part, IReadOnlyList<int>[] train, IReadOnlyList<int>[] test, IReadOnlyList<int>[] said)
    {
        var of = Of(part.Metric);
        Baseline Compare(string name, string how, IReadOnlyList<int>[] theirs)
        {
            var difference = MultiLabelClassification.IntervalOfDifference(test, theirs, said, part.Labels.Count, of);
            var value = of(MultiLabelClassification.Evaluate(test, said, part.Labels.Count)) - of(MultiLabelClassification.Evaluate(test, theirs, part.Labels.Count));
            return new(name, how, ScoresOf(test, theirs, part.Labels.Count), new(value, difference.Low, difference.High));
        }
        var majority = MajorityLabels.Fit(train, part.Labels.Count).Labels;
        part.Says($"Training the baseline: TF-IDF with a logistic regression for each label on {Say.Count(train.Length, "train row")}.");
        var linear = TfIdfOneVsRest.Fit([.. part.Train.Select(r => r.Text)], train, part.Labels.Count, cancel: part.Cancel);
        part.Cancel.ThrowIfCancellationRequested();
        part.Says("Drawing 1,000 resamples for each interval.");
        return
        [
            Compare("Most frequent labels", $"Always answers {string.Join(" and ", majority.Take(5).Select(l => $"“{part.Labels[l]}”"))}: as many of the most frequent train labels as give the best micro-F1 there.", [.. test.Select(_ => majority)]),
            Compare("TF-IDF with logistic regressions", "Words weighted by TF-IDF, one logistic regression for each label (C = 1), trained on the same train rows." + WordsUsed(linear.Words), [.. linear.Predict([.. part.Test.Select(r => r.Text)])]),
        ];
    }
}

/// What a classifier's model says for the test part.
internal static class Probabilities
{
    /// In the order of the version's labels, whatever the order in the model folder.
    internal static float[][] Of(TestPart part)
    {
        part.Says("Loading the model.");
        using var classifier = TextClassifier.Load(part.ModelFolder);
        var column = part.Labels.Select(l => classifier.Labels.ToList().IndexOf(l)).ToArray();
        if (column.Contains(-1) || classifier.Labels.Count != part.Labels.Count)
            throw new ReportRefused($"The model of run {part.RunNumber} knows {Say.Count(classifier.Labels.Count, "label")}, but the data version has {Say.Count(part.Labels.Count)}; they must be the same. Launch the run again.");
        return [.. Raw(part, classifier).Select(row => column.Select(c => row[c]).ToArray())];
    }

    internal static float[][] Raw(TestPart part, TextClassifier classifier) => classifier.Predict([.. part.Test.Select(r => r.Text)], part.MaxLength, 32, done =>
    {
        part.Cancel.ThrowIfCancellationRequested();
        part.Says($"Scoring the test part: {Say.Count(done)} of {Say.Count(part.Test.Count, "row")}.");
    });
}
