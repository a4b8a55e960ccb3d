using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>Runs in which only the head trains: what lies below it is computed once, and nothing else changes.</summary>
[Collection("training")]
public sealed class KeptFeaturesTests : IDisposable
{
    private static readonly RunRecipe Recipe = SmallTexts.Recipe with { TrainableLayers = TrainableLayers.HeadOnly, LearningRate = 2e-2, Dropout = 0.2 };

    private readonly TemporaryFolder folder = new();

    private FineTuneJob Job(TextTask task, string output, string? model = null, RunRecipe? recipe = null)
    {
        var (of, baseFolder) = (recipe ?? Recipe, model ?? Repository.PracticeModel);
        return task switch
        {
            TextTask.MultiLabel => new(of with { Metric = Metric.MicroF1 }, baseFolder, SmallTexts.Labels, OtherAnswersTests.Several(120, 7), OtherAnswersTests.Several(40, 8), folder.File(output), task),
            TextTask.Regression => new(of with { Metric = Metric.RSquared, MaxLength = 64 }, baseFolder, [], OtherAnswersTests.Numbers(120, 7), OtherAnswersTests.Numbers(40, 8), folder.File(output), task),
            // So short that most rows are measured in several windows.
            TextTask.TokenClassification => new(of with { Metric = Metric.WordAccuracy, MaxLength = 12 }, baseFolder, TokenTagTests.Types, TokenTagTests.Rows(120, 1), TokenTagTests.Rows(40, 2), folder.File(output), task),
            TextTask.QuestionAnswering => new(of with { Metric = Metric.AnswerF1, MaxLength = 32 }, baseFolder, [], SmallQuestions.Rows(80, 1), SmallQuestions.Rows(24, 2), folder.File(output), task),
            _ => new(of, baseFolder, SmallTexts.Labels, SmallTexts.Rows(120), SmallTexts.Rows(40, seed: 8), folder.File(output)),
        };
    }

    public static TheoryData<TextTask, string> Heads => new()
    {
        { TextTask.SingleLabel, "practice" }, { TextTask.SingleLabel, "distilbert-tiny" }, { TextTask.SingleLabel, "roberta-tiny" }, { TextTask.MultiLabel, "practice" }, { TextTask.Regression, "practice" },
        { TextTask.TokenClassification, "practice" }, { TextTask.TokenClassification, "distilbert-tiny" }, { TextTask.QuestionAnswering, "practice" }, { TextTask.QuestionAnswering, "roberta-tiny" },
    };

    [SkippableTheory, MemberData(nameof(Heads))]
    public void Losses_and_scores_are_those_of_a_run_that_computes_everything_at_every_step(TextTask task, string model)
    {
        var baseFolder = model == "practice" ? Repository.PracticeModel : Shared.Find($"goldens/{model}");
        // The rows of a step in two batches, of which the last is short.
        var recipe = Recipe with { BatchSize = 5, GradientAccumulation = 2 };
        var job = Job(task, "once", baseFolder, recipe);
        var (kept, once) = SmallTexts.Run(job);
        var (anew, always) = SmallTexts.Run(job with { OutputFolder = folder.File("always"), MostFeatureBytes = 0 });
        var (first, second) = (once.OfType<StepDone>().ToList(), always.OfType<StepDone>().ToList());
        Assert.Equal(second.Count, first.Count);
        Assert.True(first[^8..].Average(s => s.TrainLoss) < first[..8].Average(s => s.TrainLoss), "nothing was learned");
        for (var i = 0; i < first.Count; i++)
        {
            Assert.Equal(second[i].TrainLoss, first[i].TrainLoss, 1e-6 * Math.Max(1, second[i].TrainLoss));
            Assert.Equal(second[i].GradientNorm, first[i].GradientNorm, 1e-5 * Math.Max(1, second[i].GradientNorm));
        }
        foreach (var (a, b) in once.OfType<EvaluationDone>().Zip(always.OfType<EvaluationDone>()))
        {
            Assert.Equal(b.ValidationLoss, a.ValidationLoss, 1e-6 * Math.Max(1, b.ValidationLoss));
            Assert.Equal(b.TrainSampleLoss, a.TrainSampleLoss, 1e-6 * Math.Max(1, b.TrainSampleLoss));
            Assert.All(a.Scores, s => Assert.Equal(b.Scores[s.Key], s.Value, 1e-5));
        }
        Assert.Equal((anew.Outcome, anew.BestStep, anew.StepsDone), (kept.Outcome, kept.BestStep, kept.StepsDone));
        using SafetensorsFile ours = SafetensorsFile.Open(Path.Combine(kept.BestFolder!, "model.safetensors")), theirs = SafetensorsFile.Open(Path.Combine(anew.BestFolder!, "model.safetensors"));
        Assert.Equal(theirs.Entries.Keys.Order(), ours.Entries.Keys.Order());

        var said = once.OfType<LogLine>().Select(l => l.Text).ToList();
        Assert.Contains("Only the head trains, so what lies below it is computed once for each row, without dropout, and kept.", said);
        Assert.Single(said, l => System.Text.RegularExpressions.Regex.IsMatch(l, $@"^Computed the features of {job.Train.Count} train and {job.Validation.Count} validation rows once in [0-9.]+ s; they take [0-9.]+ MiB of memory\. From here on a step computes the head alone\.$"));
        Assert.Single(always.OfType<LogLine>(), l => System.Text.RegularExpressions.Regex.IsMatch(l.Text, @"^Only the head trains, but what lies below it is computed anew at every step: the features of all rows would take [0-9.]+ MiB of memory, and 0\.0 MiB are set aside for them\.$"));
    }

