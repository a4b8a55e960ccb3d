using System.Text.Json;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>Language models that learn to answer, on the reference models and on rows of GSM8K.</summary>
[Collection("training")]
public sealed class GenerationTests
{
    private static readonly RunRecipe Recipe = new()
    {
        Epochs = 2, LearningRate = 5e-3, BatchSize = 8, MaxLength = 128, EvaluationsPerEpoch = 1, EarlyStoppingPatience = 0, Metric = Metric.Perplexity,
        Method = TrainingMethod.Lora, LoraRank = 4, LoraAlpha = 8,
    };

    private static List<AnsweredPrompt> Rows(int skip, int count) =>
        [.. File.ReadLines(Shared.Find("data/sft/gsm8k/train.jsonl")).Skip(skip).Take(count).Select((line, i) =>
        {
            var row = JsonSerializer.Deserialize<JsonElement>(line);
            return new AnsweredPrompt(i + 1, row.GetProperty("question").GetString()!, row.GetProperty("answer").GetString()!);
        })];

    private static FineTuneJob Job(string output, RunRecipe recipe, string model = "llama-tiny", int train = 64) =>
        new(recipe, Shared.Find($"goldens/{model}"), [], Rows(0, train), Rows(1000, 16), output, TextTask.Generation);

    private static (FineTuneResult Result, List<TrainingEvent> Events) Run(FineTuneJob job, CancellationToken cancel = default, bool resume = false, Action<TrainingEvent>? watch = null)
    {
        var events = new List<TrainingEvent>();
        return (FineTune.Run(job, e => { events.Add(e); watch?.Invoke(e); }, () => StopRequest.None, cancel, resume), events);
    }

    public static TheoryData<string, TrainingMethod, LoraTargets> Methods => new()
    {
        { "llama-tiny", TrainingMethod.Full, LoraTargets.QueryValue }, { "llama-tiny", TrainingMethod.Lora, LoraTargets.QueryValue }, { "llama-tiny", TrainingMethod.Dora, LoraTargets.Attention },
        { "gpt2-tiny", TrainingMethod.Lora, LoraTargets.AllLinear }, { "qwen2-tiny", TrainingMethod.RsLora, LoraTargets.AllLinear }, { "llama-tiny-tied", TrainingMethod.Full, LoraTargets.QueryValue },
    };

    [SkippableTheory, MemberData(nameof(Methods))]
    public void Every_method_lowers_the_loss_of_answers_and_saves_what_loads_again(string model, TrainingMethod method, LoraTargets targets)
    {
        using var output = new TemporaryFolder();
        var job = Job(output.Path, Recipe with { Method = method, LoraTargets = targets, Epochs = 3, LearningRate = method == TrainingMethod.Full ? 5e-3 : 2e-2 }, model);
        var (result, events) = Run(job);
        var evaluations = events.OfType<EvaluationDone>().ToList();
        Assert.Equal(3, evaluations.Count);
        Assert.True(evaluations[^1].ValidationLoss < events.OfType<StepDone>().First().TrainLoss - 0.1, $"{events.OfType<StepDone>().First().TrainLoss} to {evaluations[^1].ValidationLoss}");
        Assert.Equal(Math.Exp(evaluations[0].ValidationLoss), evaluations[0][Metric.Perplexity], 6);
        Assert.InRange(evaluations[^1][Metric.TokenAccuracy], 0, 1);
        var weights = events.OfType<WeightsLoaded>().Single();
        Assert.Equal(method != TrainingMethod.Full, weights.TrainableParameters < weights.TotalParameters / 4);
        Assert.Contains(events.OfType<LogLine>(), line => line.Text.StartsWith("Validation row 1: “"));

        Assert.True(ModelFolder.Inspect(result.BestFolder!).CanTrain, ModelFolder.Inspect(result.BestFolder!).WhyNot);
        using var generator = TextGenerator.Load(result.BestFolder!, PromptFormat.Model);
        var losses = generator.Losses(job.Validation.Cast<AnsweredPrompt>().ToList(), 128);
        Assert.Equal(result.BestMetric, Math.Exp(losses.Sum(l => l.Loss) / losses.Sum(l => l.Tokens)), 3);
        Assert.Equal(method != TrainingMethod.Full, Directory.Exists(Path.Combine(result.BestFolder!, "adapter")));
        if (method == TrainingMethod.Full) return;

        // The adapters alone on the base model are the same model.
        var (bare, _) = LoadCausalLM.From(job.BaseFolder);
        using var owned = bare;
        using var lora = LoraFolder.Read(bare, Path.Combine(result.BestFolder!, "adapter"));
        lora.Merge();
        using var best = LoadCausalLM.From(result.BestFolder!).Model;
        using var scope = torch.NewDisposeScope();
        foreach (var (name, parameter) in bare.named_parameters()) Assert.Equal(0, (parameter - best.get_parameter(name)!).abs().max().ToDouble());
    }

