using System.Runtime.InteropServices;
using System.Text.Json;
using CsvHelper;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>
/// Whether weights know anything. One is made in a moment: the practice model after a few epochs on half of the sample rows,
/// of which only the backbone is of use to the probe. The other half is what it is probed on.
/// </summary>
[Collection("training")]
public sealed class BackboneProbeTests(BackboneProbeTests.Trained trained) : IClassFixture<BackboneProbeTests.Trained>
{
    public sealed class Trained : IDisposable
    {
        private readonly TemporaryFolder folder = new();

        public Trained()
        {
            var of = Read();
            (Labels, var rows) = ([.. of.Select(r => r.Label).Distinct().Order(StringComparer.Ordinal)], of);
            List<LabeledText> all = [.. rows.Select((r, i) => new LabeledText(i + 1, r.Text, Labels.IndexOf(r.Label)))];
            new Random(3).Shuffle(CollectionsMarshal.AsSpan(all));
            var (learned, kept) = (all[..500], all[500..]);
            var recipe = new RunRecipe { Epochs = 6, LearningRate = 2e-3, BatchSize = 16, MaxLength = 64, EvaluationsPerEpoch = 1, EarlyStoppingPatience = 0 };
            var result = FineTune.Run(new(recipe, Repository.PracticeModel, Labels, learned[..400], learned[400..], folder.File("run")), _ => { }, () => StopRequest.None, default);
            (Folder, Train, Validation) = (result.BestFolder!, kept[..350], kept[350..]);
            Shuffled = folder.File("shuffled");
            Shuffle(Folder, Shuffled);
        }

        public List<string> Labels { get; }

        /// <summary>The model that knows the messages.</summary>
        public string Folder { get; }

        /// <summary>Its weights with the elements of every tensor in another order.</summary>
        public string Shuffled { get; }

        public List<LabeledText> Train { get; }

        public List<LabeledText> Validation { get; }

        internal static List<(string Text, string Label)> Read()
        {
            using var reader = CsvReader.FromFile(Path.Combine(Repository.Root, "sample", "customer-messages.csv"), new CsvReaderOptions());
            var rows = new List<(string, string)>();
            while (reader.Read())
                if (reader.GetString("label") is { Length: > 0 } label && reader.GetString("text") is { Length: > 0 } text) rows.Add((text, label));
            return rows;
        }

        public void Dispose() => folder.Dispose();
    }

    /// <summary>A copy of a model with the elements of every tensor in another order.</summary>
    internal static void Shuffle(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        using var weights = SafetensorsFile.Open(Path.Combine(from, "model.safetensors"));
        var random = new Random(5);
        SafetensorsWriter.Write(Path.Combine(to, "model.safetensors"), [.. weights.Entries.Values.OrderBy(e => e.Name, StringComparer.Ordinal)
            .Select(e => (e.Name, e.Dtype, e.Shape, e.Dtype == "F32" ? Shuffled<float>(weights.Bytes(e.Name), random) : e.Dtype == "BF16" ? Shuffled<ushort>(weights.Bytes(e.Name), random) : throw new NotSupportedException(e.Dtype)))]);
    }

    private static Func<ReadOnlyMemory<byte>> Shuffled<T>(ReadOnlySpan<byte> bytes, Random random) where T : struct
    {
        var numbers = MemoryMarshal.Cast<byte, T>(bytes).ToArray();
        random.Shuffle(numbers);
        return () => MemoryMarshal.AsBytes<T>(numbers).ToArray();
    }

    private FineTuneJob Job(string model, int seed = 1) => new(new RunRecipe { MaxLength = 64, Seed = seed }, model, trained.Labels, trained.Train, trained.Validation, "");

    private static ProbeResult Measure(FineTuneJob job) => BackboneProbe.Measure(job, () => StopRequest.None, default)!;

    [Fact]
    public void A_backbone_that_knows_the_messages_helps_a_new_head_and_its_shuffled_copy_and_random_weights_do_not()
    {
        var (knows, shuffled, random) = (Measure(Job(trained.Folder)), Measure(Job(trained.Shuffled)), Measure(Job(Repository.PracticeModel)));
        Assert.True(knows.Gain >= 2 * BackboneProbe.LeastGain, $"{knows}");
        Assert.True(shuffled.Gain < BackboneProbe.LeastGain, $"{shuffled}");
        Assert.True(random.Gain < BackboneProbe.LeastGain, $"{random}");
        Assert.Equal((350, trained.Validation.Count), (knows.TrainRows, knows.ValidationRows));
        Assert.InRange(knows.Loss, 0.5, Math.Log(trained.Labels.Count));
        // The same draw for all, so only what was loaded tells them apart.
        Assert.Equal((knows.ReinitialisedLoss, knows.ReinitialisedLoss), (shuffled.ReinitialisedLoss, random.ReinitialisedLoss));
        Assert.Equal(1 - knows.Loss / knows.ReinitialisedLoss, knows.Gain);
    }

    [Fact]
    public void The_same_job_gives_the_same_losses_and_another_seed_others()
    {
        var once = Measure(Job(trained.Folder));
        Assert.Equal(once, Measure(Job(trained.Folder)));
        Assert.NotEqual(once.ReinitialisedLoss, Measure(Job(trained.Folder, seed: 2)).ReinitialisedLoss);
    }

