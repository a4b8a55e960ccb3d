using System.Text.Json;
using FineTuneStudio.Engine.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>The training losses against torch's and torchvision's, at the 1e-5 that goldens/README.md allows values that passed through float32.</summary>
[Collection("training")]
public class LossParityTests
{
    [Theory]
    [InlineData("ce")]
    [InlineData("ce_label_smoothing_torch")]
    [InlineData("ce_class_weighted")]
    [InlineData("ce_class_weighted_label_smoothing")]
    public void The_loss_equals_the_reference(string golden)
    {
        using var scope = NewDisposeScope();
        var entry = Repository.GoldenJson("losses.json").GetProperty(golden);
        var inputs = entry.GetProperty("inputs");
        var expected = entry.GetProperty("expected") is { ValueKind: JsonValueKind.Object } several ? several.GetProperty("mean").GetDouble() : entry.GetProperty("expected").GetDouble();
        using var loss = new TrainingLoss(inputs.TryGetProperty("epsilon", out var epsilon) ? epsilon.GetDouble() : 0, 0,
            inputs.TryGetProperty("weight", out var weight) ? weight.EnumerateArray().Select(w => w.GetDouble()).ToArray() : null);
        Near(expected, loss.Mean(Logits(inputs.GetProperty("logits")), Labels(inputs)));
    }

    /// <summary>With two labels and logits (0, z) a softmax is the sigmoid of z, and the weights of the labels are alpha's two sides.</summary>
    [Fact]
    public void The_focal_loss_of_two_labels_equals_the_reference()
    {
        using var scope = NewDisposeScope();
        var entry = Repository.GoldenJson("losses.json").GetProperty("sigmoid_focal");
        var inputs = entry.GetProperty("inputs");
        double alpha = inputs.GetProperty("alpha").GetDouble(), gamma = inputs.GetProperty("gamma").GetDouble();
        var labels = inputs.GetProperty("targets").EnumerateArray().Select(t => (long)t.GetDouble()).ToArray();
        var logits = tensor(inputs.GetProperty("logits").EnumerateArray().SelectMany(z => new[] { 0f, z.GetSingle() }).ToArray(), [labels.Length, 2]);
        using var loss = new TrainingLoss(0, gamma, [1 - alpha, alpha]);
        // The reference divides by the rows, ours by the weight of the rows, as weighted cross-entropy does.
        Near(entry.GetProperty("expected").GetDouble() * labels.Length / loss.WeightOf(labels.Select(l => (int)l)), loss.Mean(logits, tensor(labels)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_exponent_of_almost_nothing_is_cross_entropy(bool weighted)
    {
        using var scope = NewDisposeScope();
        var inputs = Repository.GoldenJson("losses.json").GetProperty("ce_class_weighted").GetProperty("inputs");
        var weights = weighted ? inputs.GetProperty("weight").EnumerateArray().Select(w => w.GetDouble()).ToArray() : null;
        using TrainingLoss plain = new(0, 0, weights), focal = new(0, 1e-9, weights);
        Near(plain.Mean(Logits(inputs.GetProperty("logits")), Labels(inputs)).item<float>(), focal.Mean(Logits(inputs.GetProperty("logits")), Labels(inputs)));
    }

    [Fact]
    public void The_focal_loss_has_a_finite_slope_where_the_model_is_certain()
    {
        using var scope = NewDisposeScope();
        var logits = tensor(new[] { 200f, 0f, 0f, 200f }, [2, 2]).requires_grad_();
        using var loss = new TrainingLoss(0, 0.5, null);
        loss.Mean(logits, tensor(new long[] { 0, 0 })).backward();
        Assert.All(logits.grad!.data<float>().ToArray(), g => Assert.True(float.IsFinite(g)));
    }

    [Fact]
    public void The_loss_of_several_labels_equals_the_reference_with_and_without_weights()
    {
        using var scope = NewDisposeScope();
        var entry = Repository.GoldenJson("losses.json").GetProperty("bce_with_logits");
        var (logits, targets) = (Row(entry, "logits"), Row(entry, "targets"));
        using MultiLabelLoss plain = new(0, null), weighted = new(0, [.. Enumerable.Repeat(entry.GetProperty("inputs").GetProperty("pos_weight").GetDouble(), 4)]);
        Near(entry.GetProperty("expected").GetProperty("plain").GetDouble(), plain.Mean(logits, targets));
        Near(entry.GetProperty("expected").GetProperty("pos_weight").GetDouble(), weighted.Mean(logits, targets));
    }

    /// <summary>Alpha on one side and 1 - alpha on the other is a weight of alpha / (1 - alpha) for the first, all times 1 - alpha.</summary>
    [Fact]
    public void The_focal_loss_of_several_labels_equals_the_reference()
    {
        using var scope = NewDisposeScope();
        var entry = Repository.GoldenJson("losses.json").GetProperty("sigmoid_focal");
        double alpha = entry.GetProperty("inputs").GetProperty("alpha").GetDouble(), gamma = entry.GetProperty("inputs").GetProperty("gamma").GetDouble();
        using MultiLabelLoss loss = new(gamma, [.. Enumerable.Repeat(alpha / (1 - alpha), 4)]);
        Near(entry.GetProperty("expected").GetDouble() / (1 - alpha), loss.Mean(Row(entry, "logits"), Row(entry, "targets")));
    }

    [Fact]
    public void The_losses_of_a_number_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var entry = Repository.GoldenJson("losses.json").GetProperty("regression_losses");
        var (said, wanted, expected) = (Row(entry, "pred").squeeze(0), Row(entry, "target").squeeze(0), entry.GetProperty("expected"));
        Near(expected.GetProperty("mse").GetDouble(), nn.functional.mse_loss(said, wanted));
        Near(expected.GetProperty("huber_delta_1").GetDouble(), RegressionObjective.Huber(said, wanted));
        Near(expected.GetProperty("huber_delta_0.5").GetDouble(), RegressionObjective.Huber(said, wanted, 0.5));
    }

    [Fact]
    public void Balanced_weights_of_several_labels_weigh_rows_with_the_label_against_those_without() =>
        Assert.Equal([1, 3, 1, 1], MultiLabelLoss.Balanced([[0, 3], [1, 3], [0, 3], [3]], 4));

    private static Tensor Row(JsonElement entry, string name) => tensor(entry.GetProperty("inputs").GetProperty(name).EnumerateArray().Select(v => v.GetSingle()).ToArray(), [1, entry.GetProperty("inputs").GetProperty(name).GetArrayLength()]);

    [Fact]
    public void Balanced_weights_make_each_label_count_the_same_in_sum()
    {
        var weights = TrainingLoss.Balanced([0, 0, 0, 1, 3, 3], 4);
        Assert.Equal([6 / 9.0, 2.0, 1.0, 1.0], weights);
    }

    private static Tensor Logits(JsonElement rows) => tensor(rows.EnumerateArray().SelectMany(r => r.EnumerateArray().Select(v => v.GetSingle())).ToArray(), [rows.GetArrayLength(), rows[0].GetArrayLength()]);

    private static Tensor Labels(JsonElement inputs) => tensor(inputs.GetProperty("labels").EnumerateArray().Select(l => l.GetInt64()).ToArray());

    private static void Near(double expected, Tensor actual) => Assert.InRange(actual.item<float>(), expected - 1e-5 * Math.Abs(expected), expected + 1e-5 * Math.Abs(expected));
}