    [Theory]
    [InlineData(TextTask.SingleLabel), InlineData(TextTask.MultiLabel), InlineData(TextTask.Regression), InlineData(TextTask.TokenClassification), InlineData(TextTask.QuestionAnswering)]
    public void In_bf16_losses_and_gradients_are_within_its_rounding_of_a_run_that_computes_everything_at_every_step(TextTask task)
    {
        var job = Job(task, "once", recipe: Recipe with { Precision = Precision.Bf16, Epochs = 1 });
        Near(SmallTexts.Run(job).Events, SmallTexts.Run(job with { OutputFolder = folder.File("always"), MostFeatureBytes = 0 }).Events, 1e-2);
    }

    [Theory]
    [InlineData(TextTask.SingleLabel), InlineData(TextTask.MultiLabel), InlineData(TextTask.Regression), InlineData(TextTask.TokenClassification), InlineData(TextTask.QuestionAnswering)]
    public void Activation_checkpointing_changes_nothing_with_kept_features_and_little_without(TextTask task)
    {
        var job = Job(task, "plain", recipe: Recipe with { Epochs = 1 });
        var (_, plain) = SmallTexts.Run(job);
        var twice = job with { Recipe = job.Recipe with { ActivationCheckpointing = ActivationCheckpointing.On } };
        var (_, kept) = SmallTexts.Run(twice with { OutputFolder = folder.File("kept") });
        Assert.Equal(plain.OfType<StepDone>().Select(s => (s.TrainLoss, s.GradientNorm)), kept.OfType<StepDone>().Select(s => (s.TrainLoss, s.GradientNorm)));
        Assert.Equal(plain.OfType<EvaluationDone>().Select(e => e.ValidationLoss), kept.OfType<EvaluationDone>().Select(e => e.ValidationLoss));
        Near(kept, SmallTexts.Run(twice with { OutputFolder = folder.File("always"), MostFeatureBytes = 0 }).Events, 1e-5);
    }

    /// <summary>The same steps and evaluations, each number within a tolerance that is relative above 1.</summary>
    private static void Near(List<TrainingEvent> kept, List<TrainingEvent> anew, double tolerance)
    {
        static double[] Numbers(List<TrainingEvent> events) => [.. events.SelectMany(e => e switch
        {
            StepDone step => new[] { step.TrainLoss, step.GradientNorm },
            EvaluationDone evaluation => [evaluation.ValidationLoss, evaluation.TrainSampleLoss],
            _ => [],
        })];
        Assert.Contains(kept, e => e is LogLine { Text: var text } && text.StartsWith("Computed the features"));
        Assert.Contains(anew, e => e is LogLine { Text: var text } && text.Contains("computed anew at every step"));
        var (once, always) = (Numbers(kept), Numbers(anew));
        Assert.Equal(always.Length, once.Length);
        Assert.All(once.Zip(always), pair => Assert.Equal(pair.Second, pair.First, tolerance * Math.Max(1, Math.Abs(pair.Second))));
    }

