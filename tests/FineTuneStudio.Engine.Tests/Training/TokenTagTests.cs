using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>A whole run of token classification on the practice model: from spans to a folder that finds them.</summary>
[Collection("training")]
public sealed class TokenTagTests : IDisposable
{
    internal static readonly string[] Types = ["person", "place"];
    private readonly TemporaryFolder folder = new();

    /// <summary>Made-up sentences with names of people and of places.</summary>
    internal static List<SpannedText> Rows(int count, int seed)
    {
        string[][] names = [["Anna", "Carla", "Ella"], ["Berlin", "Dover", "Oslo"]];
        string[] fillers = ["the parcel was late", "my card is here", "we paid", "it was good"];
        var random = new Random(seed);
        return [.. Enumerable.Range(1, count).Select(i =>
        {
            var (text, spans) = (fillers[random.Next(4)], new List<TextSpan>());
            for (var n = random.Next(3); n >= 0; n--)
            {
                var type = random.Next(2);
                text += type == 0 ? " from " : " in ";
                var name = names[type][random.Next(3)] + (random.Next(3) == 0 ? " " + names[type][random.Next(3)] : "");
                spans.Add(new(text.Length, text.Length + name.Length, type));
                text += name;
            }
            return new SpannedText(i, text + ".", spans);
        })];
    }

    private FineTuneJob Job(string output, RunRecipe? recipe = null) => new(recipe ?? SmallTexts.Recipe with { Metric = Metric.EntityF1, Epochs = 10, LearningRate = 3e-3 },
        Repository.PracticeModel, Types, Rows(300, 1), Rows(60, 2), folder.File(output), TextTask.TokenClassification);

