using System.Text.Json;
using System.Text.Json.Serialization;

namespace FineTuneStudio.Runs;

/// A run that fine-tunes a base model on the train rows of a split.
public sealed class Run() : TrainingRun(Runs)
{
    public const string Runs = "runs";

    public required int SplitId { get; init; }
    public required int BaseModelId { get; init; }
    /// Validation loss by which the base model was probed, see BackboneProbe; null where it was not.
    public double? ProbeLoss { get; set; }
    /// The same with the base model's weights drawn anew.
    public double? ReinitialisedProbeLoss { get; set; }

    public override string Word => "run";

    /// How much lower the probe's loss is through the base model's weights, in proportion.
    public double? ProbeGain => 1 - ProbeLoss / ReinitialisedProbeLoss;
}

/// One training step's numbers.
public sealed class RunStep
{
    public required int RunId { get; init; }
    public required int Step { get; init; }
    public required double Epoch { get; init; }
    public required double TrainLoss { get; init; }
    public required double LearningRate { get; init; }
    public required double GradientNorm { get; init; }
    public required double ExamplesPerSecond { get; init; }
    public required long MemoryBytes { get; init; }
}

/// One evaluation on the validation part and on a fixed sample of the training part.
public sealed class RunEvaluation
{
    public required int RunId { get; init; }
    public required int Step { get; init; }
    public required double Epoch { get; init; }
    public required double ValidationLoss { get; init; }
    /// The task's metrics on the validation part, as JSON: {"MacroF1":0.81,"Accuracy":0.84}.
    public required string ScoresJson { get; init; }
    public required double TrainSampleLoss { get; init; }
    public required double TrainSampleMetric { get; init; }
    public required bool IsBest { get; init; }

    public double this[Metric metric] => metric == Metric.ValidationLoss ? ValidationLoss : Scores.GetValueOrDefault(metric, double.NaN);

    public IReadOnlyDictionary<Metric, double> Scores => ScoresOf(ScoresJson);

    internal static string ToJson(IReadOnlyDictionary<Metric, double> scores) => JsonSerializer.Serialize(scores, WithNotANumber);

    internal static IReadOnlyDictionary<Metric, double> ScoresOf(string json) => JsonSerializer.Deserialize<Dictionary<Metric, double>>(json, WithNotANumber)!;

    private static readonly JsonSerializerOptions WithNotANumber = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };
}

public sealed class RunLogLine
{
    public long Id { get; init; }
    public required int RunId { get; init; }
    public required DateTime At { get; init; }
    public required string Text { get; init; }
}
