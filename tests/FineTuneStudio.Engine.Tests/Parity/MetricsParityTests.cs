using System.Text.Json;
using FineTuneStudio.Engine.Metrics;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

public sealed class MetricsParityTests(ITestOutputHelper output) : IDisposable
{
    readonly Deviations deviations = new(output);
    public void Dispose() => deviations.Dispose();

    [Theory]
    [InlineData("multiclass", 4)]
    [InlineData("multiclass_never_predicted", 3)]
    public void Classification_gives_the_numbers_of_the_reference(string topic, int classes)
    {
        JsonElement entry = Repository.GoldenJson("classification.json").GetProperty(topic), expected = entry.GetProperty("expected");
        ClassificationReport report = Classification.Evaluate(Ints(entry.GetProperty("inputs").GetProperty("y_true")), Ints(entry.GetProperty("inputs").GetProperty("y_pred")), classes);

        Same(expected.GetProperty("f1_macro").GetDouble(), report.MacroF1);
        JsonElement perLabel = expected.TryGetProperty("per_class", out JsonElement inner) ? inner : expected;
        foreach (LabelScore score in report.PerLabel)
        {
            Same(perLabel.GetProperty("precision")[score.Label].GetDouble(), score.Precision);
            Same(perLabel.GetProperty("recall")[score.Label].GetDouble(), score.Recall);
            Same(perLabel.GetProperty("f1")[score.Label].GetDouble(), score.F1);
            if (perLabel.TryGetProperty("support", out JsonElement support)) Assert.Equal(support[score.Label].GetInt32(), score.Support);
        }
        if (topic != "multiclass") return;
        Same(expected.GetProperty("accuracy").GetDouble(), report.Accuracy);
        Same(expected.GetProperty("f1_weighted").GetDouble(), report.WeightedF1);
        Assert.Equal(expected.GetProperty("confusion_matrix_rows_true").EnumerateArray().Select(Ints), report.Confusion);
    }

    [Fact]
    public void Several_labels_give_the_numbers_of_the_reference()
    {
        JsonElement entry = Repository.GoldenJson("classification.json").GetProperty("multilabel"), expected = entry.GetProperty("expected");
        IReadOnlyList<int>[] Sets(string name) => [.. entry.GetProperty("inputs").GetProperty(name).EnumerateArray().Select(row => Ints(row).Select((has, label) => (has, label)).Where(l => l.has == 1).Select(l => l.label).ToArray())];
        MultiLabelReport report = MultiLabelClassification.Evaluate(Sets("y_true"), Sets("y_pred"), 3);
        foreach (var (name, value) in new[] { ("subset_accuracy", report.ExactMatch), ("hamming_loss", report.HammingLoss), ("f1_micro", report.MicroF1), ("f1_macro", report.MacroF1), ("f1_weighted", report.WeightedF1), ("f1_samples", report.SamplesF1), ("jaccard_samples", report.SamplesJaccard) })
            deviations.Relative("multi-label metrics", name, expected.GetProperty(name).GetDouble(), value, 1e-6);
    }

    [Fact]
    public void Predicted_numbers_give_the_numbers_of_the_reference()
    {
        JsonElement entry = Repository.GoldenJson("classification.json").GetProperty("regression"), expected = entry.GetProperty("expected");
        double[] Values(string name) => [.. entry.GetProperty("inputs").GetProperty(name).EnumerateArray().Select(v => v.GetDouble())];
        RegressionReport report = Regression.Evaluate(Values("y_true"), Values("y_pred"));
        foreach (var (name, value) in new[] { ("mse", report.MeanSquaredError), ("rmse", report.RootMeanSquaredError), ("mae", report.MeanAbsoluteError), ("median_ae", report.MedianAbsoluteError), ("r2", report.RSquared),
            ("explained_variance", report.ExplainedVariance), ("pearson", report.Pearson), ("spearman", report.Spearman), ("kendall_tau_b", report.KendallTauB), ("max_error", report.MaxError) })
            deviations.Relative("regression metrics", name, expected.GetProperty(name).GetDouble(), value, 1e-6);
    }

    static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(v => v.GetInt32())];

    void Same(double expected, double actual) => deviations.Relative("classification metrics", "score", expected, actual, 1e-6);
}
