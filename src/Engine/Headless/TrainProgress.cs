using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Headless;

/// <summary>Shows a run on a terminal as one line that renews itself, or as one JSON object a line for programs.</summary>
internal sealed class TrainProgress(TextWriter output, bool json)
{
    internal static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    // A file or a pipe keeps every line, so there only evaluations are worth one.
    private readonly bool renews = !json && IsTerminal(output);

    internal static bool IsTerminal(TextWriter output) => ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected;

    public void Start(FineTuneJob job, int testRows)
    {
        if (json) Json(new { Event = "start", Labels = job.Labels.Count, TrainRows = job.Train.Count, ValidationRows = job.Validation.Count, TestRows = testRows, RecipeSha256 = job.Recipe.Sha256() });
        else Line($"{job.Train.Count} train, {job.Validation.Count} validation and {testRows} test rows{(job.Task == TextTask.QuestionAnswering ? "" : $" in {job.Labels.Count} labels")}");
    }

    public void Show(TrainingEvent happened)
    {
        switch (happened)
        {
            case WeightsLoaded e when json: Json(new { Event = "weights", e.Report.BackboneShare, e.TrainableParameters, e.TotalParameters, e.Report.Missing, e.Report.Unexpected, e.Report.Reshaped }); break;
            case WeightsLoaded e: Line($"{e.TrainableParameters} of {e.TotalParameters} parameters train"); break;
            case LogLine e when json: Json(new { Event = "log", e.Text }); break;
            case LogLine e: Line($"{e.Text}"); break;
            case StepDone e when json: Json(new { Event = "step", e.Step, e.TotalSteps, e.Epoch, e.TrainLoss, e.LearningRate, e.GradientNorm, e.ExamplesPerSecond, e.MemoryBytes, e.SecondsLeft }); break;
            case StepDone e when renews:
                output.Write(string.Create(CultureInfo.InvariantCulture, $"\r\u001b[Kstep {e.Step}/{e.TotalSteps}  loss {e.TrainLoss:0.0000}  rate {e.LearningRate:0.00e-0}  {e.ExamplesPerSecond:0} rows/s  {TimeSpan.FromSeconds(e.SecondsLeft):mm\\:ss} left"));
                break;
            case EvaluationDone e when json: Json(Evaluation(e)); break;
            case EvaluationDone e: Line($"step {e.Step}  epoch {e.Epoch:0.0}  validation loss {e.ValidationLoss:0.0000}  {string.Join("  ", e.Scores.OrderBy(s => s.Key != Metric.Accuracy).Select(s => FormattableString.Invariant($"{s.Key.Name()} {s.Value:0.0000}")))}{(e.IsBest ? "  best" : "")}"); break;
            case CheckpointSaved e when json: Json(new { Event = "checkpoint", e.Step, e.Folder, e.Best }); break;
        }
    }

    private static Dictionary<string, object?> Evaluation(EvaluationDone e)
    {
        var fields = new Dictionary<string, object?> { ["event"] = "evaluation", ["step"] = e.Step, ["epoch"] = e.Epoch, ["validationLoss"] = e.ValidationLoss };
        foreach (var (metric, value) in e.Scores.OrderBy(s => s.Key != Metric.Accuracy)) fields[char.ToLowerInvariant(metric.ToString()[0]) + metric.ToString()[1..]] = value;
        (fields["trainSampleLoss"], fields["trainSampleMetric"], fields["isBest"]) = (e.TrainSampleLoss, e.TrainSampleMetric, e.IsBest);
        return fields;
    }

    /// <param name="test">The scores on the test rows; null where there are none.</param>
    public void End(FineTuneResult result, int testRows, IReadOnlyDictionary<Metric, double>? test)
    {
        if (json)
        {
            var fields = new Dictionary<string, object?>
            {
                ["event"] = "end", ["outcome"] = result.Outcome.ToString(), ["stepsDone"] = result.StepsDone, ["bestStep"] = result.BestStep, ["bestMetric"] = double.IsNaN(result.BestMetric) ? null : result.BestMetric,
                ["bestFolder"] = result.BestFolder, ["testRows"] = test is null ? null : testRows,
            };
            foreach (var (metric, value) in test ?? new Dictionary<Metric, double>()) fields["test" + metric] = value;
            Json(fields);
        }
        else
            Line($"{result.Outcome}: best at step {result.BestStep} of {result.StepsDone}, in {result.BestFolder}{(test is null ? "" : $"; test {string.Join(", ", test.Select(s => FormattableString.Invariant($"{s.Key.Name()} {s.Value:0.0000}")))} on {testRows} rows")}");
    }

    private void Json(object line) => output.WriteLine(JsonSerializer.Serialize(line, Format));

    private void Line(FormattableString text) => output.WriteLine((renews ? "\r\u001b[K" : "") + FormattableString.Invariant(text));
}
