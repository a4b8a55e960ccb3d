using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Training;

/// <summary>Something a run tells whoever watches; raised on the training thread, in order.</summary>
public abstract record TrainingEvent;

/// <summary>The base model is in memory: what came from its file, and how much of it will train.</summary>
public sealed record WeightsLoaded(WeightReport Report, long TrainableParameters, long TotalParameters) : TrainingEvent;

/// <summary>One optimizer step. <paramref name="Epoch"/> is fractional, <paramref name="GradientNorm"/> is before clipping,
/// <paramref name="MemoryBytes"/> is the process's resident memory.</summary>
public sealed record StepDone(int Step, int TotalSteps, double Epoch, double TrainLoss, double LearningRate, double GradientNorm,
    double ExamplesPerSecond, long MemoryBytes, double SecondsLeft) : TrainingEvent;

/// <summary>One evaluation on all validation rows and on a fixed sample of train rows of at most the same size (of 512 blocks at most in
/// pretraining), drawn once by the recipe's seed; both without dropout. <paramref name="Scores"/> are the task's metrics on the validation rows; <paramref name="TrainSampleMetric"/> is the
/// recipe's metric on the sample.</summary>
public sealed record EvaluationDone(int Step, double Epoch, double ValidationLoss, IReadOnlyDictionary<Metric, double> Scores,
    double TrainSampleLoss, double TrainSampleMetric, bool IsBest) : TrainingEvent
{
    /// <summary>A metric on the validation rows, their loss included.</summary>
    public double this[Metric metric] => metric == Metric.ValidationLoss ? ValidationLoss : Scores[metric];
}

/// <summary>A checkpoint is complete on disk.</summary>
public sealed record CheckpointSaved(int Step, string Folder, bool Best) : TrainingEvent;

/// <summary>One line for the run's log.</summary>
public sealed record LogLine(string Text) : TrainingEvent;
