using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Training;

[Collection("training")]
public sealed class PretrainTests : IDisposable
{
    private static readonly RunRecipe Recipe = Pretrain.DefaultRecipe with { Epochs = 2, BatchSize = 16, MaxLength = 32, LearningRate = 3e-3, EvaluationsPerEpoch = 2, Seed = 1 };
    private static readonly ModelShape Shape = new(Layers: 2, HiddenSize: 32, Heads: 2, Positions: 48);

    private readonly TemporaryFolder folder = new();

    private static readonly string[] Messages = File.ReadAllLines(Path.Combine(Repository.Root, "sample", "customer-messages.csv"))[1..];

    private string Text(string name, IEnumerable<string> documents)
    {
        var path = folder.File(name);
        File.WriteAllText(path, string.Join("\n\n", documents));
        return path;
    }

    private string NewModel(string family)
    {
        var start = folder.File("start-" + family);
        if (Directory.Exists(start)) return start;
        if (family == "bert") NewModelFolder.Bert(start, TrainVocabulary.WordPiece(Messages, 500), Shape, seed: 1);
        else NewModelFolder.Gpt2(start, TrainVocabulary.ByteLevelBpe(Messages, 500), Shape, seed: 1);
        return start;
    }

    private PretrainJob Job(string baseFolder, string output = "out", RunRecipe? recipe = null, int? steps = null) =>
        new(recipe ?? Recipe, baseFolder, [Text("train.txt", Messages.Take(800))], [Text("held-out.txt", Messages.Skip(800))], folder.File(output), folder.File("texts"), steps);

    private static (FineTuneResult Result, List<TrainingEvent> Events) Run(PretrainJob job, bool resume = false)
    {
        var events = new List<TrainingEvent>();
        return (Pretrain.Run(job, events.Add, () => StopRequest.None, default, resume), events);
    }

    private static List<(int, double)> Losses(IEnumerable<TrainingEvent> events) => [.. events.OfType<StepDone>().Select(s => (s.Step, s.TrainLoss))];

    private static string Refusal(PretrainJob job) => Assert.Throws<TrainingException>(() => Run(job)).Message;

    [Theory]
    [InlineData("bert", "BertForPreTraining")]
    [InlineData("gpt2", "GPT2LMHeadModel")]
    public void A_model_with_new_weights_learns_from_text_and_its_folder_can_be_fine_tuned(string family, string architecture)
    {
        var job = Job(NewModel(family), recipe: Recipe with { Epochs = 4 });
        var (result, events) = Run(job);
        var evaluations = events.OfType<EvaluationDone>().ToList();
        Assert.Equal(FineTuneOutcome.Finished, result.Outcome);
        Assert.Equal(8, evaluations.Count);
        Assert.InRange(evaluations[0][Metric.Perplexity], 50, 500);
        Assert.True(evaluations[^1][Metric.Perplexity] < 0.95 * evaluations[0][Metric.Perplexity], $"from {evaluations[0][Metric.Perplexity]} to {evaluations[^1][Metric.Perplexity]}");
        var facts = ModelFolder.Inspect(result.BestFolder!);
        Assert.Equal((architecture, true, (string?)null), (facts.Architecture, facts.CanTrain, facts.WhyNot));
        if (family != "bert") return;
        var (model, report, newHead) = LoadClassifier.ForTraining(result.BestFolder!, ["a", "b"], null, 1);
        model.Dispose();
        Assert.Equal((1.0, true), (report.BackboneShare, newHead));
        Assert.All(report.Unexpected, name => Assert.StartsWith("cls.", name));
    }

    [Theory]
    [InlineData("bert")]
    [InlineData("gpt2")]
    public void Pretraining_that_is_killed_and_resumed_gives_the_losses_of_one_never_interrupted(string family)
    {
        var whole = Run(Job(NewModel(family), "whole"));
        var job = Job(NewModel(family), "cut");
        var (before, killedAfter) = (new List<TrainingEvent>(), whole.Result.StepsDone * 7 / 10);
        Assert.Throws<InvalidOperationException>(() => Pretrain.Run(job, e =>
        {
            before.Add(e);
            if (e is StepDone step && step.Step == killedAfter) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        var (result, after) = Run(job, resume: true);
        var resumedAfter = after.OfType<StepDone>().First().Step - 1;
        // Past the first epoch, so that what is drawn anew in each is drawn again.
        Assert.InRange(resumedAfter, whole.Result.StepsDone / 2, killedAfter);
        Assert.Equal(Losses(whole.Events), Losses(before.Where(e => e is StepDone s && s.Step <= resumedAfter).Concat(after)));
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole.Result.BestFolder!, "model.safetensors")), File.ReadAllBytes(Path.Combine(result.BestFolder!, "model.safetensors")));
    }

