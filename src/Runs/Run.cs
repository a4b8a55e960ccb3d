using System.Text.Json;
using System.Text.Json.Serialization;

namespace FineTuneStudio.Runs;

public enum RunState { Queued, Running, Interrupted, Finished, StoppedByPerson, Cancelled, Failed }

public sealed class Run
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    public required int Number { get; init; }
    public required int SplitId { get; init; }
    public required int BaseModelId { get; init; }
    public required string RecipeJson { get; init; }
    public required string RecipeHash { get; init; }
    public required string LaunchedById { get; init; }
    public required DateTime QueuedAt { get; init; }
    public DateTime? StartedAt { get; private set; }
    public DateTime? FinishedAt { get; private set; }
    public RunState State { get; private set; } = RunState.Queued;
    /// What a person asked for while it ran: "stop" keeps the best checkpoint, "cancel" keeps nothing.
    public string? Asked { get; set; }
    public int StepsDone { get; set; }
    public int TotalSteps { get; set; }
    public int? BestStep { get; set; }
    public double? BestMetric { get; set; }
    /// SHA-256 of the best checkpoint's weights, hex.
    public string? WeightsHash { get; set; }
    /// Share of the backbone's elements that came from the base model's file, 0 to 1.
    public double? BackboneShare { get; set; }
    /// Validation loss by which the base model was probed, see BackboneProbe; null where it was not.
    public double? ProbeLoss { get; set; }
    /// The same with the base model's weights drawn anew.
    public double? ReinitialisedProbeLoss { get; set; }
    public string? Failure { get; private set; }

    /// How much lower the probe's loss is through the base model's weights, in proportion.
    public double? ProbeGain => 1 - ProbeLoss / ReinitialisedProbeLoss;
    public bool IsOver => State is RunState.Finished or RunState.StoppedByPerson or RunState.Cancelled or RunState.Failed;
    public bool HasModel => State is RunState.Finished or RunState.StoppedByPerson && BestStep is not null;

    public void Start(DateTime at)
    {
        Move(RunState.Running, RunState.Queued, RunState.Interrupted);
        StartedAt ??= at;
    }

    /// Why is a sentence; none where the server stopped.
    public void Interrupt(string? why = null)
    {
        Move(RunState.Interrupted, RunState.Running);
        Failure = why;
    }

    public void Requeue()
    {
        Move(RunState.Queued, RunState.Interrupted);
        Failure = null;
    }

    public void End(RunState state, DateTime at, string? failure = null)
    {
        Move(state, RunState.Running, RunState.Queued, RunState.Interrupted);
        FinishedAt = at;
        Failure = failure;
    }

    private void Move(RunState to, params RunState[] from)
    {
        if (!from.Contains(State)) throw new InvalidOperationException($"Run {Number} is {State}; it cannot become {to}.");
        State = to;
    }
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
