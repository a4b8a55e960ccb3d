using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// One label a row: the answer is its name.
public sealed class SingleLabelAnswers : Answers
{
    public static readonly SingleLabelAnswers All = new();

    public override bool HasReview => true;

    public override string Role => "Label";

    public override string Stratum => "label";

    public override string Spread => "Each label is spread over the three parts by these shares.";

    public override bool NeedsTwoStrata => true;

    public override (string? Answer, string? Fault) Read(string cell, string column, string text)
    {
        var label = cell.Trim();
        if (label.Length > DataLimits.LabelCharacters) return (null, $"The label has {label.Length} characters; a label has at most {DataLimits.LabelCharacters}. Is “{column}” the right column?");
        if (label.Any(char.IsControl)) return (null, $"The label holds a line break or another control character; a label stands on one line. Is “{column}” the right column?");
        return (label.Length > 0 ? label : null, null);
    }

    public override IEnumerable<string> Names(string answer) => [answer];

    public override IReadOnlyList<string> Strata(IReadOnlyList<string> answers) => answers;

    public override TrainingExample Example(long rowId, string text, string answer, IReadOnlyDictionary<string, int> labels) => new LabeledText(rowId, text, labels[answer]);
}