    [Fact]
    public void A_run_of_a_number_of_steps_ends_with_the_schedule_and_an_evaluation_and_goes_on_only_with_the_same()
    {
        var job = Job(NewModel("gpt2"), steps: 10);
        var (result, events) = Run(job);
        Assert.Equal(10, result.StepsDone);
        Assert.Equal([5, 10], events.OfType<EvaluationDone>().Select(e => e.Step));
        Assert.True(events.OfType<StepDone>().Last().LearningRate < 0.2 * Recipe.LearningRate);
        Assert.Equal("The last checkpoint was made with another recipe, so the run cannot go on from it; start the run anew.", Assert.Throws<TrainingException>(() => Run(job with { Steps = 20 }, resume: true)).Message);
    }

    [Fact]
    public void A_run_goes_on_only_from_the_weights_that_it_began_with()
    {
        var (start, output) = (NewModel("bert"), folder.File("out"));
        Run(Job(start, steps: 2));
        var other = folder.File("other");
        NewModelFolder.Bert(other, TrainVocabulary.WordPiece(Messages, 500), Shape, seed: 2);
        Assert.Equal("The last checkpoint began with other weights of the base model, so the run cannot go on from it; name the base model that it began with, or start the run anew.",
            Assert.Throws<TrainingException>(() => Run(Job(other, steps: 2), resume: true)).Message);
        Assert.Equal(2, Run(Job(start, steps: 2), resume: true).Result.StepsDone);

        // A checkpoint from before this was kept goes on, and knows it from then on.
        var state = Path.Combine(output, "last", "state.json");
        var json = JsonNode.Parse(File.ReadAllText(state))!.AsObject();
        Assert.Equal(ModelWeights.Sha256(start), json["BaseSha256"]!.GetValue<string>());
        json.Remove("BaseSha256");
        File.WriteAllText(state, json.ToJsonString());
        Run(Job(start, steps: 2), resume: true);
        Assert.Equal(ModelWeights.Sha256(start), JsonNode.Parse(File.ReadAllText(state))!["BaseSha256"]!.GetValue<string>());
    }

    [Fact]
    public void What_was_packed_of_other_texts_is_deleted_from_the_runs_own_folder_and_from_no_other()
    {
        var texts = folder.File("out/texts");
        var job = Job(NewModel("gpt2"), steps: 1) with { CacheFolder = texts };
        Run(job);
        var first = Directory.GetFiles(texts);
        Assert.Equal(2, first.Length);
        var changed = job with { Train = [Text("more.txt", Messages.Take(700))] };
        Assert.Contains("other train or validation rows", Assert.Throws<TrainingException>(() => Run(changed, resume: true)).Message);
        Assert.All(first, file => Assert.True(File.Exists(file)));

        Run(changed);
        var second = Directory.GetFiles(texts);
        Assert.Equal(2, second.Length);
        // The held-out text is the same.
        Assert.Single(second.Intersect(first));
        Run(changed, resume: true);
        Assert.Equal(second.Order(), Directory.GetFiles(texts).Order());

        foreach (var shared in new[] { job, changed }) Run(shared with { CacheFolder = folder.File("texts") });
        Assert.Equal(3, Directory.GetFiles(folder.File("texts")).Length);
    }

    [Fact]
    public void A_pooler_that_the_file_lacks_is_said_to_be_new()
    {
        var start = NewModel("bert");
        var weights = Path.Combine(start, "model.safetensors");
        File.Move(weights, folder.File("whole"));
        using (var whole = SafetensorsFile.Open(folder.File("whole")))
            SafetensorsWriter.Write(weights, whole.Entries.Values.Where(e => !e.Name.Contains("pooler") && e.Name != "cls.seq_relationship.bias")
                .Select(e => (e.Name, e.Dtype, e.Shape, (Func<ReadOnlyMemory<byte>>)(() => whole.Bytes(e.Name).ToArray()))), whole.Metadata);
        var events = Run(Job(start, recipe: Recipe with { EvaluationsPerEpoch = 0 }, steps: 1)).Events;
        var report = events.OfType<WeightsLoaded>().Single().Report;
        Assert.Equal(32 * 32 + 32, report.BackboneElements - report.MatchedBackboneElements);
        Assert.Contains(events.OfType<LogLine>(), l => l.Text == "97 % of the backbone came from the file; all of it trains, with its head for words and one for whether two texts follow each other. New, at random with seed 1: the pooler that the head for pairs reads, cls.seq_relationship.bias.");
    }

