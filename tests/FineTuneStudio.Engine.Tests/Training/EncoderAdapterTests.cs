using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>Text encoders that learn by adapters with a head trained whole: every family, every task, and what PEFT's readers find.</summary>
[Collection("training")]
public sealed class EncoderAdapterTests : IDisposable
{
    private static readonly RunRecipe Recipe = SmallTexts.Recipe with { Method = TrainingMethod.Lora, LearningRate = 1e-2 };

    private readonly TemporaryFolder folder = new();

    private string Base(string model) => model switch
    {
        "practice" => Repository.PracticeModel,
        "tokenizer-unigram-xlmr" => FamilyTests.XlmR(Shared.Find($"goldens/{model}"), folder.File("xlm-r")),
        _ => Shared.Find($"goldens/{model}"),
    };

    private FineTuneJob Job(TextTask task, RunRecipe recipe, string output = "run") => task switch
    {
        TextTask.MultiLabel => new(recipe with { Metric = Metric.MicroF1 }, Repository.PracticeModel, SmallTexts.Labels, OtherAnswersTests.Several(240, 7), OtherAnswersTests.Several(60, 8), folder.File(output), task),
        TextTask.Regression => new(recipe with { Metric = Metric.RSquared, MaxLength = 64 }, Repository.PracticeModel, [], OtherAnswersTests.Numbers(240, 7), OtherAnswersTests.Numbers(60, 8), folder.File(output), task),
        TextTask.TokenClassification => new(recipe with { Metric = Metric.WordAccuracy }, Repository.PracticeModel, TokenTagTests.Types, TokenTagTests.Rows(240, 1), TokenTagTests.Rows(60, 2), folder.File(output), task),
        TextTask.QuestionAnswering => new(recipe with { Metric = Metric.AnswerF1, MaxLength = 64 }, Repository.PracticeModel, [], SmallQuestions.Rows(240, 1), SmallQuestions.Rows(60, 2), folder.File(output), task),
        _ => SmallTexts.Job(folder.File(output), recipe),
    };

