using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Projects;

/// What the project form says of a task and of its metrics.
public static class TaskWords
{
    /// The tasks with which the whole road can be walked, from upload to a signed model.
    public static IReadOnlyList<TextTask> Offered { get; } = [TextTask.SingleLabel];

    public static string Title(TextTask task) => task switch
    {
        TextTask.SingleLabel => "One label for each text",
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    public static string Help(TextTask task) => task switch
    {
        TextTask.SingleLabel => "Single-label classification: which team a message goes to, what a review feels like.",
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    public static string Help(Metric metric) => metric switch
    {
        Metric.MacroF1 => "every label counts the same, rare ones too",
        Metric.Accuracy => "share of texts with the right label",
        _ => throw new ArgumentOutOfRangeException(nameof(metric)),
    };
}