    [Fact]
    public void An_evaluation_measures_all_validation_blocks_and_at_most_512_train_blocks()
    {
        var recipe = Recipe with { MaxLength = 16, EvaluationsPerEpoch = 1 };
        var job = Job(NewModel("bert"), recipe: recipe, steps: 1);
        var (result, events) = Run(job);
        using var objective = new MaskedWordsObjective(recipe, result.BestFolder!);
        objective.Model.eval();
        using var scope = NewDisposeScope();
        using var still = no_grad();
        (int Blocks, double Loss) Measured(IReadOnlyList<string> files, int most)
        {
            using var packed = PackedIds.Open(files, job.BaseFolder, objective.EndId, special: false, job.CacheFolder);
            var texts = new TokenizedTexts(new PackedBlocks(packed, objective.BlockLength), 0);
            var rows = texts.AllRows;
            new Random(recipe.Seed).Shuffle(rows);
            return (texts.Count, objective.Measure(texts, texts.BatchesByLength(64, rows[..Math.Min(most, rows.Length)])).Loss);
        }
        var (validation, train) = (Measured(job.Validation, int.MaxValue), Measured(job.Train, 512));
        // Before there was a bound, the sample had as many blocks as the validation text.
        Assert.InRange(validation.Blocks, 513, train.Blocks - 1);
        var evaluation = events.OfType<EvaluationDone>().Single();
        Assert.Equal(validation.Loss, evaluation.ValidationLoss, 5);
        Assert.Equal(train.Loss, evaluation.TrainSampleLoss, 5);
        Assert.NotEqual(Measured(job.Train, validation.Blocks).Loss, evaluation.TrainSampleLoss, 5);
    }

    [Fact]
    public void Half_of_the_rows_pair_their_first_half_with_the_second_of_another_block_and_say_so()
    {
        using var objective = new MaskedWordsObjective(Recipe, NewModel("bert"));
        var length = objective.BlockLength;
        // Every token says its block and place, and all are words.
        var texts = new TokenizedTexts([.. Enumerable.Range(0, 12).Select(block => Enumerable.Range(0, length).Select(at => 5 + block * length + at).ToArray())], 0);
        var follows = 0;
        for (var epoch = 0; epoch < 40; epoch++)
            for (var row = 0; row < texts.Count; row++)
            {
                var made = objective.Row(texts, row, epoch);
                var ids = (int[])made.Ids.Clone();
                foreach (var (at, target) in made.Positions.Zip(made.Targets)) ids[at] = target;
                var half = length / 2;
                Assert.Equal((Recipe.MaxLength, half + 2, objective.EndId, objective.EndId), (ids.Length, made.Split, ids[half + 1], ids[^1]));
                Assert.Equal(texts.Ids(row)[..half], ids[1..(half + 1)]);
                var second = (ids[made.Split] - 5) / length;
                Assert.Equal(texts.Ids(second)[half..], ids[made.Split..^1]);
                Assert.Equal(made.Follows, second == row);
                if (made.Follows) follows++;
            }
        Assert.InRange(follows, 200, 280);
    }

    [Fact]
    public void Each_epoch_masks_other_words_and_every_evaluation_the_same()
    {
        using var objective = new MaskedWordsObjective(Recipe, NewModel("bert"));
        objective.Model.eval();
        using var scope = NewDisposeScope();
        using var still = no_grad();
        var texts = objective.Random([.. Enumerable.Repeat(0, 8)]);
        double Loss(int epoch)
        {
            objective.Epoch = epoch;
            return objective.Loss(texts, texts.AllRows).item<float>();
        }
        var first = Loss(0);
        Assert.NotEqual(first, Loss(1));
        Assert.Equal(first, Loss(0));
        var measured = objective.Measure(texts, [[0, 1, 2, 3], [4, 5, 6, 7]]).Loss;
        objective.Epoch = 5;
        Assert.Equal(measured, objective.Measure(texts, [[0, 1, 2, 3], [4, 5, 6, 7]]).Loss);
    }

