using System.Text.Json;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>A run in bf16 mixed precision; that it goes on exactly is in <see cref="MethodTests"/>.</summary>
[Collection("training")]
public sealed class MixedPrecisionTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void It_learns_as_in_float32_and_what_it_writes_is_float32()
    {
        var recipe = SmallTexts.Recipe with { Epochs = 1 };
        (FineTuneResult, List<TrainingEvent>) Run(Precision precision) => SmallTexts.Run(SmallTexts.Job(folder.File($"{precision}"), recipe with { Precision = precision }, train: 120));
        var ((mixed, events), (_, exact)) = (Run(Precision.Bf16), Run(Precision.Float32));
        Assert.Contains(events.OfType<LogLine>(), l => l.Text == "Matrix products run in bfloat16; weights, losses, gradients and the optimizer stay float32.");
        var steps = events.OfType<StepDone>().Zip(exact.OfType<StepDone>()).ToList();
        Assert.All(steps, s => Assert.Equal(s.Second.TrainLoss, s.First.TrainLoss, 0.05));
        Assert.Contains(steps, s => s.First.TrainLoss != s.Second.TrainLoss);

        var last = folder.File("Bf16/last");
        var state = JsonDocument.Parse(File.ReadAllText(Path.Combine(last, "state.json"))).RootElement;
        Assert.Equal("Bf16", state.GetProperty("Precision").GetString());
        foreach (var path in new[] { Path.Combine(last, state.GetProperty("WeightsFile").GetString()!), Path.Combine(mixed.BestFolder!, "model.safetensors") })
        {
            using var file = SafetensorsFile.Open(path);
            Assert.All(file.Entries.Values, e => Assert.Equal("F32", e.Dtype));
        }
    }

    public void Dispose() => folder.Dispose();
}
