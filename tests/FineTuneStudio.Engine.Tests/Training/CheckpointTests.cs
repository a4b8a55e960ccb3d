using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

public sealed class CheckpointTests
{
    private static readonly RunState Begin = new(0, 0, null, 0, null, null, "recipe", "data");

    /// <summary>Steps of the best checkpoint and the wait of early stopping, after each evaluation.</summary>
    private static (int Best, int Wait)[] After(Metric metric, params (double Value, double Loss)[] evaluations)
    {
        var (state, seen) = (Begin, new List<(int, int)>());
        foreach (var (value, loss) in evaluations)
        {
            state = (state with { Step = state.Step + 1 }).Evaluated(metric, value, loss);
            seen.Add((state.BestStep, state.EvaluationsWithoutImprovement));
        }
        return [.. seen];
    }

    [Fact]
    public void Of_the_same_score_the_lower_validation_loss_is_better_and_begins_the_wait_again() =>
        Assert.Equal([(1, 0), (2, 0), (2, 1), (2, 2), (5, 0)], After(Metric.MicroF1, (0, 0.7), (0, 0.6), (0, 0.6), (0, 0.65), (0, 0.55)));

    [Fact]
    public void A_better_score_is_better_at_any_loss_and_a_worse_one_at_none()
    {
        Assert.Equal([(1, 0), (2, 0), (2, 1), (2, 2), (5, 0)], After(Metric.MicroF1, (0.5, 0.4), (0.6, 0.9), (0.5, 0.1), (0.6, 0.9), (0.6, 0.8)));
        Assert.Equal([(1, 0), (1, 1), (3, 0), (4, 0)], After(Metric.RootMeanSquaredError, (2, 0.4), (3, 0.1), (1, 0.9), (1, 0.8)));
    }

    [Fact]
    public void A_loss_alone_has_to_fall() => Assert.Equal([(1, 0), (1, 1), (3, 0)], After(Metric.ValidationLoss, (0.5, 0.5), (0.5, 0.5), (0.4, 0.4)));

    [Fact]
    public void A_checkpoint_that_is_older_than_the_rule_keeps_its_best_at_a_tie_and_learns_its_loss_with_the_next_better_value()
    {
        var old = Begin with { Step = 4, BestStep = 2, BestMetric = 0.5, EvaluationsWithoutImprovement = 1 };
        Assert.False(old.IsImprovedBy(Metric.Accuracy, 0.4, 0.1));
        Assert.False(old.IsImprovedBy(Metric.Accuracy, 0.5, 0.1));
        Assert.True((old with { BestMetric = 0 }).IsImprovedBy(Metric.MicroF1, 0, 0.9));
        var next = old.Evaluated(Metric.Accuracy, 0.6, 0.3);
        Assert.Equal((4, 0.3, 0), (next.BestStep, next.BestLoss, next.EvaluationsWithoutImprovement));
        Assert.False(next.IsImprovedBy(Metric.Accuracy, 0.6, 0.3));
    }
}