    public static TheoryData<string, TrainingMethod, LoraTargets, string[]> Families => new()
    {
        { "practice", TrainingMethod.Lora, LoraTargets.QueryValue, ["attention.self.query", "attention.self.value"] },
        { "practice", TrainingMethod.Dora, LoraTargets.AllLinear, ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "intermediate.dense", "output.dense"] },
        { "distilbert-tiny", TrainingMethod.Lora, LoraTargets.QueryValue, ["attention.q_lin", "attention.v_lin"] },
        { "distilbert-tiny", TrainingMethod.RsLora, LoraTargets.AllLinear, ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "ffn.lin1", "ffn.lin2"] },
        { "roberta-tiny", TrainingMethod.Dora, LoraTargets.QueryValue, ["attention.self.query", "attention.self.value"] },
        { "tokenizer-unigram-xlmr", TrainingMethod.RsLora, LoraTargets.Attention, ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] },
    };

    [SkippableTheory, MemberData(nameof(Families))]
    public void Every_family_and_method_learns_and_base_with_adapters_merged_and_unmerged_are_the_saved_model(string model, TrainingMethod method, LoraTargets targets, string[] layers)
    {
        var original = Base(model);
        var job = SmallTexts.Job(folder.File("run"), Recipe with { Method = method, LoraTargets = targets, LoraRank = 4, LoraAlpha = 8, LearningRate = method == TrainingMethod.RsLora ? 3e-3 : 1e-2 }) with { BaseFolder = original };
        var (result, events) = SmallTexts.Run(job);
        Assert.True(result.BestMetric > 0.7, $"accuracy {result.BestMetric}");

        // The backbone is the base's but for the adapted layers, bit by bit.
        using var best = LoadClassifier.ForPrediction(result.BestFolder!).Model;
        var (bare, _, _) = LoadClassifier.ForTraining(original, SmallTexts.Labels, 0, seed: 1);
        using var owned = bare;
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        string[] head = [.. bare.HeadLayers];
        var changed = bare.named_parameters().Where(p => !head.Any(h => p.name.StartsWith(h + ".")) && (p.parameter - best.get_parameter(p.name)!).abs().max().ToDouble() > 0).Select(p => p.name).ToList();
        Assert.Equal(layers.Order(StringComparer.Ordinal), changed.Select(n => System.Text.RegularExpressions.Regex.Match(n, @"\.layer\.\d+\.(.+)\.weight$").Groups[1].Value).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal(2 * layers.Length, changed.Count);

        // The adapters alone, on the base, are the same model: beside the weights, and merged into them.
        bare.eval();
        using var lora = LoraFolder.Read(bare, Path.Combine(result.BestFolder!, "adapter"));
        var (ids, mask) = (tensor(new long[] { 5, 9, 27, 31, 4, 12, 36, 8, 14, 3 }, [2, 5]), tensor(new long[] { 1, 1, 1, 1, 1, 1, 1, 1, 0, 0 }, [2, 5]));
        var expected = best.call(ids, mask, null);
        var beside = (expected - bare.call(ids, mask, null)).abs().max().ToDouble();
        Assert.True(beside <= 1e-5, $"beside the weights logits differ by {beside}");
        lora.Merge();
        Assert.Equal(0, (expected - bare.call(ids, mask, null)).abs().max().ToDouble());

        var (loaded, whole) = (events.OfType<WeightsLoaded>().Single(), bare.parameters().Sum(p => p.numel()));
        var inHead = bare.named_parameters().Where(p => head.Any(h => p.name.StartsWith(h + "."))).Sum(p => p.parameter.numel());
        Assert.Equal((lora.Added + inHead, whole + lora.Added), (loaded.TrainableParameters, loaded.TotalParameters));
        Assert.Contains(events.OfType<LogLine>(), l => l.Text == $"Adapters of rank 4 on {string.Join(", ", lora.Config.Targets)} train, with {string.Join(", ", head)} in full; everything else stays as it is.");
        Assert.Null(ModelFolder.Inspect(result.BestFolder!).WhyNot);
    }

    [Theory]
    [InlineData(TextTask.MultiLabel, "SEQ_CLS", 0.75)]
    [InlineData(TextTask.Regression, "SEQ_CLS", 0.3)]
    [InlineData(TextTask.TokenClassification, "TOKEN_CLS", 0.85)]
    [InlineData(TextTask.QuestionAnswering, "QUESTION_ANS", 0.3)]
    public void Every_task_learns_by_adapters_and_is_saved_as_what_it_is(TextTask task, string type, double least)
    {
        var job = Job(task, Recipe with { Epochs = 6, LoraTargets = LoraTargets.AllLinear });
        var (result, _) = SmallTexts.Run(job);
        Assert.True(result.BestMetric > least, $"{job.Recipe.Metric} {result.BestMetric}");
        var adapter = Path.Combine(result.BestFolder!, "adapter");
        var config = Repository.Json(Path.Combine(adapter, "adapter_config.json"));
        Assert.Equal((type, task == TextTask.QuestionAnswering ? "qa_outputs" : "classifier"), (config.GetProperty("task_type").GetString(), Assert.Single(config.GetProperty("modules_to_save").EnumerateArray()).GetString()));

        // The base with the adapters gives the saved model's logits, a number in the data's own unit.
        var head = task switch { TextTask.TokenClassification => EncoderHead.Token, TextTask.QuestionAnswering => EncoderHead.Answer, _ => EncoderHead.Sequence };
        using var best = LoadClassifier.ForPrediction(result.BestFolder!, head).Model;
        var (bare, _, _) = LoadClassifier.ForTraining(Repository.PracticeModel, best.Config.Labels, 0, seed: 1, head);
        using var owned = bare;
        bare.eval();
        using var lora = LoraFolder.Read(bare, adapter);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var ids = tensor(new long[] { 5, 9, 27, 31, 4, 12, 36, 8 }, [2, 4]);
        var expected = best.call(ids, null, null);
        Assert.InRange(((expected - bare.call(ids, null, null)).abs() / expected.abs().clamp(min: 1)).max().ToDouble(), 0, 1e-5);
    }

    [SkippableTheory]
    [InlineData("bert-tiny")]
    [InlineData("distilbert-tiny")]
    [InlineData("roberta-tiny")]
    public void Adapters_are_saved_as_PEFT_saves_them(string model)
    {
        var original = Base(model);
        var (result, _) = SmallTexts.Run(SmallTexts.Job(folder.File("run"), Recipe with { Epochs = 1, LoraRank = 4, LoraAlpha = 8 }, train: 24, validation: 6) with { BaseFolder = original });
        var (ours, theirs) = (Path.Combine(result.BestFolder!, "adapter"), Path.Combine(original, "lora", "after_3_steps"));
        Assert.Equal(Directory.GetFiles(theirs).Select(Path.GetFileName).Order(), Directory.GetFiles(ours).Select(Path.GetFileName).Order());
        using var our = SafetensorsFile.Open(Path.Combine(ours, "adapter_model.safetensors"));
        using var their = SafetensorsFile.Open(Path.Combine(theirs, "adapter_model.safetensors"));
        Assert.Equal(their.Entries.Values.Select(e => (e.Name, e.Dtype, string.Join(',', e.Shape))).Order(), our.Entries.Values.Select(e => (e.Name, e.Dtype, string.Join(',', e.Shape))).Order());
        string Fields(string of) => string.Join('\n', Repository.Json(Path.Combine(of, "adapter_config.json")).EnumerateObject()
            .Select(f => $"{f.Name} {(f.Value.ValueKind == System.Text.Json.JsonValueKind.Array ? string.Join(',', f.Value.EnumerateArray().Select(n => n.GetString()).Order()) : f.Value.ValueKind == System.Text.Json.JsonValueKind.Number ? f.Value.GetDouble() : f.Value)}").Order());
        Assert.Equal(Fields(theirs), Fields(ours));
    }

    [Theory]
    [InlineData(TextTask.SingleLabel, TrainingMethod.Dora)]
    [InlineData(TextTask.Regression, TrainingMethod.Lora)]
    [InlineData(TextTask.TokenClassification, TrainingMethod.RsLora)]
    public void A_run_that_is_killed_goes_on_to_the_same_losses_and_its_checkpoint_holds_adapters_and_head_alone(TextTask task, TrainingMethod method)
    {
        var recipe = Recipe with { Method = method, LoraDropout = 0.1, Epochs = 2, LayerDecay = 0.9 };
        double[] Losses(IEnumerable<TrainingEvent> events) => [.. events.OfType<StepDone>().Select(s => s.TrainLoss)];
        var (result, whole) = SmallTexts.Run(Job(task, recipe, "whole"));
        var cut = Job(task, recipe, "cut");
        var before = new List<TrainingEvent>();
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(cut, e =>
        {
            before.Add(e);
            if (e is StepDone { Step: 40 }) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        using (var checkpoint = SafetensorsFile.Open(Directory.GetFiles(Path.Combine(cut.OutputFolder, "last"), "*.safetensors").Single()))
            Assert.All(checkpoint.Entries.Keys, name => Assert.True(name.Contains(".lora_") || name.Contains("classifier."), name));
        var (resumed, after) = SmallTexts.Run(cut, resume: true);
        Assert.Equal(31, after.OfType<StepDone>().First().Step);
        Assert.Equal(Losses(whole), Losses(before.Where(e => e is StepDone { Step: <= 30 }).Concat(after)));
        foreach (var name in new[] { "model.safetensors", Path.Combine("adapter", "adapter_model.safetensors") })
            Assert.Equal(File.ReadAllBytes(Path.Combine(result.BestFolder!, name)), File.ReadAllBytes(Path.Combine(resumed.BestFolder!, name)));
    }

    [Fact]
    public void A_pooler_that_the_base_lacks_begins_at_random_so_it_is_trained_and_saved_with_the_head()
    {
        var bare = folder.File("bare");
        Directory.CreateDirectory(bare);
        foreach (var file in Directory.GetFiles(Repository.PracticeModel).Where(f => !f.EndsWith(".safetensors"))) File.Copy(file, Path.Combine(bare, Path.GetFileName(file)));
        using (var whole = SafetensorsFile.Open(Path.Combine(Repository.PracticeModel, "model.safetensors")))
            SafetensorsWriter.Write(Path.Combine(bare, "model.safetensors"), whole.Entries.Values.Where(e => !e.Name.Contains("pooler.")).Select(e => (e.Name, e.Dtype, e.Shape, (Func<ReadOnlyMemory<byte>>)(() => whole.Bytes(e.Name).ToArray()))));
        var (result, _) = SmallTexts.Run(SmallTexts.Job(folder.File("run"), Recipe with { Epochs = 1 }) with { BaseFolder = bare });
        using var best = LoadClassifier.ForPrediction(result.BestFolder!).Model;
        var (model, _, _) = LoadClassifier.ForTraining(bare, SmallTexts.Labels, 0, seed: 9);
        using var owned = model;
        model.eval();
        using var lora = LoraFolder.Read(model, Path.Combine(result.BestFolder!, "adapter"));
        Assert.Equal(["pooler", "classifier"], lora.Config.TrainedWhole!);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var ids = tensor(new long[] { 5, 9, 27, 31 }, [1, 4]);
        Assert.InRange((best.call(ids, null, null) - model.call(ids, null, null)).abs().max().ToDouble(), 0, 1e-5);
    }

    [Fact]
    public void Names_that_PEFT_lists_for_other_heads_are_no_hindrance()
    {
        var (result, _) = SmallTexts.Run(SmallTexts.Job(folder.File("run"), Recipe with { Epochs = 1 }, train: 24, validation: 6));
        var adapter = Path.Combine(result.BestFolder!, "adapter");
        var config = Path.Combine(adapter, "adapter_config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"modules_to_save\": [", "\"modules_to_save\": [ \"score\","));
        using var model = LoadClassifier.ForPrediction(result.BestFolder!).Model;
        using var lora = LoraFolder.Read(model, adapter);
        Assert.Equal(["classifier"], lora.Config.TrainedWhole!);
    }

    [Fact]
    public void Settings_that_adapters_exclude_are_refused_with_what_mends_them()
    {
        string Refusal(RunRecipe recipe) => Assert.Throws<TrainingException>(() => SmallTexts.Run(SmallTexts.Job(folder.Path, recipe))).Message;
        Assert.Equal("Trainable layers is set to only the new head, but the method is LoRA, which trains adapters in the blocks as well; set trainable layers back to all, or the method to full.", Refusal(Recipe with { TrainableLayers = TrainableLayers.HeadOnly }));
        Assert.Equal("Epochs per unfrozen block is 2, but the method is DoRA, which leaves the blocks frozen to the end; set it to 0, or the method to full.", Refusal(Recipe with { Method = TrainingMethod.Dora, UnfreezeEpochs = 2 }));
    }

    [Theory]
    [InlineData(TrainingMethod.Lora)]
    [InlineData(TrainingMethod.Dora)]
    public void No_tensor_stays_behind(TrainingMethod method)
    {
        var job = SmallTexts.Job(folder.Path, Recipe with { Method = method, Epochs = 1, LoraDropout = 0.1, GradientAccumulation = 2 }, train: 60, validation: 12);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        SmallTexts.Run(job);
        Assert.Equal(before, Tensor.TotalCount);
    }

    public void Dispose() => folder.Dispose();
}
