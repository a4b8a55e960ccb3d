using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

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
    };

    [Theory, MemberData(nameof(Methods))]
    public void A_run_killed_and_resumed_gives_the_losses_and_weights_of_one_never_interrupted(string name, RunRecipe recipe)
    {
        // Two labels of three times the rows of the third, so that class weights differ.
        var job = SmallTexts.Job(folder.File("whole"), recipe);
        job = job with { Train = job.Train.Where(r => r.Label != 2 || r.RowId % 2 == 0).ToList() };
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
            return job with { Train = job.Train.Where(r => r.Label != 2 || r.RowId % 2 == 0).Take(100).ToList() };
        }
        var (whole, expected) = SmallTexts.Run(Job("big", big));
        foreach (var (batch, steps) in new[] { (8, 3), (12, 2) })
        {
            var (summed, events) = SmallTexts.Run(Job($"{batch}", big with { BatchSize = batch, GradientAccumulation = steps }));
            Assert.Equal(whole.StepsDone, summed.StepsDone);
            Assert.All(Losses(expected).Zip(Losses(events)), l => Assert.Equal(l.First, l.Second, 1e-5));
            Assert.All(events.OfType<StepDone>().Zip(expected.OfType<StepDone>()), s => Assert.Equal(s.Second.GradientNorm, s.First.GradientNorm, 1e-4 * s.Second.GradientNorm));
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

    private static double[] Losses(IEnumerable<TrainingEvent> events) => events.OfType<StepDone>().Select(s => s.TrainLoss).ToArray();

    private static Dictionary<string, byte[]> Weights(FineTuneResult result)
    {
        using var file = SafetensorsFile.Open(Path.Combine(result.BestFolder!, "model.safetensors"));
        return file.Entries.Keys.ToDictionary(k => k, k => file.Bytes(k).ToArray());
    }

    public void Dispose() => folder.Dispose();
}