    [SkippableTheory]
    [InlineData("llama-tiny")]
    [InlineData("qwen2-tiny")]
    [InlineData("gpt2-tiny")]
    public void Adapters_are_saved_as_PEFT_saves_them(string model)
    {
        using var output = new TemporaryFolder();
        var job = Job(output.Path, Recipe with { Epochs = 1 }, model, train: 16);
        var (result, _) = Run(job);
        var (ours, theirs) = (Path.Combine(result.BestFolder!, "adapter"), Path.Combine(job.BaseFolder, "lora", "after_3_steps"));
        Assert.Equal(Directory.GetFiles(theirs).Select(Path.GetFileName).Order(), Directory.GetFiles(ours).Select(Path.GetFileName).Order());
        using var our = SafetensorsFile.Open(Path.Combine(ours, "adapter_model.safetensors"));
        using var their = SafetensorsFile.Open(Path.Combine(theirs, "adapter_model.safetensors"));
        Assert.Equal(their.Entries.Values.Select(e => (e.Name, e.Dtype, string.Join(',', e.Shape))).Order(), our.Entries.Values.Select(e => (e.Name, e.Dtype, string.Join(',', e.Shape))).Order());
        string Fields(string folder) => string.Join('\n', Repository.Json(Path.Combine(folder, "adapter_config.json")).EnumerateObject()
            .Select(f => $"{f.Name} {(f.Name == "target_modules" ? string.Join(',', f.Value.EnumerateArray().Select(n => n.GetString()).Order()) : f.Value.ValueKind == JsonValueKind.Number ? f.Value.GetDouble() : f.Value)}").Order());
        Assert.Equal(Fields(theirs), Fields(ours));
        foreach (var file in Directory.GetFiles(job.BaseFolder).Select(f => Path.GetFileName(f)!).Where(f => f is not ("expected.json" or "expected.safetensors" or "expected_variants.json" or "inputs.json" or "tokenizer_expected.json" or "tokenizer_fast_expected.json")))
            Assert.True(File.Exists(Path.Combine(result.BestFolder!, file)), $"{file} is missing");
        Assert.Equal(File.ReadAllText(Path.Combine(job.BaseFolder, "config.json")), File.ReadAllText(Path.Combine(result.BestFolder!, "config.json")));
    }

