using FineTuneStudio.Engine.Training;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Training;

[Collection("training")]
public sealed class DryRunTests
{
    private static readonly DryRunJob Job = new(SmallTexts.Recipe, Repository.PracticeModel, Labels: 3, [.. Enumerable.Range(0, 240).Select(i => 5 + i % 40)], ValidationRows: 60);

    [Fact]
    public void A_dry_run_says_what_steps_evaluations_memory_and_disk_come_to()
    {
        var shares = new List<double>();
        var result = DryRun.Measure(Job, default, shares.Add);
        var plan = TrainingPlan.For(Job.Recipe, 240);
        Assert.True(result.MedianStepSeconds > 0 && result.LongestStepSeconds >= result.MedianStepSeconds, $"{result}");
        // The longest rows are cut to the recipe's 32 tokens.
        Assert.Equal((32, 8), (result.LongestTokens, result.MeasuredRows));
        Assert.True(result.EvaluationSeconds > 0, $"{result}");
        Assert.InRange(result.RunSeconds, plan.EvaluationSteps.Count * result.EvaluationSeconds, plan.TotalSteps * result.LongestStepSeconds + plan.EvaluationSteps.Count * result.EvaluationSeconds + 1e-6);
        // Every weight trains: three numbers for each in the last checkpoint, one in the best.
        Assert.Equal(3 * result.BestCheckpointBytes, result.LastCheckpointBytes);
        Assert.Equal(result.BestCheckpointBytes + 2 * result.LastCheckpointBytes, result.DiskBytes);
        Assert.True(result.PeakMemoryBytes > 0, $"{result}");
        Assert.Equal(1, shares[^1]);
        Assert.Equal(shares.Order(), shares);
    }

    [Fact]
    public void Without_evaluations_none_is_measured_and_a_frozen_backbone_keeps_little_on_disk()
    {
        var result = DryRun.Measure(Job with { Recipe = Job.Recipe with { EvaluationsPerEpoch = 0, TrainableLayers = TrainableLayers.HeadOnly, GradientAccumulation = 4 } }, default);
        Assert.Equal(0, result.EvaluationSeconds);
        Assert.True(result.LastCheckpointBytes < result.BestCheckpointBytes / 2, $"{result}");
    }

    [Fact]
    public void Where_only_the_head_trains_features_are_computed_once_and_a_step_is_the_head_alone()
    {
        // Long rows and many epochs, so that what lies below the head is nearly all of the work.
        var long128 = Job with { Recipe = Job.Recipe with { MaxLength = 128, Epochs = 50, TrainableLayers = TrainableLayers.HeadOnly }, TokenLengths = [.. Enumerable.Repeat(128, 240)] };
        var result = DryRun.Measure(long128, default);
        Assert.Equal(4L * 64 * 300, result.FeatureBytes);
        Assert.True(result.FeatureSeconds > 0 && result.RunSeconds > result.FeatureSeconds, $"{result}");
        Assert.True(result.PeakMemoryBytes > result.FeatureBytes, $"{result}");
        Assert.Equal(0, DryRun.Measure(Job, default).FeatureBytes);
        // For each token where the head is on each; without room for them every step computes everything.
        var tokens = long128 with { Task = TextTask.TokenClassification, Labels = 2, ValidationRows = 0 };
        Assert.Equal(4L * 64 * (240 * 128 + 1), DryRun.Measure(tokens, default).FeatureBytes);
        var anew = DryRun.Measure(tokens with { MemoryLimitBytes = 2 * 4L * 64 * 240 * 128 }, default);
        Assert.Equal((0, 0), (anew.FeatureBytes, anew.FeatureSeconds));
    }

    [Fact]
    public void A_batch_that_would_pass_the_memory_limit_is_predicted_and_not_tried()
    {
        var huge = Job with { Recipe = Job.Recipe with { BatchSize = 512, MaxLength = 128 }, TokenLengths = [.. Enumerable.Repeat(128, 600)], MemoryLimitBytes = 96L << 20 };
        var result = DryRun.Measure(huge, default);
        Assert.InRange(result.MeasuredRows, 1, 256);
        Assert.True(result.PeakMemoryBytes > huge.MemoryLimitBytes, $"{result}");
        var refused = Assert.Throws<TrainingException>(() => DryRun.Measure(huge with { MemoryLimitBytes = 1000 }, default));
        Assert.Matches("^Weights and gradients alone take [0-9,]+ MiB of memory and only 0 MiB are free; train fewer layers or start from a smaller base model.$", refused.Message);
    }

    [Fact]
    public void It_is_cancelled_within_a_batch_and_leaves_no_tensor_and_no_file()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = torch.Tensor.TotalCount;
        var files = Directory.GetFileSystemEntries(Repository.PracticeModel).Order();
        DryRun.Measure(Job, default);
        Assert.Equal(before, torch.Tensor.TotalCount);
        using var cancelled = new CancellationTokenSource();
        var told = 0;
        Assert.ThrowsAny<OperationCanceledException>(() => DryRun.Measure(Job, cancelled.Token, _ => { if (++told == 2) cancelled.Cancel(); }));
        Assert.Equal((2, before), (told, torch.Tensor.TotalCount));
        Assert.Throws<TrainingException>(() => DryRun.Measure(Job with { Recipe = Job.Recipe with { MaxLength = 256 } }, default));
        Assert.Equal(before, torch.Tensor.TotalCount);
        Assert.Equal(files, Directory.GetFileSystemEntries(Repository.PracticeModel).Order());
    }

    [Fact]
    public void What_cannot_be_trained_is_not_measured()
    {
        string Message(DryRunJob job) => Assert.Throws<TrainingException>(() => DryRun.Measure(job, default)).Message;
        Assert.Equal("There are no train rows to learn from.", Message(Job with { TokenLengths = [] }));
        Assert.Equal("The recipe is not valid. Epochs is 0; expected a whole number from 1 to 100.", Message(Job with { Recipe = Job.Recipe with { Epochs = 0 } }));
        Assert.Equal("Max length is 256 tokens but the base model has only 128 positions; set it to 128 or less.", Message(Job with { Recipe = Job.Recipe with { MaxLength = 256 } }));
    }
}
