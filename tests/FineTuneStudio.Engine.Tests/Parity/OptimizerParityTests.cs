using System.Text.Json;
using FineTuneStudio.Engine.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>The recipe's optimizers step by step against torch's, and Adafactor against transformers'.</summary>
[Collection("training")]
public class OptimizerParityTests
{
    [Theory]
    [InlineData("adamw", OptimizerKind.AdamW, 0.1, 0.9)]
    [InlineData("sgd", OptimizerKind.Sgd, 0.1, 0)]
    [InlineData("sgd_momentum", OptimizerKind.Sgd, 0.1, 0.9)]
    [InlineData("adafactor_fixed_lr", OptimizerKind.Adafactor, 0, 0.9)]
    public void Each_step_equals_the_reference(string golden, OptimizerKind optimizer, double weightDecay, double momentum)
    {
        using var scope = NewDisposeScope();
        var entry = Repository.GoldenJson("optimizers.json").GetProperty("optimizer_steps");
        var w = nn.Parameter(tensor(Floats(entry.GetProperty("inputs").GetProperty("w0")), [2, 3]));
        using var steps = RecipeOptimizer.For([("w.weight", w)], new RunRecipe { Optimizer = optimizer, WeightDecay = weightDecay, Momentum = momentum });
        steps.SetRate(1e-2);
        foreach (var (grad, expected) in entry.GetProperty("inputs").GetProperty("grads").EnumerateArray().Zip(entry.GetProperty("expected").GetProperty(golden).EnumerateArray()))
        {
            w.grad = tensor(Floats(grad), [2, 3]);
            steps.Step();
            Assert.All(Floats(expected).Zip(w.data<float>().ToArray()), v => Assert.Equal(v.First, v.Second, 1e-6f));
        }
    }

    private static float[] Floats(JsonElement rows) => [.. rows.EnumerateArray().SelectMany(r => r.EnumerateArray().Select(v => v.GetSingle()))];
}
