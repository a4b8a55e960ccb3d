using System.Runtime.InteropServices;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>The settings beyond the plain run: what each promises, and that a killed run goes on exactly with it.</summary>
[Collection("training")]
public sealed class MethodTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public static TheoryData<string, RunRecipe> Methods => new()
    {
        { "accumulation", SmallTexts.Recipe with { BatchSize = 3, GradientAccumulation = 3 } },
        { "smoothing", SmallTexts.Recipe with { LabelSmoothing = 0.1, ClassWeights = ClassWeighting.Balanced } },
        { "focal", SmallTexts.Recipe with { FocalGamma = 2, GradientAccumulation = 2, Schedule = Schedule.OneCycle } },
        { "layer decay", SmallTexts.Recipe with { LayerDecay = 0.7, Schedule = Schedule.Polynomial, LearningRate = 4e-3 } },
        { "unfreezing", SmallTexts.Recipe with { UnfreezeEpochs = 1, LayerDecay = 0.9, Epochs = 6, Schedule = Schedule.Constant } },
        { "unfreezing with adafactor", SmallTexts.Recipe with { UnfreezeEpochs = 1, Epochs = 6, Optimizer = OptimizerKind.Adafactor, Schedule = Schedule.Constant } },
        { "unfreezing with sgd", SmallTexts.Recipe with { UnfreezeEpochs = 1, Epochs = 6, Optimizer = OptimizerKind.Sgd, LearningRate = 0.05, Schedule = Schedule.Constant } },
        { "sgd", SmallTexts.Recipe with { Optimizer = OptimizerKind.Sgd, LearningRate = 0.05 } },
        { "sgd without momentum", SmallTexts.Recipe with { Optimizer = OptimizerKind.Sgd, Momentum = 0, LearningRate = 0.3 } },
        { "adafactor", SmallTexts.Recipe with { Optimizer = OptimizerKind.Adafactor } },
        { "bf16", SmallTexts.Recipe with { Precision = Precision.Bf16, Epochs = 2 } },
    };

    [Theory, MemberData(nameof(Methods))]
    public void A_run_killed_and_resumed_gives_the_losses_and_weights_of_one_never_interrupted(string name, RunRecipe recipe)
    {
        // Two labels of three times the rows of the third, so that class weights differ.
        var job = SmallTexts.Job(folder.File("whole"), recipe);
        job = job with { Train = job.Train.Cast<LabeledText>().Where(r => r.Label != 2 || r.RowId % 2 == 0).ToList() };
        var (result, events) = SmallTexts.Run(job);
        var losses = Losses(events);
        Assert.True(losses[^10..].Average() < 0.7 * losses[..10].Average(), $"{name}: from {losses[..10].Average()} to {losses[^10..].Average()}");
        Assert.True(result.BestMetric > 0.7, $"{name}: accuracy {result.BestMetric}");

        var cut = job with { OutputFolder = folder.File("cut") };
        var killedAfter = result.StepsDone * 7 / 10;
        var before = new List<TrainingEvent>();
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(cut, e =>
        {
            before.Add(e);
            if (e is StepDone step && step.Step == killedAfter) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        var (resumed, after) = SmallTexts.Run(cut, resume: true);
        var resumedAfter = after.OfType<StepDone>().First().Step - 1;
        Assert.InRange(resumedAfter, result.StepsDone / 3, killedAfter);
        Assert.Equal(losses, Losses(before.Where(e => e is StepDone s && s.Step <= resumedAfter).Concat(after)));
        Assert.Equal(result with { BestFolder = null }, resumed with { BestFolder = null });
        Assert.All(Weights(result), w => Assert.Equal(w.Value, Weights(resumed)[w.Key]));
    }

    [Theory]
    [InlineData(0.0, ClassWeighting.None, 0.0)]
    [InlineData(0.1, ClassWeighting.Balanced, 0.0)]
    [InlineData(0.0, ClassWeighting.Balanced, 2.0)]
    public void Accumulated_batches_are_one_big_batch(double smoothing, ClassWeighting weights, double gamma)
    {
        // 100 rows leave a short step and a short batch at the end of each epoch.
        RunRecipe big = SmallTexts.Recipe with { BatchSize = 24, Dropout = 0, Epochs = 2, LabelSmoothing = smoothing, ClassWeights = weights, FocalGamma = gamma, LearningRate = 5e-4 };
        FineTuneJob Job(string name, RunRecipe recipe)
        {
            var job = SmallTexts.Job(folder.File(name), recipe, train: 130);
            return job with { Train = job.Train.Cast<LabeledText>().Where(r => r.Label != 2 || r.RowId % 2 == 0).Take(100).ToList() };
        }
        var (whole, expected) = SmallTexts.Run(Job("big", big));
        foreach (var (batch, steps) in new[] { (8, 3), (12, 2) })
        {
            var (summed, events) = SmallTexts.Run(Job($"{batch}", big with { BatchSize = batch, GradientAccumulation = steps }));
            Assert.Equal(whole.StepsDone, summed.StepsDone);
            Assert.All(Losses(expected).Zip(Losses(events)), l => Assert.Equal(l.First, l.Second, 1e-5));
            Assert.All(events.OfType<StepDone>().Zip(expected.OfType<StepDone>()), s => Assert.Equal(s.Second.GradientNorm, s.First.GradientNorm, 1e-4 * s.Second.GradientNorm));
            // The bare gradient is what accumulation promises; Adam would turn rounding in gradients that are zero by nature into whole steps.
            FineTuneResult Sgd(string name, int batch, int steps) => SmallTexts.Run(Job(name, big with { BatchSize = batch, GradientAccumulation = steps, Optimizer = OptimizerKind.Sgd, LearningRate = 0.02, EvaluationsPerEpoch = 0 })).Result;
            var (one, many) = (Floats(Sgd($"sgd-big-{batch}", 24, 1)), Floats(Sgd($"sgd-{batch}", batch, steps)));
            Assert.All(one, w => Assert.All(w.Value.Zip(many[w.Key]), v => Assert.Equal(v.First, v.Second, 1e-5f)));
        }
    }

    [Fact]
    public void Evaluations_stay_plain_cross_entropy_whatever_the_run_is_trained_on()
    {
        EvaluationDone First(string name, RunRecipe recipe) => SmallTexts.Run(SmallTexts.Job(folder.File(name), recipe)).Events.OfType<EvaluationDone>().First();
        // A rate of almost nothing leaves the weights where they start, so only the loss's own form could differ.
        var plain = SmallTexts.Recipe with { LearningRate = 1e-7, Epochs = 1, EvaluationsPerEpoch = 1 };
        var expected = First("plain", plain);
        foreach (var (name, recipe) in new[] { ("smooth", plain with { LabelSmoothing = 0.5 }), ("focal", plain with { FocalGamma = 5 }) })
            Assert.Equal(expected.ValidationLoss, First(name, recipe).ValidationLoss, 1e-4);
    }

    [Fact]
    public void Lower_layers_move_less_with_layer_decay()
    {
        double[] Moves(string name, double decay)
        {
            var recipe = SmallTexts.Recipe with { LayerDecay = decay, Epochs = 1, Dropout = 0, Optimizer = OptimizerKind.AdamW, EvaluationsPerEpoch = 0, WeightDecay = 0 };
            var after = Floats(SmallTexts.Run(SmallTexts.Job(folder.File(name), recipe)).Result);
            using var file = SafetensorsFile.Open(Path.Combine(Repository.PracticeModel, "model.safetensors"));
            double Moved(string tensor) => after[tensor].Zip(MemoryMarshal.Cast<byte, float>(file.Bytes(tensor)).ToArray()).Average(v => Math.Abs(v.First - v.Second));
            return [Moved("bert.encoder.layer.1.attention.self.value.weight"), Moved("bert.encoder.layer.0.attention.self.value.weight"), Moved("bert.embeddings.position_embeddings.weight")];
        }
        var (same, decayed) = (Moves("same", 1), Moves("decayed", 0.5));
        // Two blocks: the last at half the rate, the first at a quarter, the embeddings at an eighth.
        foreach (var (i, share) in new[] { (0, 0.5), (1, 0.25), (2, 0.125) }) Assert.InRange(decayed[i] / same[i], 0.6 * share, 1.6 * share);
    }

    [Fact]
    public void Unfreezing_moves_one_more_part_each_time_and_says_so()
    {
        var job = SmallTexts.Job(folder.Path, SmallTexts.Recipe with { UnfreezeEpochs = 2, Epochs = 7, Optimizer = OptimizerKind.Sgd, LearningRate = 0.05, EvaluationsPerEpoch = 1 });
        var at = new Dictionary<int, Dictionary<string, byte[]>>();
        var events = new List<TrainingEvent>();
        FineTune.Run(job, e =>
        {
            events.Add(e);
            if (e is not CheckpointSaved { Best: false } saved) return;
            using var file = SafetensorsFile.Open(Directory.GetFiles(saved.Folder, "*.safetensors").Single());
            at[saved.Step / 30] = file.Entries.Keys.Where(k => k.StartsWith("weight.")).ToDictionary(k => k["weight.".Length..], k => file.Bytes(k).ToArray());
        }, () => StopRequest.None, default);
        bool Moved(int epoch, string name) => !at[epoch][name].SequenceEqual(at[epoch - 1][name]);
        string[] parts = ["classifier.weight", "bert.encoder.layer.1.attention.self.value.weight", "bert.encoder.layer.0.attention.self.value.weight", "bert.embeddings.word_embeddings.weight"];
        for (var epoch = 2; epoch <= 7; epoch++)
            Assert.Equal(Enumerable.Range(0, 4).Select(part => part <= (epoch - 1) / 2), parts.Select(name => Moved(epoch, name)));
        Assert.True(Moved(3, "bert.pooler.dense.weight"));
        Assert.False(Moved(2, "bert.pooler.dense.weight"));
        var loaded = events.OfType<WeightsLoaded>().Single();
        Assert.Equal(loaded.TotalParameters, loaded.TrainableParameters);
        Assert.Equal(["From epoch 1 on only the head trains: 195 parameters.", "From epoch 3 on the head and the last block train", "From epoch 5 on the head and the last 2 blocks train", $"From epoch 7 on all blocks and the embeddings train: {loaded.TotalParameters} parameters."],
            events.OfType<LogLine>().Where(l => l.Text.StartsWith("From epoch")).Select((l, i) => i is 1 or 2 ? l.Text.Split(':')[0] : l.Text));
    }

    [Theory]
    [InlineData(OptimizerKind.AdamW)]
    [InlineData(OptimizerKind.Sgd)]
    [InlineData(OptimizerKind.Adafactor)]
    public void No_optimizer_leaves_a_tensor_behind(OptimizerKind optimizer)
    {
        var job = SmallTexts.Job(folder.Path, SmallTexts.Recipe with { Optimizer = optimizer, Epochs = 1, UnfreezeEpochs = 1, LayerDecay = 0.9, FocalGamma = 2, ClassWeights = ClassWeighting.Balanced, GradientAccumulation = 2 });
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = torch.Tensor.TotalCount;
        SmallTexts.Run(job);
        Assert.Equal(before, torch.Tensor.TotalCount);
    }

    [Fact]
    public void A_checkpoint_older_than_the_choice_of_optimizers_goes_on()
    {
        var job = SmallTexts.Job(folder.Path, SmallTexts.Recipe with { Epochs = 1 });
        var losses = Losses(SmallTexts.Run(job with { OutputFolder = folder.File("whole") }).Events);
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(job, e =>
        {
            if (e is StepDone { Step: 20 }) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        var path = Directory.GetFiles(folder.File("last"), "*.safetensors").Single();
        List<(string, string, long[], Func<ReadOnlyMemory<byte>>)> tensors = [];
        using (var file = SafetensorsFile.Open(path))
            foreach (var entry in file.Entries.Values)
            {
                var bytes = file.Bytes(entry.Name).ToArray();
                tensors.Add((entry.Name, entry.Dtype, entry.Shape, () => bytes));
            }
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string> { ["adamw_step"] = "15" });
        Assert.Equal(losses[15..], Losses(SmallTexts.Run(job, resume: true).Events));
    }

    private static Dictionary<string, float[]> Floats(FineTuneResult result) => Weights(result).ToDictionary(w => w.Key, w => MemoryMarshal.Cast<byte, float>(w.Value).ToArray());

    private static double[] Losses(IEnumerable<TrainingEvent> events) => events.OfType<StepDone>().Select(s => s.TrainLoss).ToArray();

    private static Dictionary<string, byte[]> Weights(FineTuneResult result)
    {
        using var file = SafetensorsFile.Open(Path.Combine(result.BestFolder!, "model.safetensors"));
        return file.Entries.Keys.ToDictionary(k => k, k => file.Bytes(k).ToArray());
    }

    public void Dispose() => folder.Dispose();
}
