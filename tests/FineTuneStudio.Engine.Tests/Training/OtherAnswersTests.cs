using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>Runs whose answers are several labels or a number.</summary>
[Collection("training")]
public sealed class OtherAnswersTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    internal static List<TrainingExample> Several(int count, int seed) =>
        [.. SmallTexts.Rows(count, seed).Zip(SmallTexts.Rows(count + 1, seed + 50).Skip(1), (a, b) => new MultiLabeledText(a.RowId, a.Text + " " + b.Text, a.Label == b.Label ? [a.Label] : [Math.Min(a.Label, b.Label), Math.Max(a.Label, b.Label)]))];

    /// <summary>The number follows from the label of the second text alone.</summary>
    internal static List<TrainingExample> Numbers(int count, int seed) =>
        [.. SmallTexts.Rows(count, seed).Zip(SmallTexts.Rows(count + 1, seed + 50).Skip(1), (a, b) => new ScoredText(a.RowId, TextPair.Join(a.Text, b.Text), 1000 + 250 * b.Label))];

    [Fact]
    public void A_run_learns_several_labels_a_text_and_saves_them_as_transformers_does()
    {
        FineTuneJob job = new(SmallTexts.Recipe with { Epochs = 6, Metric = Metric.MicroF1 }, Repository.PracticeModel, SmallTexts.Labels, Several(240, 7), Several(60, 8), folder.Path, TextTask.MultiLabel);
        var (result, events) = SmallTexts.Run(job);
        Assert.True(result.BestMetric > 0.85, $"micro-F1 {result.BestMetric}");
        Assert.All(events.OfType<EvaluationDone>(), e => Assert.Equal(TextTask.MultiLabel.Metrics().Order(), e.Scores.Keys.Order()));
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(result.BestFolder!, "config.json")))!;
        Assert.Equal("multi_label_classification", (string?)config["problem_type"]);
        Assert.Equal("""{"0":"delivery","1":"payment","2":"praise"}""", config["id2label"]!.ToJsonString());
        using var model = TextClassifier.Load(result.BestFolder!);
        Assert.Equal(TextTask.MultiLabel, model.Task);
        var probabilities = model.Predict([.. job.Validation.Select(r => r.Text)], 32);
        var report = MultiLabelClassification.Evaluate([.. job.Validation.Select(r => ((MultiLabeledText)r).Labels)], [.. probabilities.Select(p => MultiLabelClassification.Above(p))], 3);
        Assert.Equal(result.BestMetric, report.MicroF1, 6);
    }

    [Fact]
    public void A_run_learns_a_number_of_any_unit_from_pairs_and_saves_it_in_that_unit()
    {
        FineTuneJob job = new(SmallTexts.Recipe with { Epochs = 8, MaxLength = 64, Metric = Metric.RSquared, RegressionLoss = RegressionLoss.Huber }, Repository.PracticeModel, [], Numbers(240, 7), Numbers(60, 8), folder.Path, TextTask.Regression);
        var (result, events) = SmallTexts.Run(job);
        Assert.True(result.BestMetric > 0.5, $"R² {result.BestMetric}");
        Assert.InRange(events.OfType<EvaluationDone>().First().ValidationLoss, 0, 3);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(result.BestFolder!, "config.json")))!;
        Assert.Equal(("regression", """{"0":"LABEL_0"}""", """{"LABEL_0":0}"""), ((string?)config["problem_type"], config["id2label"]!.ToJsonString(), config["label2id"]!.ToJsonString()));
        using var model = TextClassifier.Load(result.BestFolder!);
        Assert.Equal(TextTask.Regression, model.Task);
        double[] said = [.. model.Predict([.. job.Validation.Select(r => r.Text)], 64).Select(p => (double)p[0])], truth = [.. job.Validation.Select(r => ((ScoredText)r).Value)];
        Assert.Equal(result.BestMetric, Regression.RSquared(truth, said), 4);

        // What was saved is itself a base model whose head is kept: without a step it answers as it did.
        var (again, later) = SmallTexts.Run(job with { BaseFolder = result.BestFolder!, OutputFolder = folder.File("again"), Recipe = job.Recipe with { Epochs = 1, EvaluationsPerEpoch = 10, LearningRate = 1e-7 } });
        Assert.Contains(later.OfType<LogLine>(), l => l.Text.Contains("the head was kept"));
        Assert.Equal(result.BestMetric, again.BestMetric, 3);
    }

    [Fact]
    public void A_run_of_numbers_that_is_cut_off_goes_on_with_the_same_losses()
    {
        FineTuneJob Job(string name) => new(SmallTexts.Recipe with { Epochs = 1, Metric = Metric.Pearson }, Repository.PracticeModel, [], Numbers(80, 7), Numbers(20, 8), folder.File(name), TextTask.Regression);
        var (_, whole) = SmallTexts.Run(Job("whole"));
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(Job("cut"), e => { if (e is StepDone { Step: 8 }) throw new InvalidOperationException("killed"); }, () => StopRequest.None, default));
        var (_, after) = SmallTexts.Run(Job("cut"), resume: true);
        Assert.Equal(whole.OfType<StepDone>().Where(s => s.Step > 5).Select(s => s.TrainLoss), after.OfType<StepDone>().Select(s => s.TrainLoss));
    }

    [Fact]
    public void Rows_that_cannot_be_learned_from_are_named()
    {
        string Refusal(TextTask task, params TrainingExample[] train) => Assert.Throws<TrainingException>(() => FineTune.Run(
            new(SmallTexts.Recipe with { EvaluationsPerEpoch = 0 }, Repository.PracticeModel, task == TextTask.Regression ? [] : SmallTexts.Labels, train, [], folder.Path, task), _ => { }, () => StopRequest.None, default)).Message;
        Assert.Equal("No train row has a label; a classifier needs rows with labels.", Refusal(TextTask.MultiLabel, new MultiLabeledText(1, "a", [])));
        Assert.Equal("Row 4 has label number 3, but labels are numbered 0 to 2.", Refusal(TextTask.MultiLabel, new MultiLabeledText(4, "a", [1, 3])));
        Assert.Equal("All train rows have the value 2.5; there is no difference to learn.", Refusal(TextTask.Regression, new ScoredText(1, "a", 2.5), new ScoredText(2, "b", 2.5)));
        Assert.Equal("Row 2 has a value that is not a finite number.", Refusal(TextTask.Regression, new ScoredText(1, "a", 2.5), new ScoredText(2, "b", double.NaN)));
    }

    [Fact]
    public void A_setting_that_another_task_reads_is_refused()
    {
        FineTuneJob job = new(SmallTexts.Recipe with { LabelSmoothing = 0.1 }, Repository.PracticeModel, [], Numbers(20, 7), Numbers(20, 8), folder.Path, TextTask.Regression);
        Assert.Equal("Label smoothing is 0.1, but runs of this task do not read it; set it back to 0.", Assert.Throws<TrainingException>(() => SmallTexts.Run(job)).Message);
        Assert.Contains(PreFlight.Check(job.Recipe with { Metric = Metric.Pearson }, new(100, 20, 10, [8], 512, 2, null, "pretrained", Task: TextTask.Regression)), f => f is { Severity: Severity.Block, Field: "LabelSmoothing" });
        Assert.DoesNotContain(RunRecipe.Fields, f => f.Name == "RegressionLoss" && f.AppliesTo(TextTask.SingleLabel));
    }
}