    [Fact]
    public void The_losses_of_two_half_batches_by_their_weight_are_that_of_the_whole()
    {
        using var objective = new MaskedWordsObjective(Recipe, NewModel("bert"));
        objective.Model.eval();
        using var scope = NewDisposeScope();
        var texts = objective.Random([.. Enumerable.Repeat(0, 10)]);
        int[] all = texts.AllRows, one = all[..3], other = all[3..];
        var weights = (objective.WeightOf(texts, one), objective.WeightOf(texts, other));
        Assert.Equal(objective.WeightOf(texts, all), weights.Item1 + weights.Item2);
        var parts = (objective.Loss(texts, one).item<float>() * weights.Item1 + objective.Loss(texts, other).item<float>() * weights.Item2) / (weights.Item1 + weights.Item2);
        Assert.Equal(objective.Loss(texts, all).item<float>(), parts, 5);
    }

    [Theory]
    [InlineData("bert")]
    [InlineData("gpt2")]
    public void Blocks_computed_twice_give_the_same_losses(string family)
    {
        var recipe = Recipe with { Dropout = 0.1, EvaluationsPerEpoch = 0 };
        var plain = Run(Job(NewModel(family), "plain", recipe, steps: 5)).Events;
        Assert.Equal(Losses(plain), Losses(Run(Job(NewModel(family), "twice", recipe with { ActivationCheckpointing = ActivationCheckpointing.On }, steps: 5)).Events));
    }