    [SkippableFact]
    public void A_run_that_was_interrupted_goes_on_to_the_same_losses_and_its_checkpoint_holds_the_adapters_alone()
    {
        using var whole = new TemporaryFolder();
        using var cut = new TemporaryFolder();
        var recipe = Recipe with { LoraDropout = 0.1, Method = TrainingMethod.Dora };
        var job = Job(whole.Path, recipe);
        List<double> Losses(List<TrainingEvent> events) => [.. events.OfType<StepDone>().Select(s => s.TrainLoss)];
        var expected = Losses(Run(job).Events);
        using var source = new CancellationTokenSource();
        List<TrainingEvent> first = [];
        Assert.Throws<OperationCanceledException>(() => FineTune.Run(job with { OutputFolder = cut.Path }, e => { first.Add(e); if (e is StepDone { Step: 5 }) source.Cancel(); }, () => StopRequest.None, source.Token));
        using (var checkpoint = SafetensorsFile.Open(Directory.GetFiles(Path.Combine(cut.Path, "last"), "*.safetensors").Single()))
            Assert.All(checkpoint.Entries.Keys, name => Assert.Contains(".lora_", name));
        Assert.Equal(expected, Losses(first).Concat(Losses(Run(job with { OutputFolder = cut.Path }, resume: true).Events)));
    }

    [SkippableTheory]
    [InlineData(4, 2, Packing.Off)]
    [InlineData(8, 1, Packing.On)]
    [InlineData(4, 2, Packing.On)]
    public void Accumulated_and_packed_batches_learn_what_the_plain_batch_does(int batch, int accumulated, Packing packing)
    {
        using var plain = new TemporaryFolder();
        using var other = new TemporaryFolder();
        // Short rows of very different lengths, so that weighting by rows instead of tokens would show, and several fit one row.
        var rows = Enumerable.Range(0, 24).Select(i => new AnsweredPrompt(i + 1, "a" + new string('b', i % 5), string.Join(' ', Enumerable.Repeat("word", 1 + i % 7)))).ToList();
        var recipe = Recipe with { Epochs = 1, EvaluationsPerEpoch = 0, GradientClipping = 0, Metric = Metric.ValidationLoss };
        var job = Job(plain.Path, recipe);
        job = job with { Train = rows, Validation = rows };
        var expected = Run(job).Events.OfType<StepDone>().ToList();
        var found = Run(job with { OutputFolder = other.Path, Recipe = recipe with { BatchSize = batch, GradientAccumulation = accumulated, Packing = packing } }).Events.OfType<StepDone>().ToList();
        Assert.Equal(expected.Count, found.Count);
        for (var i = 0; i < expected.Count; i++)
        {
            Assert.Equal(expected[i].TrainLoss, found[i].TrainLoss, 4);
            Assert.Equal(expected[i].GradientNorm, found[i].GradientNorm, 3);
        }
    }

    [SkippableFact]
    public void A_row_that_is_too_long_loses_the_beginning_of_its_prompt_first_and_the_end_of_its_answer_last()
    {
        var folder = Shared.Find("goldens/llama-tiny");
        var tokenizer = FineTuneStudio.Engine.Text.Tokenizer.Load(folder);
        var template = PromptTemplate.For(folder, tokenizer, PromptFormat.Model);
        AnsweredPrompt[] rows = [new(1, "the word", "the answer"), new(2, string.Join(' ', Enumerable.Repeat("word", 100)), "the answer"), new(3, string.Join(' ', Enumerable.Repeat("word", 100)), string.Join(' ', Enumerable.Repeat("answer", 100)))];
        var texts = AnsweredTexts.Of(rows, template, tokenizer.PadId, 32, default);
        Assert.Equal((2, 1), texts.Cut);
        Assert.Equal([template.Answer("the answer").Length, template.Answer("the answer").Length, 24], new[] { 0, 1, 2 }.Select(texts.Learned));
        Assert.Equal(32, texts.Length(1));
        Assert.Equal(1, texts.PromptOf(1)[0]);
        Assert.Equal(template.Prompt(rows[1].Text)[^5..], texts.PromptOf(1).ToArray()[^5..]);
        Assert.Equal(8, texts.PromptOf(2).Count);
    }

