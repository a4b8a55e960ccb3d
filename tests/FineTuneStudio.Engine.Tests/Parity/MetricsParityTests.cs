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

    static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(v => v.GetInt32())];

    void Same(double expected, double actual) => deviations.Relative("classification metrics", "score", expected, actual, 1e-6);
}
