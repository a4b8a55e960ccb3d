using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Tests.Metrics;

public sealed class MultiLabelTests
{
    [Fact]
    public void Two_equal_models_differ_by_nothing_and_a_better_one_by_more()
    {
        Random random = new(4);
        int[][] truth = [.. Enumerable.Range(0, 600).Select(i => i % 3 == 0 ? new[] { 0 } : i % 3 == 1 ? [1, 2] : [])];
        int[][] Noisy(double right) => [.. truth.Select(t => random.NextDouble() < right ? t : [random.Next(3)])];
        int[][] worse = Noisy(0.5), better = Noisy(0.8);
        Assert.Equal(new Interval(0, 0), MultiLabelClassification.IntervalOfDifference(truth, worse, worse, 3, r => r.MicroF1));
        Interval gain = MultiLabelClassification.IntervalOfDifference(truth, worse, better, 3, r => r.MicroF1);
        Assert.InRange(gain.Low, 0.05, 0.5);
        double value = MultiLabelClassification.Evaluate(truth, better, 3).MacroF1;
        Interval interval = MultiLabelClassification.Interval(truth, better, 3, r => r.MacroF1);
        Assert.InRange(value, interval.Low, interval.High);
    }

    [Fact]
    public void Rows_that_do_not_fit_are_refused_with_a_sentence() =>
        Assert.Equal("Row 0 has the label 3; with 3 labels it must be 0 to 2.", Assert.Throws<ArgumentException>(() => MultiLabelClassification.Evaluate([[0]], [[3]], 3)).Message);

    [Fact]
    public void A_value_that_never_changes_gives_correlations_of_zero()
    {
        RegressionReport report = Regression.Evaluate([1, 1, 1], [0, 1, 2]);
        Assert.Equal((0, 0, 0, 0), (report.Pearson, report.Spearman, report.KendallTauB, report.RSquared));
    }

    [Fact]
    public void The_interval_of_a_correlation_holds_its_value_and_a_better_model_differs_by_more_than_nothing()
    {
        Random random = new(3);
        double[] truth = [.. Enumerable.Range(0, 400).Select(_ => random.NextDouble())], weak = [.. truth.Select(t => t + 2 * random.NextDouble())], good = [.. truth.Select(t => t + 0.2 * random.NextDouble())];
        Interval interval = Regression.Interval(truth, good, Regression.Spearman);
        Assert.InRange(Regression.Spearman(truth, good), interval.Low, interval.High);
        Assert.True(Regression.IntervalOfDifference(truth, weak, good, Regression.Pearson).Low > 0.1);
        Assert.True(Regression.IntervalOfDifference(truth, weak, good, Regression.RootMeanSquaredError).High < 0);
    }
}
