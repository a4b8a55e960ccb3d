namespace FineTuneStudio.Engine.Training;

/// <summary>Everything a run needs. Nothing outside <paramref name="OutputFolder"/> is written.</summary>
/// <param name="Labels">The names that answers are made of; empty for a task without labels.</param>
/// <param name="Train">Examples of the kind that <paramref name="Task"/> learns from.</param>
/// <param name="MostFeatureBytes">Where only the head trains, memory for what lies below it, computed once for each row; with 0, or where it would not do,
/// that is computed at every step. Null is half of what is free when the run begins.</param>
/// <param name="Steps">Optimizer steps in place of the recipe's epochs, at least 1; the evaluations of an epoch are then those of the whole run.</param>
/// <param name="Saves">Whether anything is written; a run that is only measured cannot go on later and leaves no model.</param>
public sealed record FineTuneJob(RunRecipe Recipe, string BaseFolder, IReadOnlyList<string> Labels,
    IReadOnlyList<TrainingExample> Train, IReadOnlyList<TrainingExample> Validation, string OutputFolder, TextTask Task = TextTask.SingleLabel, long? MostFeatureBytes = null,
    int? Steps = null, bool Saves = true);

/// <summary>What a person asks of a run under way: nothing, to end it with its best checkpoint, or to drop it.</summary>
public enum StopRequest { None, Stop, Cancel }

/// <summary>How a run ended.</summary>
public enum FineTuneOutcome { Finished, StoppedEarly, StoppedByPerson, Cancelled }

/// <summary>The end of a run. <paramref name="BestMetric"/> is the recipe's metric at <paramref name="BestStep"/>, NaN where
/// nothing was evaluated; <paramref name="BestFolder"/> is a complete Hugging Face folder, null where there is none.</summary>
public sealed record FineTuneResult(FineTuneOutcome Outcome, int BestStep, double BestMetric, int StepsDone, string? BestFolder);

/// <summary>A run that cannot start or go on; the message is one plain sentence for the person who launched it.</summary>
public sealed class TrainingException(string message) : Exception(message);
