using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using TorchSharp;
using static TorchSharp.torch;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>A model for question answering against Hugging Face's, and its metrics against SQuAD's own script.</summary>
[Collection("training")]
public sealed class QuestionAnsweringParityTests(ITestOutputHelper output) : IDisposable
{
    private readonly Deviations deviations = new(output, "bert-tiny-qa");

    [SkippableFact]
    public void Logits_loss_gradients_and_AdamW_steps_equal_the_reference()
    {
        var folder = Shared.Find("goldens/bert-tiny-qa");
        using var scope = NewDisposeScope();
        var expected = Repository.Json(Path.Combine(folder, "expected.json"));
        var inputs = expected.GetProperty("inputs");
        Tensor Read(string name) => tensor(inputs.GetProperty(name).EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetInt64()).ToArray(), [4, 17]);
        Tensor Places(string name) => tensor(inputs.GetProperty(name).EnumerateArray().Select(v => v.GetInt64()).ToArray());
        var (model, report) = LoadClassifier.ForPrediction(folder, EncoderHead.Answer);
        using var owned = model;
        Assert.Equal((1.0, 0, 0), (report.BackboneShare, report.Missing.Count, report.Unexpected.Count));
        Tensor Logits() => model.call(Read("input_ids"), Read("attention_mask"), Read("token_type_ids"));
        // One of the ends lies beyond the row and counts for nothing.
        Tensor Loss() => AnswerSpans.Loss(Logits(), Places("start_positions"), Places("end_positions"));

        foreach (var (name, at) in new[] { ("start_logits", 0), ("end_logits", 1) })
        {
            var logits = tensor(expected.GetProperty(name).EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetSingle()).ToArray(), [4, 17]);
            deviations.Absolute("logits", name, (logits - Logits().select(2, at)).abs().max().ToDouble(), 1e-4);
        }

        using var optimizer = optim.AdamW(model.parameters(), lr: 1e-3, weight_decay: 0.01);
        var losses = expected.GetProperty("adamw_3_step_losses").EnumerateArray().Select(v => v.GetDouble()).ToList();
        Assert.Equal(4, losses.Count);
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

    /// <summary>The numbers were made with Python 3.11 by the functions of SQuAD's evaluate-v2.0.py.</summary>
    [Theory]
    [InlineData("the Harbour Master", 1, 1.0, "harbour master", "Harbour master")]
    [InlineData("in 1987, the year of the flood", 0, 0.33333333333333337, "in 1987 year of flood", "1987")]
    [InlineData("", 1, 1, "")]
    [InlineData("something", 0, 0, "something")]
    [InlineData("", 0, 0, "", "Oslo")]
    [InlineData("A.", 1, 1, "", "the")]
    [InlineData("well-known U.S. engineer's $5+3 `plan`", 1, 1.0, "wellknown us engineers 53 plan", "wellknown US engineers 53 plan", "an engineer")]
    [InlineData("north north gate", 0, 0.8, "north north gate", "north gate", "gate north of the north wall")]
    [InlineData("Zürich  Altstadt", 0, 0.6666666666666666, "zürich altstadt", "zürich")]
    [InlineData("theatre a b", 1, 1.0, "theatre b", "theatre b")]
    [InlineData("“the end”", 0, 0, "“ end”", "end")]
    [InlineData("four crates of pears", 0, 0.6666666666666666, "four crates of pears", "crates of apples", "four crates")]
    [InlineData("blue", 1, 1.0, "blue", "...", "Blue!")]
    public void Exact_match_and_F1_are_those_of_SQuADs_script(string answer, int exact, double f1, string normalised, params string[] given)
    {
        Assert.Equal(normalised, AnswerOverlap.Normalised(answer));
        Assert.Equal(exact == 1, AnswerOverlap.IsExactMatch(answer, given));
        deviations.Relative("answer F1", answer, f1, AnswerOverlap.F1(answer, given), 1e-6);
    }

    public void Dispose() => deviations.Dispose();
}