    [Fact]
    public void A_run_learns_spans_resumes_exactly_and_its_folder_finds_them()
    {
        var job = Job("whole");
        var (result, events) = SmallTexts.Run(job);
        var evaluations = events.OfType<EvaluationDone>().ToList();
        Assert.Equal([Metric.EntityF1, Metric.WordAccuracy], evaluations[0].Scores.Keys);
        Assert.True(result.BestMetric > 0.75, $"entity F1 {result.BestMetric}");
        Assert.True(evaluations[^1].ValidationLoss < 0.5 * evaluations[0].ValidationLoss);

        using var tagger = SpanTagger.Load(result.BestFolder!);
        var found = tagger.Predict([.. job.Validation.Select(r => r.Text)], maxLength: 32);
        var report = Entities.Evaluate([.. job.Validation.Select(r => ((SpannedText)r).Spans)], [.. found.Select(f => f.Select(s => s.Span).ToList())], 2);
        Assert.Equal(result.BestMetric, report.Micro.F1, 1e-9);
        Assert.Equal(["O", "B-person", "I-person", "B-place", "I-place"], EncoderConfig.Read(result.BestFolder!).Labels);

        var cut = job with { OutputFolder = folder.File("cut") };
        var before = new List<TrainingEvent>();
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(cut, e =>
        {
            before.Add(e);
            if (e is StepDone { Step: 100 }) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        var (resumed, after) = SmallTexts.Run(cut, resume: true);
        Assert.Equal(Losses(events), Losses(before.Where(e => e is StepDone s && s.Step <= after.OfType<StepDone>().First().Step - 1).Concat(after)));
        Assert.Equal(result with { BestFolder = null }, resumed with { BestFolder = null });
    }

    [Fact]
    public void The_word_accuracy_of_a_run_counts_words_without_a_token_as_the_report_does()
    {
        // The practice model's tokenizer makes nothing of this sign, which is a word all the same.
        var job = Job("unread", SmallTexts.Recipe with { Metric = Metric.EntityF1, Epochs = 1 });
        var (_, events) = SmallTexts.Run(job with { Train = Rows(40, 1), Validation = [new SpannedText(1, "\uFFFD \uFFFD", [])] });
        var evaluation = events.OfType<EvaluationDone>().First();
        Assert.Equal((1, 0), (evaluation.Scores[Metric.WordAccuracy], evaluation.ValidationLoss));
    }

    private static double[] Losses(IEnumerable<TrainingEvent> events) => [.. events.OfType<StepDone>().Select(s => s.TrainLoss)];

    [SkippableFact]
    public void The_folder_has_the_files_keys_and_fields_of_the_references_own()
    {
        var golden = Shared.Find("goldens/bert-tiny-tokencls");
        var (result, _) = SmallTexts.Run(Job("fields", SmallTexts.Recipe with { Metric = Metric.WordAccuracy, Epochs = 1 }));
        string[] Fields(string path) => [.. Repository.Json(Path.Combine(path, "config.json")).EnumerateObject().Select(p => p.Name).Order()];
        Assert.Equal(Fields(golden).Except(["classifier_dropout"]), Fields(result.BestFolder!).Except(["classifier_dropout", "problem_type"]));
        using SafetensorsFile theirs = SafetensorsFile.Open(Path.Combine(golden, "model.safetensors")), ours = SafetensorsFile.Open(Path.Combine(result.BestFolder!, "model.safetensors"));
        // The golden has one block and the practice model two.
        Assert.Equal(theirs.Entries.Keys.Order(), ours.Entries.Keys.Where(k => !k.Contains(".layer.1.")).Order());
        Assert.All(ours.Entries.Values, e => Assert.Equal("F32", e.Dtype));
    }

    [Theory]
    [InlineData(2, 0.1, 0, "Balanced")]
    [InlineData(1, 0, 2, "None")]
    public void Weights_smoothing_focus_and_accumulation_apply_to_tokens(int accumulation, double smoothing, double gamma, string weights)
    {
        var recipe = SmallTexts.Recipe with { Metric = Metric.EntityF1, GradientAccumulation = accumulation, LabelSmoothing = smoothing, FocalGamma = gamma, ClassWeights = Enum.Parse<ClassWeighting>(weights) };
        var (_, events) = SmallTexts.Run(Job("variants", recipe));
        var losses = Losses(events);
        Assert.True(losses[^5..].Average() < 0.9 * losses[..5].Average(), $"from {losses[..5].Average()} to {losses[^5..].Average()}");
    }

    [Fact]
    public void Rows_that_teach_nothing_and_spans_outside_their_text_are_refused_or_harmless()
    {
        string Message(FineTuneJob job) => Assert.Throws<TrainingException>(() => SmallTexts.Run(job)).Message;
        var job = Job("bad");
        Assert.Equal("No row has a labelled span; mark some before training.", Message(job with { Labels = [] }));
        Assert.Equal("No train row has a labelled span; there is nothing to learn.", Message(job with { Train = [new SpannedText(1, "nothing", [])] }));
        Assert.Equal("Row 7 has a span from 2 to 9, but its text has 5 characters.", Message(job with { Train = [new SpannedText(7, "short", [new(2, 9, 0)])] }));
        Assert.Equal("Row 7 has a span of type number 2, but types are numbered 0 to 1.", Message(job with { Train = [new SpannedText(7, "short", [new(0, 5, 2)])] }));
        // A batch of texts without any word, and a long one.
        List<TrainingExample> rows = [.. Enumerable.Range(0, 16).Select(i => new SpannedText(i, "", [])), .. Rows(16, 3), new SpannedText(99, string.Join(' ', Enumerable.Repeat("paid in Dover", 60)), [new(8, 13, 1)])];
        var (result, events) = SmallTexts.Run(job with { Train = rows, Recipe = job.Recipe with { Epochs = 1, BatchSize = 4 } });
        Assert.Equal(FineTuneOutcome.Finished, result.Outcome);
        Assert.All(Losses(events), loss => Assert.True(double.IsFinite(loss)));
    }

    public void Dispose() => folder.Dispose();
}
