using System.Text.Json;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Xunit.Abstractions;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>
/// A classifier against Hugging Face's, at the tolerances that goldens/README.md states for fp32; one subclass a family.
/// </summary>
public abstract class ClassifierParity : IDisposable
{
    private readonly string golden;
    private readonly JsonElement expectedJson, inputs;
    private readonly SequenceClassifier model;
    private protected readonly Deviations deviations;

    /// <param name="model">The folder of the model.</param>
    /// <param name="golden">That of its expected numbers.</param>
    protected ClassifierParity(ITestOutputHelper output, string model, string golden)
    {
        (this.golden, deviations) = (golden, new(output, Path.GetFileName(golden)));
        (expectedJson, inputs) = (Repository.Json(Expectation("expected.json")), Repository.Json(Expectation("inputs.json")));
        this.model = LoadClassifier.ForPrediction(model).Model;
    }

    private string Expectation(string file) => Path.Combine(golden, file);

    private protected (Tensor Ids, Tensor Mask, Tensor? Types, Tensor Labels) Inputs() => Inputs(inputs);

    private protected static (Tensor Ids, Tensor Mask, Tensor? Types, Tensor Labels) Inputs(JsonElement inputs)
    {
        Tensor Read(JsonElement rows) => tensor(rows.EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetInt64()).ToArray(), [rows.GetArrayLength(), rows[0].GetArrayLength()]);
        return (Read(inputs.GetProperty("input_ids")), Read(inputs.GetProperty("attention_mask")), inputs.TryGetProperty("token_type_ids", out var types) ? Read(types) : null,
            tensor(inputs.GetProperty("labels").EnumerateArray().Select(v => v.GetInt64()).ToArray()));
    }

    private protected void Close(string group, SafetensorsFile file, string name, Tensor actual, double tolerance)
    {
        using var scope = NewDisposeScope();
        var expected = empty(file.Entries[name].Shape);
        StoredTensor.CopyTo(file, file.Entries[name], expected);
        Assert.Equal(expected.shape, actual.shape);
        deviations.Absolute(group, name, (expected - actual.detach()).abs().max().ToDouble(), tolerance);
    }

    [SkippableFact]
    public void Logits_and_hidden_states_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Expectation("expected.safetensors"));
        var (ids, mask, types, _) = Inputs();
        var (logits, states) = model.ForwardWithHiddenStates(ids, mask, types);
        Close("logits", file, "logits", logits, 1e-4);
        Assert.Equal(3, states.Count);
        for (var i = 0; i < states.Count; i++) Close("hidden states", file, $"hidden_states.{i}", states[i], 1e-4);
        if (types is not null) Close("logits without token types", file, "logits", model.call(ids, mask, null), 1e-4);
    }

    [SkippableFact]
    public void A_row_gives_the_same_logits_alone_without_a_mask_as_padded_in_a_batch()
    {
        using var scope = NewDisposeScope();
        var (ids, mask, _, _) = Inputs();
        var together = model.call(ids, mask, null);
        var alone = model.call(ids.narrow(0, 2, 1).narrow(1, 0, mask[2].sum().item<long>()), null, null);
        // Other shapes add in another order, so the two are as close as float32 is to the reference, not equal.
        deviations.Absolute("logits of a row alone and in a batch", "logits", (together.narrow(0, 2, 1) - alone).abs().max().ToDouble(), 1e-4);
    }

    [SkippableFact]
    public void Loss_and_every_gradient_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var (ids, mask, types, labels) = Inputs();
        var loss = F.cross_entropy(model.call(ids, mask, types), labels);
        deviations.Relative("loss", "loss", expectedJson.GetProperty("loss").GetDouble(), loss.item<float>(), 1e-5);
        loss.backward();

        var gradients = expectedJson.GetProperty("grads");
        var parameters = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        Assert.Equal(gradients.EnumerateObject().Select(p => p.Name).Order(), parameters.Keys.Order());
        foreach (var expected in gradients.EnumerateObject())
        {
            var gradient = parameters[expected.Name].grad!;
            deviations.Relative("gradient norms", expected.Name + " norm", expected.Value.GetProperty("norm").GetDouble(), gradient.norm().ToDouble(), 1e-4, 1e-6);
            deviations.Relative("gradient absolute sums", expected.Name + " abs_sum", expected.Value.GetProperty("abs_sum").GetDouble(), gradient.abs().sum().ToDouble(), 1e-4, 1e-6);
        }
        using var file = SafetensorsFile.Open(Expectation("expected.safetensors"));
        foreach (var name in file.Entries.Keys.Where(n => n.StartsWith("grad."))) Close("gradients, each element", file, name, parameters[name[5..]].grad!, 1e-6);
        deviations.Relative("gradient norm over all parameters", "global norm", expectedJson.GetProperty("grad_global_norm").GetDouble(), nn.utils.clip_grad_norm_(model.parameters(), 1e30), 1e-4);
    }

    [SkippableFact]
    public void Three_AdamW_steps_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var (ids, mask, types, labels) = Inputs();
        using var optimizer = optim.AdamW(model.parameters(), lr: 1e-3, weight_decay: 0.01);
        var golden = expectedJson.GetProperty("adamw_3_steps");
        var losses = golden.GetProperty("losses").EnumerateArray().Select(v => v.GetDouble()).ToList();
        for (var step = 0; step <= 3; step++)
        {
            var loss = F.cross_entropy(model.call(ids, mask, types), labels);
            deviations.Relative(step == 0 ? "loss" : "AdamW: losses", $"loss before step {step}", losses[step], loss.item<float>(), step == 0 ? 1e-5 : 1e-4);
            if (step == 3) break;
            loss.backward();
            optimizer.step();
            model.zero_grad();
        }
        CheckParameters(model, "AdamW", golden.GetProperty("params"), lr: 1e-3, steps: 3);
        using var file = SafetensorsFile.Open(Expectation("expected.safetensors"));
        foreach (var name in file.Entries.Keys.Where(n => n.StartsWith("after_adamw.")))
            Close("AdamW: parameters, each element", file, name, model.named_parameters().Single(p => p.name == name["after_adamw.".Length..]).parameter, 1e-4);
    }

    [SkippableFact]
    public void A_run_with_clipping_decay_groups_and_warm_up_equals_the_reference_trainer()
    {
        using var scope = NewDisposeScope();
        var (ids, mask, types, labels) = Inputs();
        var golden = expectedJson.GetProperty("trainer_like");
        var recipe = new RunRecipe { LearningRate = 5e-4, WeightDecay = 0.1 };
        var plan = new TrainingPlan(StepsPerEpoch: 6, TotalSteps: 6, WarmupSteps: 2, EvaluationSteps: []);
        var trained = model.named_parameters().Select(p => (p.name, p.parameter)).ToList();
        Assert.Equal(golden.GetProperty("no_decay_parameters").EnumerateArray().Select(v => v.GetString()).Order(),
            trained.Select(p => p.name).Where(n => !RecipeOptimizer.Decays(n)).Order());
        using var optimizer = RecipeOptimizer.For(trained, recipe);
        var step = 0;
        foreach (var expected in golden.GetProperty("steps").EnumerateArray())
        {
            var rate = recipe.LearningRate * plan.Factor(Schedule.Linear, step);
            Assert.Equal(expected.GetProperty("lr").GetDouble(), rate, 12);
            optimizer.SetRate(rate);
            var loss = F.cross_entropy(model.call(ids, mask, types), labels);
            deviations.Relative("trainer: losses", $"loss at step {step}", expected.GetProperty("loss").GetDouble(), loss.item<float>(), 1e-4);
            loss.backward();
            deviations.Relative("trainer: gradient norms before clipping", $"norm at step {step}", expected.GetProperty("grad_norm_before_clip").GetDouble(), nn.utils.clip_grad_norm_(model.parameters(), 1.0), 1e-4);
            optimizer.Step();
            model.zero_grad();
            step++;
        }
        Assert.Equal(4, step);
        deviations.Relative("trainer: losses", "loss after", golden.GetProperty("loss_after").GetDouble(), F.cross_entropy(model.call(ids, mask, types), labels).item<float>(), 1e-4);
        CheckParameters(model, "trainer", golden.GetProperty("params_after"), lr: 5e-4, steps: 4);
    }

    private void CheckParameters(SequenceClassifier model, string run, JsonElement expected, double lr, int steps)
    {
        var noise = expectedJson.GetProperty("noise_only_gradients").EnumerateArray().Select(v => v.GetString()).ToHashSet();
        foreach (var (name, parameter) in model.named_parameters().Where(p => !noise.Contains(p.name)))
        {
            // A few single elements have a gradient of pure rounding noise; each may move by up to lr a step.
            var stray = expectedJson.GetProperty("noise_only_gradient_elements").TryGetProperty(name, out var count) ? count.GetInt32() * lr * steps : 0;
            deviations.Relative($"{run}: parameter absolute sums", name, expected.GetProperty(name).GetProperty("abs_sum").GetDouble(), parameter.abs().sum(ScalarType.Float64).ToDouble(), 1e-4, stray);
            Assert.InRange(Math.Abs(expected.GetProperty(name).GetProperty("sum").GetDouble() - parameter.sum(ScalarType.Float64).ToDouble()), 0, 1e-4 * parameter.abs().sum().ToDouble() + stray);
        }
    }

    public void Dispose()
    {
        model.Dispose();
        deviations.Dispose();
    }
}
