using FineTuneStudio.Engine.Training;
using FineTuneStudio.Runs;

namespace FineTuneStudio.Tests.Runs;

public sealed class FitTests
{
    private static EvaluationPoint At(int step, double validation, double train, double score = 0.9, double onTrain = 0.92) =>
        new(step, step / 10.0, validation, new Dictionary<Metric, double> { [Metric.Accuracy] = score }, train, onTrain, false);

    [Fact]
    public void A_run_without_evaluations_has_no_reading() => Assert.Null(Fit.Of([], Metric.Accuracy));

    [Fact]
    public void Losses_that_are_no_numbers_come_before_all_else() =>
        Assert.Equal((FitKind.Unstable, 20), Reading(At(10, 1, 1), At(20, double.NaN, 1), At(30, 1, 1)));

    [Fact]
    public void The_curves_name_what_they_show()
    {
        Assert.Equal((FitKind.OverFitting, 20), Reading(At(10, 1, 1), At(20, 0.8, 0.7), At(30, 0.9, 0.5)));
        Assert.Equal((FitKind.UnderFitting, 30), Reading(At(10, 1, 1, 0.1, 0.1), At(20, 0.99, 0.99, 0.1, 0.12), At(30, 0.98, 0.98, 0.1, 0.15)));
        Assert.Equal((FitKind.StillLearning, 30), Reading(At(10, 1, 1), At(20, 0.8, 0.8), At(30, 0.6, 0.6)));
        Assert.Equal((FitKind.WideGap, null), Reading(At(10, 1, 1), At(20, 0.5, 0.4), At(30, 0.5, 0.4, 0.7)));
        Assert.Equal((FitKind.Healthy, null), Reading(At(10, 1, 1), At(20, 0.5, 0.4), At(30, 0.5, 0.4)));
    }

    private static (FitKind, int?) Reading(params EvaluationPoint[] curve) => Fit.Of(curve, Metric.Accuracy, 0.1) is { } fit ? (fit.Kind, fit.Step) : default;

    private static IEnumerable<(double Loss, double GradientNorm)> Falling(int steps, double noise)
    {
        var random = new Random(5);
        for (var i = 0; i < steps; i++) yield return (3 * Math.Exp(-6.0 * i / steps) * (1 + noise * (2 * random.NextDouble() - 1)), 20 * Math.Exp(-3.0 * i / steps));
    }

    [Fact]
    public void A_loss_that_falls_four_hundredfold_and_shakes_has_no_jumps() => Assert.Equal(new Jumps(0, 0, 0), Jumps.Of([.. Falling(800, 0.9)]));

    [Fact]
    public void A_loss_that_shoots_up_is_one_jump_however_long_it_stays_and_what_is_no_number_is_counted()
    {
        List<(double Loss, double GradientNorm)> steps = [.. Falling(400, 0.1)];
        for (var i = 200; i < 205; i++) steps[i] = (6, 300);
        steps[300] = (4, steps[300].GradientNorm);
        steps[399] = (double.NaN, steps[399].GradientNorm);
        Assert.Equal(new Jumps(2, 1, 1), Jumps.Of(steps));
    }

    [Fact]
    public void The_shaking_of_a_loss_that_is_nearly_nothing_is_no_jump() =>
        Assert.Equal(0, Jumps.Of([.. Enumerable.Range(0, 300).Select(i => (i < 100 ? 2.0 : i % 9 == 0 ? 0.1 : 0.001, 1.0))]).Loss);

    [Fact]
    public void A_short_run_is_held_against_its_first_quarter() =>
        Assert.Equal(1, Jumps.Of([.. Enumerable.Range(0, 30).Select(i => (i == 20 ? 9.0 : 1.0, 1.0))]).Loss);
}
