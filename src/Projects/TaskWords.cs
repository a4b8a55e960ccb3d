using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Projects;

/// What the project form says of a task and of its metrics.
public static class TaskWords
{
    /// The tasks with which the whole road can be walked, from upload to a signed model.
    public static IReadOnlyList<TextTask> Offered { get; } = [TextTask.SingleLabel, TextTask.MultiLabel, TextTask.Regression, TextTask.TokenClassification, TextTask.QuestionAnswering, TextTask.Generation];

    public static string Title(TextTask task) => task switch
    {
        TextTask.SingleLabel => "One label for each text",
        TextTask.TokenClassification => "Spans in each text",
        TextTask.Generation => "An answer to each prompt",
        TextTask.MultiLabel => "Any number of labels for each text",
        TextTask.Regression => "A number for each text",
        TextTask.QuestionAnswering => "An answer found in a context",
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    public static string Help(TextTask task) => task switch
    {
        TextTask.SingleLabel => "Single-label classification: which team a message goes to, what a review feels like.",
        TextTask.TokenClassification => "Token classification: names of people and places, dates, amounts, each marked where it stands.",
        TextTask.Generation => "Text generation: a language model learns from prompts and answers, or from chats, to write answers of its own.",
        TextTask.MultiLabel => "Multi-label classification: which feelings a comment shows, which topics a message is about; also none.",
        TextTask.QuestionAnswering => "Question answering: the words of a manual, a contract or a report that answer a question, or that there is no answer in it.",
        TextTask.Regression => "Regression: how hard a text is to read, how much two sentences mean the same.",
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
        Metric.MicroF1 => "every decision on a label counts the same, so common labels weigh most",
        Metric.ExactMatch => "share of texts that are right as a whole",
        Metric.AnswerF1 => "words shared with a right answer, as SQuAD counts them",
        Metric.Pearson => "how well answers and true numbers lie on a line, 1 at best",
        Metric.Spearman => "how well their order agrees, 1 at best",
        Metric.RSquared => "share of the differences that is explained, 1 at best",
        Metric.RootMeanSquaredError => "size of the errors, large ones weighing more",
        Metric.MeanAbsoluteError => "mean size of the errors",
        _ => throw new ArgumentOutOfRangeException(nameof(metric)),
    };
}
