using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Reports;

/// What a report of numbers shows beyond its scores. Points are true and predicted values, a sample where there are many.
public sealed record NumberErrors(double TrainLow, double TrainHigh, double TrainMean, IReadOnlyList<double[]> Points, IReadOnlyList<ErrorRange> Ranges, IReadOnlyList<WrongNumber> Worst);

/// Rows whose true value lies in a range; Bias is the mean of predicted minus true.
public sealed record ErrorRange(double From, double To, int Rows, double Bias, double MeanAbsoluteError);

public sealed record WrongNumber(long RowId, string Text, double True, double Predicted);

/// A number a text: correlations, R² and errors, and two baselines on the same rows.
internal sealed class MeasureRegression : MeasureTestPart
{
    private const int WorstKept = 20, PointsKept = 1500, RangesShown = 5;

    internal override TestNumbers Handle(TestPart part)
    {
        double[] Values(IReadOnlyList<PartRow> rows) => [.. part.Examples(rows).Select(e => ((ScoredText)e).Value)];
        var (test, train) = (Values(part.Test), Values(part.Train));
        double[] said;
        part.Says("Loading the model.");
        using (var model = TextClassifier.Load(part.ModelFolder)) said = [.. Probabilities.Raw(part, model).Select(p => (double)p[0])];
        var baselines = Baselines(part, train, test, said);
        var every = Math.Max(1, (test.Length + PointsKept - 1) / PointsKept);
        var errors = new NumberErrors(train.Min(), train.Max(), train.Average(), [.. Enumerable.Range(0, test.Length).Where(i => i % every == 0).Select(i => new[] { test[i], said[i] })], Ranges(test, said),
            [.. Enumerable.Range(0, test.Length).OrderByDescending(i => Math.Abs(test[i] - said[i])).Take(WorstKept).Select(i => new WrongNumber(part.Test[i].RowId, part.Test[i].Text, test[i], said[i]))]);
        return new(ScoresOf(test, said), [], baselines, [], 0, NumberErrors: errors);
    }

    /// About as many rows in each; equal true values are in one.
    internal static IReadOnlyList<ErrorRange> Ranges(double[] truth, double[] said)
    {
        int[] order = [.. Enumerable.Range(0, truth.Length).OrderBy(i => truth[i])];
        var count = Math.Clamp(truth.Length / 6, 1, RangesShown);
        // The place of the first row with the same value.
        var first = 0;
        return [.. order.Select((i, place) => (i, Range: (int)((long)count * (first = truth[i] == truth[order[first]] ? first : place) / order.Length))).GroupBy(r => r.Range, r => r.i)
            .Select(g => new ErrorRange(g.Min(i => truth[i]), g.Max(i => truth[i]), g.Count(), g.Average(i => said[i] - truth[i]), g.Average(i => Math.Abs(said[i] - truth[i]))))];
    }

    private static Func<IReadOnlyList<double>, IReadOnlyList<double>, double> Of(Metric metric) => metric switch
    {
        Metric.Spearman => Regression.Spearman,
        Metric.RSquared => Regression.RSquared,
        Metric.RootMeanSquaredError => Regression.RootMeanSquaredError,
        Metric.MeanAbsoluteError => Regression.MeanAbsoluteError,
        _ => Regression.Pearson,
    };

    internal static Scores ScoresOf(IReadOnlyList<double> truth, IReadOnlyList<double> said)
    {
        Measured Measure(Metric metric) => Regression.Interval(truth, said, Of(metric)) is var interval ? new(Of(metric)(truth, said), interval.Low, interval.High) : null!;
        return new(truth.Count, TextTask.Regression.Metrics().ToDictionary(m => m, Measure), null, []);
    }

    private static IReadOnlyList<Baseline> Baselines(TestPart part, double[] train, double[] test, double[] said)
    {
        var of = Of(part.Metric);
        Baseline Compare(string name, string how, double[] theirs)
        {
            var difference = Regression.IntervalOfDifference(test, theirs, said, of);
            return new(name, how, ScoresOf(test, theirs), new(of(test, said) - of(test, theirs), difference.Low, difference.High));
        }
        part.Says($"Training the baseline: TF-IDF with ridge regression on {Say.Count(train.Length, "train row")}.");
        var linear = TfIdfRidge.Fit([.. part.Train.Select(r => r.Text)], train, cancel: part.Cancel);
        part.Cancel.ThrowIfCancellationRequested();
        part.Says("Drawing 1,000 resamples for each interval.");
        var mean = train.Average();
        return
        [
            Compare("Train mean", $"Always answers {Say.Score(mean)}, the mean of the train rows; a constant has no correlation, which counts as 0.", [.. test.Select(_ => mean)]),
            Compare("TF-IDF with ridge regression", "Words weighted by TF-IDF, ridge regression (alpha = 1), trained on the same train rows." + WordsUsed(linear.Words), linear.Predict([.. part.Test.Select(r => r.Text)])),
        ];
    }
}
