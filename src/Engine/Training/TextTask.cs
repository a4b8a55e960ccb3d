using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Training;

/// <summary>What a model answers for a text.</summary>
public enum TextTask
{
    /// <summary>One of the labels.</summary>
    SingleLabel,

    /// <summary>A text of its own, written to a prompt.</summary>
    Generation,

    /// <summary>Stretches of it, each with a label.</summary>
    TokenClassification,

    /// <summary>Any number of the labels, also none.</summary>
    MultiLabel,

    /// <summary>A number.</summary>
    Regression,

    /// <summary>The stretch of a context that answers a question, or that there is none.</summary>
    QuestionAnswering,
}

/// <summary>What is known of a task whatever the data.</summary>
public static class TextTasks
{
    /// <summary>The numbers that an evaluation of the task gives, the usual choice first.</summary>
    public static IReadOnlyList<Metric> Metrics(this TextTask task) => task switch
    {
        TextTask.SingleLabel => [Metric.MacroF1, Metric.Accuracy],
        TextTask.MultiLabel => [Metric.MicroF1, Metric.MacroF1, Metric.ExactMatch],
        TextTask.Regression => [Metric.Pearson, Metric.Spearman, Metric.RSquared, Metric.RootMeanSquaredError, Metric.MeanAbsoluteError],
        TextTask.Generation => [Metric.Perplexity, Metric.TokenAccuracy],
        TextTask.TokenClassification => [Metric.EntityF1, Metric.WordAccuracy],
        TextTask.QuestionAnswering => [Metric.AnswerF1, Metric.ExactMatch],
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };
}