    [Theory]
    [InlineData(TextTask.MultiLabel)]
    [InlineData(TextTask.TokenClassification)]
    public void Other_tasks_with_labels_are_probed_as_well(TextTask task)
    {
        using var folder = new TemporaryFolder();
        var (labels, rows) = task == TextTask.MultiLabel ? (SmallTexts.Labels, (Func<int, int, List<TrainingExample>>)OtherAnswersTests.Several) : (TokenTagTests.Types, (count, seed) => [.. TokenTagTests.Rows(count, seed)]);
        var learned = FineTune.Run(new(SmallTexts.Recipe with { Epochs = 4, Metric = task.Metrics()[0] }, Repository.PracticeModel, labels, rows(200, 17), rows(40, 18), folder.File("run"), task), _ => { }, () => StopRequest.None, default);
        Shuffle(learned.BestFolder!, folder.File("shuffled"));
        ProbeResult Of(string model) => Measure(new(new RunRecipe { MaxLength = 64 }, model, labels, rows(120, 7), rows(60, 8), "", task));
        var (knows, shuffled) = (Of(learned.BestFolder!), Of(folder.File("shuffled")));
        Assert.True(knows.Gain >= 2 * BackboneProbe.LeastGain, $"{knows}");
        Assert.True(shuffled.Gain < BackboneProbe.LeastGain, $"{shuffled}");
    }

    [SkippableFact]
    public void A_language_model_is_judged_by_its_loss_before_any_training()
    {
        using var folder = new TemporaryFolder();
        List<AnsweredPrompt> all = [.. File.ReadLines(Shared.Find("data/sft/gsm8k/train.jsonl")).Take(80).Select((line, i) =>
        {
            var row = JsonSerializer.Deserialize<JsonElement>(line);
            return new AnsweredPrompt(i + 1, row.GetProperty("question").GetString()!, row.GetProperty("answer").GetString()!);
        })];
        var recipe = new RunRecipe { Epochs = 3, LearningRate = 5e-3, BatchSize = 8, MaxLength = 128, EvaluationsPerEpoch = 1, EarlyStoppingPatience = 0, Metric = Metric.Perplexity };
        var learned = FineTune.Run(new(recipe, Shared.Find("goldens/llama-tiny"), [], all[..56], all[56..64], folder.File("run"), TextTask.Generation), _ => { }, () => StopRequest.None, default);
        Shuffle(learned.BestFolder!, folder.File("shuffled"));
        ProbeResult Of(string model) => Measure(new(recipe, model, [], all[..56], all[64..], "", TextTask.Generation));
        var (knows, shuffled, random) = (Of(learned.BestFolder!), Of(folder.File("shuffled")), Of(Shared.Find("goldens/llama-tiny")));
        Assert.Equal((0, 16), (knows.TrainRows, knows.ValidationRows));
        Assert.True(knows.Gain >= 2 * BackboneProbe.LeastGain, $"{knows}");
        Assert.True(shuffled.Gain < BackboneProbe.LeastGain, $"{shuffled}");
        Assert.True(random.Gain < BackboneProbe.LeastGain, $"{random}");
        // Weights near zero answer every word alike.
        Assert.InRange(knows.ReinitialisedLoss, Math.Log(960) - 0.5, Math.Log(960) + 0.5);
    }

    [Fact]
    public void Of_more_rows_than_it_takes_the_seed_chooses_five_hundred_for_each_part()
    {
        var result = Measure(new(new RunRecipe { MaxLength = 32 }, Repository.PracticeModel, SmallTexts.Labels, SmallTexts.Rows(700), SmallTexts.Rows(600, seed: 8), ""));
        Assert.Equal((500, 500), (result.TrainRows, result.ValidationRows));
    }

    [Fact]
    public void A_person_or_the_server_ends_it_between_two_batches_and_no_tensor_stays_behind()
    {
        Measure(Job(Repository.PracticeModel));
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var live = torch.Tensor.TotalCount;
        Measure(Job(Repository.PracticeModel));
        Assert.Equal(live, torch.Tensor.TotalCount);
        foreach (var request in new[] { StopRequest.Stop, StopRequest.Cancel })
        {
            var asked = 0;
            Assert.Null(BackboneProbe.Measure(Job(Repository.PracticeModel), () => ++asked == 3 ? request : StopRequest.None, default));
            Assert.Equal(3, asked);
        }
        using var down = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => BackboneProbe.Measure(Job(Repository.PracticeModel), () => { down.Cancel(); return StopRequest.None; }, down.Token));
        Assert.Equal(live, torch.Tensor.TotalCount);
    }

    [Fact]
    public void What_has_no_probe_says_why()
    {
        string Said(FineTuneJob job) => Assert.Throws<TrainingException>(() => Measure(job)).Message;
        Assert.Equal("A probe needs train rows and validation rows.", Said(Job(Repository.PracticeModel) with { Validation = [] }));
        Assert.Equal("There is no probe for this task: where an answer begins and ends cannot be read off frozen features by a linear head, so its loss would say little of the backbone.", Said(Job(Repository.PracticeModel) with { Task = TextTask.QuestionAnswering }));
        Assert.Equal("There is no probe for this task: a linear head’s loss on numbers differs as much between two draws of random weights as between random and pretrained ones.", Said(Job(Repository.PracticeModel) with { Task = TextTask.Regression }));
    }
}
