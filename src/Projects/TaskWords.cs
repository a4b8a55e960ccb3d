using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Projects;

/// What the project form says of a task and of its metrics.
public static class TaskWords
{
    /// The tasks with which the whole road can be walked, from upload to a signed model.
    public static IReadOnlyList<TextTask> Offered { get; } = [TextTask.SingleLabel, TextTask.TokenClassification, TextTask.Generation];

    public static string Title(TextTask task) => task switch
    {
        TextTask.SingleLabel => "One label for each text",
        TextTask.TokenClassification => "Spans in each text",
        TextTask.Generation => "An answer to each prompt",
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    public static string Help(TextTask task) => task switch
    {
        TextTask.SingleLabel => "Single-label classification: which team a message goes to, what a review feels like.",
        TextTask.TokenClassification => "Token classification: names of people and places, dates, amounts, each marked where it stands.",
        TextTask.Generation => "Text generation: a language model learns from prompts and answers, or from chats, to write answers of its own.",
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    public static string Help(Metric metric) => metric switch
    {
        Metric.MacroF1 => "every label counts the same, rare ones too",
        Metric.EntityF1 => "a span counts only with its exact start, end and label",
        Metric.WordAccuracy => "share of words with the right tag; most words are outside every span",
        Metric.Accuracy => "share of texts with the right label",
        Metric.Perplexity => "among how many words, equally likely, the model wavers; lower is better",
        Metric.TokenAccuracy => "share of an answer's words that the model foresees",
        _ => throw new ArgumentOutOfRangeException(nameof(metric)),
    };
}
