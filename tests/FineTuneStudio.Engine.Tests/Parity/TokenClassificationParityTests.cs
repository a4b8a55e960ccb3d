using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using TorchSharp;
using static TorchSharp.torch;
using Xunit.Abstractions;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>A classifier of tokens against Hugging Face's, and its metrics against seqeval's.</summary>
[Collection("training")]
public sealed class TokenClassificationParityTests(ITestOutputHelper output) : IDisposable
{
    private readonly Deviations deviations = new(output, "bert-tiny-tokencls");

    [SkippableFact]
    public void Logits_loss_gradients_and_AdamW_steps_equal_the_reference()
    {
        var folder = Shared.Find("goldens/bert-tiny-tokencls");
        using var scope = NewDisposeScope();
        var expected = Repository.Json(Path.Combine(folder, "expected.json"));
        var inputs = expected.GetProperty("inputs");
        Tensor Read(string name) => tensor(inputs.GetProperty(name).EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetInt64()).ToArray(), [4, 17]);
        var (model, report) = LoadClassifier.ForPrediction(folder, EncoderHead.Token);
        using var owned = model;
        Assert.Equal((1.0, 0, 0), (report.BackboneShare, report.Missing.Count, report.Unexpected.Count));
        var labels = Read("labels").view(-1);
        Tensor Logits() => model.call(Read("input_ids"), Read("attention_mask"), Read("token_type_ids"));
        Tensor Loss() => F.cross_entropy(Logits().view(-1, 5), labels, ignore_index: -100);

        var logits = tensor(expected.GetProperty("logits").EnumerateArray().SelectMany(r => r.EnumerateArray()).SelectMany(t => t.EnumerateArray()).Select(v => v.GetSingle()).ToArray(), [4, 17, 5]);
        deviations.Absolute("logits", "logits", (logits - Logits()).abs().max().ToDouble(), 1e-4);

        using var optimizer = optim.AdamW(model.parameters(), lr: 1e-3, weight_decay: 0.01);
        var losses = expected.GetProperty("adamw_3_step_losses").EnumerateArray().Select(v => v.GetDouble()).ToList();
        for (var step = 0; step < losses.Count; step++)
        {
            var loss = Loss();
            deviations.Relative(step == 0 ? "loss" : "AdamW: losses", $"loss before step {step}", losses[step], loss.item<float>(), step == 0 ? 1e-5 : 1e-4);
            if (step == 0) deviations.Relative("loss", "loss", expected.GetProperty("loss").GetDouble(), loss.item<float>(), 1e-5);
            loss.backward();
            if (step == 0)
            {
                var parameters = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
                var norms = expected.GetProperty("grad_norms").EnumerateObject().ToList();
                Assert.Equal(norms.Select(n => n.Name).Order(), parameters.Keys.Order());
                foreach (var norm in norms) deviations.Relative("gradient norms", norm.Name, norm.Value.GetDouble(), parameters[norm.Name].grad!.norm().ToDouble(), 1e-4, 1e-6);
            }
            optimizer.step();
            model.zero_grad();
        }
    }

    [Fact]
    public void Entity_scores_are_those_of_seqeval()
    {
        var entry = Repository.GoldenJson("entities.json").GetProperty("seqeval_default_mode");
        var (inputs, expected) = (entry.GetProperty("inputs"), entry.GetProperty("expected"));
        string[] types = ["LOC", "MISC", "ORG", "PER"];
        var names = SpanTags.Names(types).ToList();
        IReadOnlyList<TextSpan>[] Spans(string side) => [.. inputs.GetProperty(side).EnumerateArray().Select(row => SpanTags.Runs([.. row.EnumerateArray().Select(t => names.IndexOf(t.GetString()!))]))];
        var report = Entities.Evaluate(Spans("y_true"), Spans("y_pred"), types.Length);
        void Same(string name, double actual) => deviations.Relative("entity scores", name, expected.GetProperty(name).GetDouble(), actual, 1e-6);
        Same("precision_micro", report.Micro.Precision);
        Same("recall_micro", report.Micro.Recall);
        Same("f1_micro", report.Micro.F1);
        Same("f1_macro", report.MacroF1);
    }

    public void Dispose() => deviations.Dispose();
}
