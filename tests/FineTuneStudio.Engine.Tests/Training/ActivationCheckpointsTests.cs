using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>Computing the blocks a second time changes nothing but memory and time: every number is that of the plain run, bit by bit.</summary>
[Collection("training")]
public sealed class ActivationCheckpointsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    /// <summary>Few steps, each of an uneven number of batches, with dropout wherever the model has one.</summary>
    private static readonly RunRecipe Recipe = SmallTexts.Recipe with { Epochs = 1, BatchSize = 4, GradientAccumulation = 3, Dropout = 0.2, EvaluationsPerEpoch = 1, Metric = Metric.ValidationLoss };

    private static readonly RunRecipe Lora = Recipe with { Method = TrainingMethod.Lora, LoraRank = 4, LoraDropout = 0.1, LoraTargets = LoraTargets.AllLinear };

    public static TheoryData<string, string, RunRecipe> Cases => new()
    {
        { "BERT", "", Recipe },
        { "BERT, bf16", "", Recipe with { Precision = Precision.Bf16 } },
        { "BERT, last block", "", Recipe with { TrainableLayers = TrainableLayers.LastBlocks } },
        { "BERT, head only", "", Recipe with { TrainableLayers = TrainableLayers.HeadOnly } },
        { "BERT, gradual unfreezing", "", Recipe with { Epochs = 4, UnfreezeEpochs = 1 } },
        { "BERT, DoRA", "", Lora with { Method = TrainingMethod.Dora } },
        { "DistilBERT", "distilbert-tiny", Recipe },
        { "DistilBERT, LoRA", "distilbert-tiny", Lora },
        { "RoBERTa", "roberta-tiny", Recipe },
        { "GPT-2, whose head is the word table", "gpt2-tiny", Recipe },
        { "GPT-2, LoRA", "gpt2-tiny", Lora },
        { "Llama", "llama-tiny", Recipe },
        { "Llama, packed, bf16", "llama-tiny", Recipe with { Packing = Packing.On, Precision = Precision.Bf16 } },
        { "Llama, whose head is the word table, last block", "llama-tiny-tied", Recipe with { TrainableLayers = TrainableLayers.LastBlocks } },
        { "Llama, LoRA", "llama-tiny", Lora },
    };

    [SkippableTheory, MemberData(nameof(Cases))]
    public void Losses_gradients_and_weights_are_those_of_the_plain_run(string name, string golden, RunRecipe recipe)
    {
        var model = golden.Length == 0 ? Repository.PracticeModel : Shared.Find($"goldens/{golden}");
        var written = golden.StartsWith("gpt2") || golden.StartsWith("llama");
        var job = SmallTexts.Job(folder.File("out"), recipe, train: 46, validation: 6) with { BaseFolder = model };
        IReadOnlyList<TrainingExample> Prompts(IReadOnlyList<TrainingExample> rows) => [.. rows.Cast<LabeledText>().Select(r => new AnsweredPrompt(r.RowId, r.Text, SmallTexts.Labels[r.Label] + " it is"))];
        Same(name, written ? job with { Labels = [], Train = Prompts(job.Train), Validation = Prompts(job.Validation), Task = TextTask.Generation } : job);
    }

    [Theory]
    [InlineData(TextTask.MultiLabel, Precision.Float32), InlineData(TextTask.Regression, Precision.Float32), InlineData(TextTask.TokenClassification, Precision.Float32), InlineData(TextTask.QuestionAnswering, Precision.Float32)]
    [InlineData(TextTask.MultiLabel, Precision.Bf16), InlineData(TextTask.Regression, Precision.Bf16), InlineData(TextTask.TokenClassification, Precision.Bf16), InlineData(TextTask.QuestionAnswering, Precision.Bf16)]
    public void Losses_gradients_and_weights_are_those_of_the_plain_run_in_every_task(TextTask task, Precision precision)
    {
        var recipe = Recipe with { Precision = precision };
        Same($"{task}, {precision}", task switch
        {
            TextTask.MultiLabel => new(recipe, Repository.PracticeModel, SmallTexts.Labels, OtherAnswersTests.Several(46, 7), OtherAnswersTests.Several(6, 8), folder.File("out"), task),
            TextTask.Regression => new(recipe, Repository.PracticeModel, [], OtherAnswersTests.Numbers(46, 7), OtherAnswersTests.Numbers(6, 8), folder.File("out"), task),
            TextTask.TokenClassification => new(recipe with { MaxLength = 12 }, Repository.PracticeModel, TokenTagTests.Types, TokenTagTests.Rows(46, 1), TokenTagTests.Rows(6, 2), folder.File("out"), task),
            _ => new(recipe, Repository.PracticeModel, [], SmallQuestions.Rows(46, 1), SmallQuestions.Rows(6, 2), folder.File("out"), task),
        });
    }

    private void Same(string name, FineTuneJob job)
    {
        (List<TrainingEvent> Events, string Weights) Run(ActivationCheckpointing checkpointing)
        {
            var (result, events) = SmallTexts.Run(job with { Recipe = job.Recipe with { ActivationCheckpointing = checkpointing }, OutputFolder = Path.Combine(job.OutputFolder, $"{checkpointing}") });
            return (events, Convert.ToHexString(File.ReadAllBytes(Path.Combine(result.BestFolder!, "model.safetensors"))));
        }
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var live = Tensor.TotalCount;
        var (plain, checkpointed) = (Run(ActivationCheckpointing.Off), Run(ActivationCheckpointing.On));
        static IEnumerable<(double, double)> Steps(List<TrainingEvent> events) => events.OfType<StepDone>().Select(s => (s.TrainLoss, s.GradientNorm));
        Assert.Equal(Steps(plain.Events), Steps(checkpointed.Events));
        Assert.True(Steps(plain.Events).Distinct().Count() > 2, name);
        Assert.Equal(plain.Events.OfType<EvaluationDone>().Select(e => e.ValidationLoss), checkpointed.Events.OfType<EvaluationDone>().Select(e => e.ValidationLoss));
        Assert.Equal(plain.Weights, checkpointed.Weights);
        Assert.Equal(live, Tensor.TotalCount);
    }

    [Theory]
    [InlineData(TrainableLayers.All, TrainingMethod.Full, 2)]
    [InlineData(TrainableLayers.LastBlocks, TrainingMethod.Full, 1)]
    [InlineData(TrainableLayers.HeadOnly, TrainingMethod.Full, 0)]
    [InlineData(TrainableLayers.All, TrainingMethod.Lora, 2)]
    public void No_block_below_the_lowest_that_trains_is_computed_again(TrainableLayers layers, TrainingMethod method, int again)
    {
        using var scope = NewDisposeScope();
        using var objective = Objective.For(TextTask.SingleLabel, Recipe with { TrainableLayers = layers, Method = method, ActivationCheckpointing = ActivationCheckpointing.On }, Repository.PracticeModel, SmallTexts.Labels);
        var blocks = objective.Model.named_modules().Where(m => m.name.EndsWith("layer.0") || m.name.EndsWith("layer.1")).ToList();
        Assert.Equal(2, blocks.Count);
        var computed = new List<string>();
        var hooks = blocks.Select(b => ((nn.Module<Tensor, Tensor?, Tensor>)b.module).register_forward_hook((_, _, _, output) => { computed.Add(b.name); return output; })).ToList();
        var texts = objective.Random([5, 7]);
        objective.Prepare(texts);
        objective.TrainMode();
        var loss = objective.Loss(texts, [0, 1]);
        Assert.Equal(blocks.Select(b => b.name), computed);
        computed.Clear();
        objective.Backward(loss);
        Assert.Equal(blocks.Select(b => b.name).Reverse().Take(again), computed);
        Assert.All(objective.Trained, p => Assert.NotNull(p.Parameter.grad));
        foreach (var hook in hooks) hook.remove();
    }

    [Fact]
    public void Less_memory_is_taken_at_the_peak()
    {
        long Peak(ActivationCheckpointing checkpointing)
        {
            using var scope = NewDisposeScope();
            using var objective = Objective.For(TextTask.SingleLabel, Recipe with { ActivationCheckpointing = checkpointing }, Repository.PracticeModel, SmallTexts.Labels);
            // Long rows, so that what the blocks keep outweighs the weights.
            var texts = objective.Random([.. Enumerable.Repeat(128, 64)]);
            objective.Prepare(texts);
            objective.TrainMode();
            void Step(int rows)
            {
                using var inner = NewDisposeScope();
                objective.Backward(objective.Loss(texts, [.. Enumerable.Range(0, rows)]));
            }
            Step(2);
            var memory = new PeakMemory();
            Step(64);
            return memory.Rise();
        }
        var (plain, checkpointed) = (Peak(ActivationCheckpointing.Off), Peak(ActivationCheckpointing.On));
        Assert.True(checkpointed < 0.9 * plain, $"{checkpointed >> 20} of {plain >> 20} MiB");
    }

    public void Dispose() => folder.Dispose();
}
