using System.Diagnostics;
using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Tests.Metrics;

public sealed class BootstrapTests
{
    static (int[] Labels, int[] Predictions) Rows(int count, int classes, double accuracy, int seed)
    {
        Random random = new(seed);
        int[] labels = [.. Enumerable.Range(0, count).Select(i => i % classes)];
        return (labels, [.. labels.Select(l => random.NextDouble() < accuracy ? l : random.Next(classes))]);
    }

    [Fact]
    public void The_interval_of_an_accuracy_is_close_to_the_normal_approximation()
    {
        var (labels, predictions) = Rows(2000, 4, 0.8, 3);
        double accuracy = Classification.Evaluate(labels, predictions, 4).Accuracy;
        Interval interval = Bootstrap.Of(labels, predictions, 4, r => r.Accuracy);
        double half = 1.96 * Math.Sqrt(accuracy * (1 - accuracy) / 2000);
        Assert.InRange(interval.Low, accuracy - half - 0.004, accuracy - half + 0.004);
        Assert.InRange(interval.High, accuracy + half - 0.004, accuracy + half + 0.004);
    }

    [Fact]
    public void The_same_seed_gives_the_same_interval_and_another_seed_another()
    {
        var (labels, predictions) = Rows(300, 3, 0.7, 5);
        Interval one = Bootstrap.Of(labels, predictions, 3, r => r.MacroF1, seed: 7);
        Assert.Equal(one, Bootstrap.Of(labels, predictions, 3, r => r.MacroF1, seed: 7));
        Assert.NotEqual(one, Bootstrap.Of(labels, predictions, 3, r => r.MacroF1, seed: 8));
    }

    [Fact]
    public void A_resample_keeps_the_number_of_rows_of_each_label()
    {
        int[] labels = [0, 0, 0, 0, 0, 0, 0, 1], predictions = [0, 0, 0, 1, 0, 0, 0, 1];
        Bootstrap.Of(labels, predictions, 2, r =>
        {
            Assert.Equal((7, 1), (r.PerLabel[0].Support, r.PerLabel[1].Support));
            return r.Accuracy;
        }, resamples: 50);
    }

    [Fact]
    public void Two_equal_models_differ_by_exactly_nothing_and_a_better_one_by_more_than_nothing()
    {
        var (labels, worse) = Rows(1000, 5, 0.6, 1);
        var (_, better) = Rows(1000, 5, 0.8, 2);
        Assert.Equal(new Interval(0, 0), Bootstrap.OfDifference(labels, worse, worse, 5, r => r.Accuracy));
        Interval gain = Bootstrap.OfDifference(labels, worse, better, 5, r => r.MacroF1);
        Assert.InRange(gain.Low, 0.05, 0.25);
        Assert.InRange(gain.High, gain.Low, 0.3);
    }

    [Fact]
    public void A_thousand_resamples_of_three_thousand_rows_in_77_labels_take_well_under_two_seconds()
    {
        var (labels, predictions) = Rows(3080, 77, 0.85, 1);
        Stopwatch watch = Stopwatch.StartNew();
        Bootstrap.Of(labels, predictions, 77, r => r.MacroF1);
        Assert.InRange(watch.ElapsedMilliseconds, 0, 2000);
    }

    [Fact]
    public void Rows_that_do_not_fit_are_refused_with_a_sentence()
    {
        Assert.Equal("There are 2 labels but 1 predictions.", Assert.Throws<ArgumentException>(() => Classification.Evaluate([0, 1], [0], 2)).Message);
        Assert.Equal("There are no rows to evaluate.", Assert.Throws<ArgumentException>(() => Classification.Evaluate([], [], 2)).Message);
        Assert.Equal("Row 1 has the prediction 2; with 2 classes it must be 0 to 1.", Assert.Throws<ArgumentException>(() => Classification.Evaluate([0, 1], [0, 2], 2)).Message);
        Assert.Equal("Row 0 has the label -1; with 2 classes it must be 0 to 1.", Assert.Throws<ArgumentException>(() => Bootstrap.Of([-1], [0], 2, r => r.Accuracy)).Message);
    }

    [Fact]
    public void A_label_that_never_occurs_does_not_lower_the_macro_f1()
    {
        ClassificationReport report = Classification.Evaluate([0, 1], [0, 1], 5);
        Assert.Equal(1, report.MacroF1);
        Assert.Equal(5, report.PerLabel.Count);
        Assert.Equal(0, report.PerLabel[4].F1);
    }
}
