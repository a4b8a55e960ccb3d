using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Tests.Metrics;

public sealed class RegressionTests
{
    [Fact]
    public void What_never_changes_has_no_correlation_and_no_variance_to_explain_whatever_its_mean_rounds_to()
    {
        double[] tenths = [.. Enumerable.Repeat(0.1, 10)], sevenths = [.. Enumerable.Repeat(0.7, 10)], others = [.. Enumerable.Range(0, 10).Select(i => i * 0.3)];
        Assert.NotEqual(0.1, tenths.Average());
        foreach (var (truth, predictions) in new[] { (tenths, sevenths), (tenths, others), (others, tenths) })
            Assert.Equal((0, 0), (Regression.Pearson(truth, predictions), Regression.Spearman(truth, predictions)));
        // As scikit-learn has it: 1 for a constant that is met, and else 0.
        Assert.Equal((0, 0), (Regression.RSquared(tenths, others), Regression.ExplainedVariance(tenths, others)));
        Assert.Equal((0, 1), (Regression.RSquared(tenths, sevenths), Regression.ExplainedVariance(tenths, sevenths)));
        Assert.Equal((1, 1), (Regression.RSquared(tenths, tenths), Regression.ExplainedVariance(tenths, tenths)));
    }
}
