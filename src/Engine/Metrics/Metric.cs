namespace FineTuneStudio.Engine.Metrics;

/// <summary>A number by which a model is measured. Which tasks offer it: <see cref="Training.TextTasks.Metrics"/>.</summary>
public enum Metric
{
    /// <summary>The mean over labels of the F1 of each, so that rare labels count as much as common ones.</summary>
    MacroF1,

    /// <summary>The share of rows with the right label.</summary>
    Accuracy,

    /// <summary>F1 over all decisions on all labels together.</summary>
    MicroF1,

    /// <summary>The share of rows with exactly their labels, or exactly their answer.</summary>
    ExactMatch,

    /// <summary>Correlation of predicted and true values.</summary>
    Pearson,

    /// <summary>Correlation of their ranks.</summary>
    Spearman,

    /// <summary>The share of the true values' variance that the predictions explain.</summary>
    RSquared,

    /// <summary>In the unit of the values.</summary>
    RootMeanSquaredError,

    /// <summary>In the unit of the values.</summary>
    MeanAbsoluteError,

    /// <summary>What the run minimises, on the validation rows and without dropout, in nats for a cross-entropy.</summary>
    ValidationLoss,

    /// <summary>The exponential of the mean loss of an answer's tokens: among how many words, equally likely, the model wavers.</summary>
    Perplexity,

    /// <summary>The share of answer tokens that the model holds for the likeliest, given the prompt and the tokens before.</summary>
    TokenAccuracy,

    /// <summary>F1 over whole labelled spans of all texts together: start, end and label must be right.</summary>
    EntityF1,

    /// <summary>The share of words with the right tag, also of those outside every span.</summary>
    WordAccuracy,

    /// <summary>The share of rows whose written answer ends with the given answer's last number.</summary>
    LastNumber,

    /// <summary>Mean ROUGE-1 F1: words that written and given answer share.</summary>
    Rouge1,

    /// <summary>Mean ROUGE-2 F1: pairs of words that they share.</summary>
    Rouge2,

    /// <summary>Mean ROUGE-L F1: the longest common subsequence of words.</summary>
    RougeL,

    /// <summary>chrF2 over all rows, from 0 to 100: runs of characters that they share.</summary>
    Chrf,

    /// <summary>Mean F1 of the words that found and given answer share, as SQuAD is scored.</summary>
    AnswerF1,
}

/// <summary>What is known of a metric whatever it measures.</summary>
public static class MetricFacts
{
    /// <summary>As it stands within a sentence: macro-F1.</summary>
    public static string Name(this Metric metric) => metric switch
    {
        Metric.MacroF1 => "macro-F1",
        Metric.Accuracy => "accuracy",
        Metric.EntityF1 => "entity F1",
        Metric.WordAccuracy => "word accuracy",
        Metric.MicroF1 => "micro-F1",
        Metric.ExactMatch => "exact match",
        Metric.Pearson => "Pearson correlation",
        Metric.Spearman => "Spearman correlation",
        Metric.RSquared => "R²",
        Metric.RootMeanSquaredError => "root mean squared error",
        Metric.MeanAbsoluteError => "mean absolute error",
        Metric.ValidationLoss => "validation loss",
        Metric.Perplexity => "perplexity",
        Metric.TokenAccuracy => "token accuracy",
        Metric.LastNumber => "right final number",
        Metric.Rouge1 => "ROUGE-1",
        Metric.Rouge2 => "ROUGE-2",
        Metric.RougeL => "ROUGE-L",
        Metric.Chrf => "chrF",
        Metric.AnswerF1 => "answer F1",
        _ => throw new ArgumentOutOfRangeException(nameof(metric)),
    };

    /// <summary>At the start of a line: Macro-F1.</summary>
    public static string Title(this Metric metric) => metric.Name() is var name ? char.ToUpperInvariant(name[0]) + name[1..] : "";

    /// <summary>Whether more of it is better; of a loss less is.</summary>
    public static bool IsHigherBetter(this Metric metric) => metric is not (Metric.ValidationLoss or Metric.Perplexity or Metric.RootMeanSquaredError or Metric.MeanAbsoluteError);

    /// <summary>Whether its values lie between 0 and 1, so that a goal for it does too.</summary>
    public static bool IsShare(this Metric metric) => metric is not (Metric.ValidationLoss or Metric.Perplexity or Metric.Chrf or Metric.Pearson or Metric.Spearman or Metric.RSquared or Metric.RootMeanSquaredError or Metric.MeanAbsoluteError);

    /// <summary>Whether 1 is the best value there is, so that what is left to win can be said.</summary>
    public static bool IsBestAtOne(this Metric metric) => metric.IsShare() || metric is Metric.Pearson or Metric.Spearman or Metric.RSquared;

    /// <summary>Whether one value is better than another.</summary>
    public static bool IsBetter(this Metric metric, double value, double than) => metric.IsHigherBetter() ? value > than : value < than;
}
