using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Reports;

/// One label a text: accuracy, macro-F1, the confusion of labels, and two baselines on the same rows.
internal sealed class MeasureSingleLabel : MeasureTestPart
{
    private const int MistakesKept = 20;

    internal override TestNumbers Handle(TestPart part)
    {
        var (test, train) = (part.LabelsOf(part.Test), part.LabelsOf(part.Train));
        var probabilities = Probabilities.Of(part);
        var predicted = probabilities.Select(p => Array.IndexOf(p, p.Max())).ToArray();
        var model = ScoresOf(test, predicted, part.Labels.Count, out var confusion);
        var baselines = Baselines(part, train, test, predicted);
        var wrong = Enumerable.Range(0, test.Count).Where(i => predicted[i] != test[i]).ToList();
        IReadOnlyList<Mistake> mistakes = [.. wrong.OrderByDescending(i => probabilities[i][predicted[i]]).Take(MistakesKept)
            .Select(i => new Mistake(part.Test[i].RowId, part.Test[i].Text, part.Labels[test[i]], part.Labels[predicted[i]], probabilities[i][predicted[i]], probabilities[i][test[i]]))];
        return new(model, confusion, baselines, mistakes, wrong.Count);
    }

    internal static Scores ScoresOf(IReadOnlyList<int> labels, IReadOnlyList<int> predictions, int classes, out int[][] confusion)
    {
        var report = Classification.Evaluate(labels, predictions, classes);
        Interval accuracy = Bootstrap.Of(labels, predictions, classes, r => r.Accuracy), macro = Bootstrap.Of(labels, predictions, classes, r => r.MacroF1);
        confusion = report.Confusion;
        return new(report.Count, new Dictionary<Metric, Measured> { [Metric.MacroF1] = new(report.MacroF1, macro.Low, macro.High), [Metric.Accuracy] = new(report.Accuracy, accuracy.Low, accuracy.High) }, report.WeightedF1, report.PerLabel);
    }

    private static IReadOnlyList<Baseline> Baselines(TestPart part, IReadOnlyList<int> train, IReadOnlyList<int> test, IReadOnlyList<int> predicted)
    {
        Func<ClassificationReport, double> of = part.Metric == Metric.MacroF1 ? r => r.MacroF1 : r => r.Accuracy;
        Baseline Compare(string name, string how, IReadOnlyList<int> theirs)
        {
            var scores = ScoresOf(test, theirs, part.Labels.Count, out _);
            var difference = Bootstrap.OfDifference(test, theirs, predicted, part.Labels.Count, of);
            return new(name, how, scores, new(of(Classification.Evaluate(test, predicted, part.Labels.Count)) - of(Classification.Evaluate(test, theirs, part.Labels.Count)), difference.Low, difference.High));
        }
        var majority = MajorityLabel.Fit(train, part.Labels.Count).Label;
        part.Says($"Training the baseline: TF-IDF with logistic regression on {Say.Count(train.Count, "train row")}.");
        var linear = TfIdfLogisticRegression.Fit([.. part.Train.Select(r => r.Text)], train, part.Labels.Count, part.Cancel);
        part.Cancel.ThrowIfCancellationRequested();
        part.Says("Drawing 1,000 resamples for each interval.");
        return
        [
            Compare("Majority label", $"Always answers “{part.Labels[majority]}”, the most frequent train label.", [.. Enumerable.Repeat(majority, test.Count)]),
            Compare("TF-IDF with logistic regression", "Words weighted by TF-IDF, logistic regression (C = 1), trained on the same train rows." + WordsUsed(linear.Words), linear.Predict([.. part.Test.Select(r => r.Text)])),
        ];
    }
}
