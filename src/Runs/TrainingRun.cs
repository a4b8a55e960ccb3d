namespace FineTuneStudio.Runs;

public enum RunState { Queued, Running, Interrupted, Finished, StoppedByPerson, Cancelled, Failed }

/// What the trainer works on, one at a time and in one queue: a run that fine-tunes, or one that pretrains. Their steps, evaluations and logs share tables too.
public abstract class TrainingRun(string kind)
{
    public int Id { get; init; }
    /// As its address says it: /p/PROJECT/KIND/NUMBER.
    public string Kind { get; private init; } = kind;
    public required string ProjectId { get; init; }
    /// Counted within its kind.
    public required int Number { get; init; }
    public required string RecipeJson { get; init; }
    public required string RecipeHash { get; init; }
    /// Of a pretraining, whoever restarted it where the one before may not any more.
    public required string LaunchedById { get; set; }
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
    public string? Failure { get; private set; }

    /// "run", as sentences name it.
    public abstract string Word { get; }
    /// Whether it was given a number of steps in place of epochs.
    public virtual bool CountsSteps => false;
    public string Called => $"{Word} {Number}";
    public string Href => $"/p/{ProjectId}/{Kind}/{Number}";
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

    /// Its model was made before the server stopped, so it has come to its end whatever was said of it since.
    public void EndWith(string weightsHash, DateTime at)
    {
        (BestStep, WeightsHash) = (BestStep ?? StepsDone, weightsHash);
        End(Asked == "stop" ? RunState.StoppedByPerson : RunState.Finished, at);
    }

    private void Move(RunState to, params RunState[] from)
    {
        if (!from.Contains(State)) throw new InvalidOperationException($"{Called} is {State}; it cannot become {to}.");
        State = to;
    }
}