    [SkippableFact]
    public void An_answer_is_told_as_it_grows_and_can_be_stopped()
    {
        var folder = Shared.Find("goldens/llama-tiny");
        using var generator = TextGenerator.Load(folder, PromptFormat.Plain);
        var pieces = new List<string>();
        var options = new GenerationOptions { MaxNewTokens = 24, Sample = true, Temperature = 1, TopP = 0.9, Seed = 3 };
        var answer = generator.Answer("How many apples?", options, 64, pieces.Add);
        Assert.True(pieces.Count > 3);
        Assert.StartsWith(pieces[0], answer.Text);
        Assert.True(answer.Text == pieces[^1] || answer.Text.EndsWith('\uFFFD'), $"{answer.Text} is not {pieces[^1]}");
        Assert.Equal(answer, generator.Answer("How many apples?", options, 64));
        Assert.Null(answer.PromptCut);
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => generator.Answer("How many apples?", options, 64, _ => stop.Cancel(), stop.Token));
        Assert.Equal(2, generator.Answers(["One?", "How many of two?"], options with { Sample = false }, 64, batchSize: 2).Count);
    }

    [SkippableFact]
    public void A_long_prompt_loses_its_beginning_as_in_training_and_the_answer_says_so()
    {
        var folder = Shared.Find("goldens/llama-tiny");
        using var generator = TextGenerator.Load(folder, PromptFormat.Plain);
        var options = new GenerationOptions { MaxNewTokens = 8 };
        var template = PromptTemplate.For(folder, FineTuneStudio.Engine.Text.Tokenizer.Load(folder), PromptFormat.Plain);
        var (first, second) = ("Zebra " + string.Join(' ', Enumerable.Repeat("word", 2000)), "Apple " + string.Join(' ', Enumerable.Repeat("word", 2000)));
        var whole = template.Prompt(first).Length;

        var answer = generator.Answer(first, options, maxPrompt: 16);
        Assert.Equal((whole, 16), (answer.PromptTokens, answer.PromptRead));
        Assert.Equal(FormattableString.Invariant($"The beginning of the prompt was cut: 16 of {whole:N0} tokens were read."), answer.PromptCut);
        Assert.Equal(answer.Text, generator.Answer(second, options, maxPrompt: 16).Text);
        Assert.Equal([16, template.Prompt("Short?").Length], generator.Answers([first, "Short?"], options, maxPrompt: 16).Select(a => a.PromptRead));
        // The answer needs room as well: 128 positions.
        Assert.Equal(120, generator.Answer(first, options, maxPrompt: 500).PromptRead);
        Assert.Throws<ArgumentOutOfRangeException>(() => generator.Answer(first, options, maxPrompt: 0));
    }

    [SkippableFact]
    public void What_has_no_meaning_for_a_language_model_is_refused()
    {
        using var output = new TemporaryFolder();
        var job = Job(output.Path, Recipe, train: 8);
        string Refusal(RunRecipe recipe) => Assert.Throws<TrainingException>(() => Run(job with { Recipe = recipe })).Message;
        Assert.Equal("Trainable layers is set to only the new head, but a language model has no new head; train all layers, the last blocks, or use LoRA.", Refusal(Recipe with { TrainableLayers = TrainableLayers.HeadOnly }));
        Assert.Equal("Max length is 512 tokens but the base model has only 128 positions; set it to 128 or less.", Refusal(Recipe with { MaxLength = 512 }));
        Assert.Equal("Last blocks is 9 but the base model has 2 blocks.", Refusal(Recipe with { Method = TrainingMethod.Full, TrainableLayers = TrainableLayers.LastBlocks, LastBlocks = 9 }));
    }

    [SkippableFact]
    public void Steps_and_evaluations_leave_no_tensor_behind()
    {
        using var output = new TemporaryFolder();
        var job = Job(output.Path, Recipe with { Epochs = 12, EvaluationsPerEpoch = 0, Metric = Metric.ValidationLoss });
        var counts = new List<long>();
        Run(job, watch: e => { if (e is StepDone { Step: > 2 }) counts.Add(torch.Tensor.TotalCount); });
        Assert.True(counts.Max() == counts.Min(), $"live tensors from {counts.Min()} to {counts.Max()}");
    }
}