    [Fact]
    public void A_model_of_a_folder_goes_on_from_its_weights_and_keeps_the_pooler_that_masked_words_do_not_use()
    {
        var (result, events) = Run(Job(Repository.PracticeModel, steps: 4));
        Assert.Contains(events.OfType<LogLine>(), l => l.Text == "100 % of the backbone came from the file; all of it trains, with its head for words. New, at random with seed 1: the head for words.");
        var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(result.BestFolder!, "config.json"))).RootElement;
        Assert.Equal("BertForMaskedLM", config.GetProperty("architectures")[0].GetString());
        Assert.False(config.TryGetProperty("id2label", out _));
        using var before = SafetensorsFile.Open(Path.Combine(Repository.PracticeModel, "model.safetensors"));
        using var after = SafetensorsFile.Open(Path.Combine(result.BestFolder!, "model.safetensors"));
        Assert.Equal(before.Bytes("bert.pooler.dense.weight").ToArray(), after.Bytes("bert.pooler.dense.weight").ToArray());
        Assert.False(before.Bytes("bert.embeddings.word_embeddings.weight").SequenceEqual(after.Bytes("bert.embeddings.word_embeddings.weight")));
        using var classifier = LoadClassifier.ForTraining(result.BestFolder!, ["a", "b"], null, 1).Model;
        Assert.Equal(1.0, LoadClassifier.ForTraining(result.BestFolder!, ["a", "b"], null, 1).Report.BackboneShare);
    }

    [Theory]
    [InlineData("bert")]
    [InlineData("gpt2")]
    public void A_model_stored_in_bf16_is_half_as_large_rounded_from_the_same_weights_and_goes_on(string family)
    {
        var whole = Run(Job(NewModel(family), "whole", steps: 4)).Result.BestFolder!;
        var half = Run(Job(NewModel(family), "half", steps: 4) with { Stored = Precision.Bf16 }).Result.BestFolder!;
        Assert.Equal("bfloat16", JsonDocument.Parse(File.ReadAllText(Path.Combine(half, "config.json"))).RootElement.GetProperty("torch_dtype").GetString());
        using (var full = SafetensorsFile.Open(Path.Combine(whole, "model.safetensors")))
        using (var rounded = SafetensorsFile.Open(Path.Combine(half, "model.safetensors")))
            foreach (var entry in full.Entries.Values)
            {
                Assert.Equal(("F32", "BF16"), (entry.Dtype, rounded.Entries[entry.Name].Dtype));
                var expected = MemoryMarshal.Cast<byte, float>(full.Bytes(entry.Name));
                var found = MemoryMarshal.Cast<byte, ushort>(rounded.Bytes(entry.Name));
                for (var i = 0; i < found.Length; i++) Assert.Equal(expected[i], BitConverter.UInt32BitsToSingle((uint)found[i] << 16), Math.Abs(expected[i]) / 256 + 1e-12f);
            }
        Assert.True(ModelFolder.Inspect(half).CanTrain);
        Assert.Equal(FineTuneOutcome.Finished, Run(Job(half, "on", steps: 1)).Result.Outcome);
    }

    [Fact]
    public void What_cannot_be_pretrained_is_refused_with_a_sentence()
    {
        var (bert, gpt) = (NewModel("bert"), NewModel("gpt2"));
        Assert.Equal("Max length is 64 tokens but the base model has only 48 positions; set it to 48 or less.", Refusal(Job(bert, recipe: Recipe with { MaxLength = 64 })));
        Assert.Equal("There is no validation text to evaluate on; give some that is not learned from, or set evaluations per epoch to 0.", Refusal(Job(bert) with { Validation = [] }));
        Assert.Equal("Label smoothing is 0.1, but pretraining does not read it; set it back to 0.", Refusal(Job(bert, recipe: Recipe with { LabelSmoothing = 0.1 })));
        Assert.Equal("Best checkpoint by is Accuracy, but pretraining measures ValidationLoss, Perplexity and TokenAccuracy.", Refusal(Job(bert, recipe: Recipe with { Metric = Metric.Accuracy })));
        Assert.Equal("Method is set to adapters, but a model that fills in masked words is pretrained whole; set it to Full.", Refusal(Job(bert, recipe: Recipe with { Method = TrainingMethod.Lora })));
        Assert.Equal("The validation text has 3 tokens, which is less than one block of 32; give more text, or set max length to fewer tokens.", Refusal(Job(gpt) with { Validation = [Text("short.txt", ["a b"])] }));
        Assert.Equal("train.txt is both train and validation text; a model must be measured on text that it did not learn from.", Refusal(Job(bert) with { Validation = [Text("copy.txt", Messages.Take(800))] }));
        var roberta = folder.File("roberta");
        Directory.CreateDirectory(roberta);
        File.WriteAllText(Path.Combine(roberta, "config.json"), """{"model_type":"roberta","vocab_size":100,"hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":32}""");
        Assert.Equal("config.json says the model is a RoBERTa; only BERT can be pretrained on masked words so far.", Assert.Throws<WeightFileException>(() => Run(Job(roberta))).Message);
        Assert.Equal("The width 30 cannot be divided evenly among 4 heads.", Assert.Throws<ArgumentException>(() => NewModelFolder.Gpt2(folder.File("bad"), TrainVocabulary.ByteLevelBpe(Messages, 300), new(2, 30, 4, 64), 1)).Message);
        Assert.False(Directory.Exists(folder.File("bad")));
    }

    [Fact]
    public void New_weights_of_a_GPT2_have_its_spread_and_smaller_ones_at_the_end_of_each_branch()
    {
        using var model = LoadCausalLM.From(NewModel("gpt2")).Model;
        using var scope = NewDisposeScope();
        var values = model.named_parameters().ToDictionary(p => p.name, p => p.parameter.data<float>().ToArray());
        double Spread(string name) => Math.Sqrt(values[name].Average(v => (double)v * v));
        Assert.InRange(Spread("transformer.wte.weight"), 0.0195, 0.0205);
        Assert.InRange(Spread("transformer.h.1.mlp.c_proj.weight"), 0.0095, 0.0105);
        Assert.All(values["transformer.h.0.ln_1.weight"], v => Assert.Equal(1, v));
        Assert.All(values["transformer.h.0.attn.c_attn.bias"], v => Assert.Equal(0, v));
    }

    [Fact]
    public void The_start_is_measured_as_step_0_where_that_is_asked_for_and_changes_nothing_that_follows()
    {
        var plain = Run(Job(NewModel("bert"), "plain", steps: 4));
        var measured = Run(Job(NewModel("bert"), "measured", steps: 4) with { MeasuresStart = true });
        var start = measured.Events.OfType<EvaluationDone>().First();
        Assert.Equal((0, 0.0, false), (start.Step, start.Epoch, start.IsBest));
        Assert.True(start.ValidationLoss > measured.Events.OfType<EvaluationDone>().Last().ValidationLoss);
        Assert.Equal(Losses(plain.Events), Losses(measured.Events));
        Assert.Equal(plain.Events.OfType<EvaluationDone>().Select(e => e.ValidationLoss), measured.Events.OfType<EvaluationDone>().Skip(1).Select(e => e.ValidationLoss));
    }

    public void Dispose() => folder.Dispose();
}