    [Theory]
    [InlineData(TextTask.SingleLabel, null)]
    [InlineData(TextTask.TokenClassification, null)]
    [InlineData(TextTask.SingleLabel, 0L)]
    public void A_killed_run_goes_on_to_the_same_losses_and_keeps_features_only_if_it_did_before(TextTask task, long? most)
    {
        double[] Losses(IEnumerable<TrainingEvent> events) => [.. events.OfType<StepDone>().Select(s => s.TrainLoss)];
        var (result, whole) = SmallTexts.Run(Job(task, "whole") with { MostFeatureBytes = most });
        var before = new List<TrainingEvent>();
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(Job(task, "cut") with { MostFeatureBytes = most }, e =>
        {
            before.Add(e);
            if (e is StepDone { Step: 25 }) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        // There may be more free memory now than there was; the run does as it did.
        var (resumed, after) = SmallTexts.Run(Job(task, "cut"), resume: true);
        var from = after.OfType<StepDone>().First().Step;
        Assert.InRange(from, 2, 26);
        Assert.Equal(Losses(whole), Losses(before.Where(e => e is StepDone s && s.Step < from).Concat(after)));
        Assert.Equal(File.ReadAllBytes(Path.Combine(result.BestFolder!, "model.safetensors")), File.ReadAllBytes(Path.Combine(resumed.BestFolder!, "model.safetensors")));
        Assert.Contains(after.OfType<LogLine>(), l => most == 0 ? l.Text == "Only the head trains, but what lies below it is computed anew at every step, as before the interruption." : l.Text.StartsWith("Computed the features of"));
    }

    [Fact]
    public void A_person_can_cancel_while_features_are_computed_and_the_server_can_go_down()
    {
        var asked = false;
        void Watch(TrainingEvent e) => asked |= e is LogLine { Text: var text } && text.StartsWith("Only the head trains");
        Assert.Equal(FineTuneOutcome.Cancelled, FineTune.Run(Job(TextTask.SingleLabel, "cancelled"), Watch, () => asked ? StopRequest.Cancel : StopRequest.None, default).Outcome);
        using var down = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => FineTune.Run(Job(TextTask.SingleLabel, "down"), e => { if (e is LogLine { Text: var text } && text.StartsWith("Only the head trains")) down.Cancel(); }, () => StopRequest.None, down.Token));
    }

    private static bool Begins(TrainingEvent e) => e is LogLine { Text: var text } && text.StartsWith("Only the head trains, so");

    [Fact]
    public void A_stop_while_features_are_computed_ends_between_two_batches_and_keeps_none_of_them()
    {
        // Ten batches of train rows and one of validation rows; asked before each.
        var job = Job(TextTask.SingleLabel, "stopped") with { Train = SmallTexts.Rows(640) };
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var (live, asked) = (torch.Tensor.TotalCount, 0);
        var (result, events) = SmallTexts.Run(job, seen => seen.Any(Begins) && ++asked == 3 ? StopRequest.Stop : StopRequest.None);
        Assert.Equal(3, asked);
        Assert.Equal((FineTuneOutcome.StoppedByPerson, 0, null), (result.Outcome, result.StepsDone, result.BestFolder));
        Assert.True(Begins(events[^1]), $"{events[^1]}");
        Assert.Equal(live, torch.Tensor.TotalCount);
        Assert.False(Directory.Exists(job.OutputFolder) && Directory.EnumerateFileSystemEntries(job.OutputFolder).Any());
    }

    [Fact]
    public void A_run_that_went_on_and_is_stopped_while_features_are_computed_evaluates_and_can_go_on_to_the_same_losses()
    {
        var (_, whole) = SmallTexts.Run(Job(TextTask.SingleLabel, "whole"));
        var job = Job(TextTask.SingleLabel, "cut");
        using var down = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => FineTune.Run(job, e => { if (e is StepDone { Step: 5 }) down.Cancel(); }, () => StopRequest.None, down.Token));
        var asked = 0;
        var (stopped, events) = SmallTexts.Run(job, seen => seen.Any(Begins) && ++asked == 2 ? StopRequest.Stop : StopRequest.None, resume: true);
        Assert.Equal((FineTuneOutcome.StoppedByPerson, 5, 5), (stopped.Outcome, stopped.StepsDone, stopped.BestStep));
        Assert.Equal(5, Assert.Single(events.OfType<EvaluationDone>()).Step);
        Assert.DoesNotContain(events, e => e is StepDone or LogLine { Text: ['C', 'o', 'm', 'p', 'u', 't', 'e', 'd', ..] });
        var (_, after) = SmallTexts.Run(job, resume: true);
        Assert.Equal(whole.OfType<StepDone>().Skip(5).Select(s => s.TrainLoss), after.OfType<StepDone>().Select(s => s.TrainLoss));
    }

    [Fact]
    public void Features_are_kept_only_where_nothing_below_the_head_changes()
    {
        foreach (var recipe in new[] { SmallTexts.Recipe, SmallTexts.Recipe with { TrainableLayers = TrainableLayers.LastBlocks }, SmallTexts.Recipe with { Method = TrainingMethod.Lora }, SmallTexts.Recipe with { UnfreezeEpochs = 1 } })
            Assert.DoesNotContain(SmallTexts.Run(Job(TextTask.SingleLabel, "other", recipe: recipe with { Epochs = 1 })).Events.OfType<LogLine>(), l => l.Text.Contains("features"));
    }

    [Theory]
    [InlineData(TextTask.SingleLabel)]
    [InlineData(TextTask.TokenClassification)]
    public void No_tensor_stays_behind(TextTask task)
    {
        var job = Job(task, "run", recipe: Recipe with { Epochs = 1 });
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = torch.Tensor.TotalCount;
        SmallTexts.Run(job);
        Assert.Equal(before, torch.Tensor.TotalCount);
    }

    public void Dispose() => folder.Dispose();
}
