using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// How the answers of a task come out of a file, stand in the label column of a version, are counted and divided, and go to training.
public abstract class Answers
{
    public static Answers Of(TextTask task) => task switch
    {
        TextTask.SingleLabel => SingleLabelAnswers.All,
        TextTask.TokenClassification => SpanAnswers.All,
        TextTask.Generation => GenerationAnswers.All,
        TextTask.MultiLabel => new MultiLabelAnswers(),
        TextTask.Regression => NumberAnswers.All,
        TextTask.QuestionAnswering => QuestionAnswers.All,
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    /// Whether the review has an editor for them.
    public virtual bool HasReview => false;

    /// What the mapping calls the column that holds them: Label.
    public abstract string Role { get; }

    /// What a row has that can be learned from, and several of them: a label, labels.
    public virtual string One => "a label";
    public virtual string Many => "labels";

    /// Whether a text has one right answer, so that two different ones contradict each other.
    public virtual bool HasOneRight => true;

    /// Whether rows with it are called labelled.
    public virtual bool IsLabel => true;

    /// The same rows as the name of a count, and in a sentence.
    public string GivenTitle => IsLabel ? "Labelled" : $"With {One}";
    public string GivenRows => IsLabel ? "labelled rows" : $"rows with {One}";

    /// What the names are of that a version counts; none for a task without names.
    public virtual string? NamesTitle => "Labels";

    /// What the mapping calls the column that the model reads.
    public virtual string TextRole => "Text";

    /// What the mapping calls a further column that goes with the text, null where there is none.
    public virtual string? ContextRole => null;

    /// Whether a column may say where in the context an answer begins.
    public virtual bool HasStart => false;

    /// What a row is called that nobody has given one.
    public virtual string Missing => "unlabelled";

    /// What a split keeps the shares of, one of them: a label, a range of values.
    public abstract string Stratum { get; }

    /// How a split spreads the answers over its parts, in a sentence.
    public virtual string Spread => "Rows are divided by these shares at random.";

    /// Whether rows that are all in one stratum cannot be learned from.
    public virtual bool NeedsTwoStrata => false;

    /// The text that a cell holds, or a sentence that says why there is none.
    public virtual (string Text, string? Fault) Text(string cell) => (cell, null);

    /// A cell cut short to be looked at.
    public virtual string Shorten(string cell) => DataLimits.Clip(cell);

    /// Whether a second text column may stand beside the first: the model reads both as a pair.
    public virtual bool HasPairs => false;

    /// What the mapping calls a second column that goes with the text, and its role; null where there is none.
    public (ColumnRole Role, string Name)? Second => HasPairs ? (ColumnRole.Pair, "Second text") : ContextRole is { } name ? (ColumnRole.Context, name) : null;

    /// What rows have in common that stay in one part of a split, as a person calls it, and what it is of a row.
    public virtual string Together => HasPairs ? "first text" : "text";
    public virtual string Key(string text) => HasPairs ? TextPair.Split(text).First : text;

    /// Whether that is less than the whole text, so that different texts may have it in common.
    public bool HasPartInCommon => Together != "text";

    /// The answers of a file with what its mapping says about them.
    public virtual Answers With(ColumnMapping mapping) => this;

    /// The same, with what only the file as a whole can tell about them; and a sentence on what was decided so, where it matters.
    public virtual (Answers Answers, string? Decided) Survey(FileFormat format, ColumnMapping mapping, IEnumerable<RawRow> rows) => (With(mapping), null);

    /// A guessed mapping made better by what the task knows of its answers.
    public virtual ColumnMapping Refine(ColumnMapping mapping, IReadOnlyList<RawRow> rows) => mapping;

    /// From a cell to what is stored, null where the cell says that there is no answer; or a sentence that says why it cannot be one.
    public abstract (string? Answer, string? Fault) Read(string cell, string column, string text);

    /// The row as it is kept, once all its cells are read; or a sentence that says why it cannot be.
    public virtual SettledRow Settle(RowCells cells) => new(cells.Text, cells.Answer);

    /// Whether an answer says that there is none, which is more than that nobody has answered.
    public virtual bool SaysNone(string answer) => false;

    /// What the columns are, where their names alone tell; null leaves it to a look at the rows.
    public virtual ColumnMapping? Guess(IReadOnlyList<string> columns) => null;

    /// The names that a version counts in an answer; none for a task without names.
    public abstract IEnumerable<string> Names(string answer);

    /// How an answer that holds a name is found in the label column: it is this text, or has it in it.
    public virtual (string Text, bool IsWhole) Holding(string name) => (name, true);

    /// What a person reads.
    public virtual string Show(string answer) => answer;

    /// What a person compares with the answers of other rows: nothing in which two of them differ is left out.
    public virtual string Spell(string answer, string text) => Show(answer);

    /// The same for two answers to texts that count as equal if and only if they say the same.
    public virtual string Meaning(string answer, string text) => answer;

    /// The stratum of each answer, in their order.
    public abstract IReadOnlyList<string> Strata(IReadOnlyList<string> answers);

    /// Labels holds the position of each name that the version counts.
    public abstract TrainingExample Example(long rowId, string text, string answer, IReadOnlyDictionary<string, int> labels);
}

/// The cells of a row that make it: Answer as Read left it, the others null where no column has their role.
public sealed record RowCells(string Text, string? Context, string? Start, string? Answer, bool HasAnswer);

/// Fault says why the row cannot be kept, and At which of its columns is to blame.
public sealed record SettledRow(string Text, string? Answer, string? Fault = null, ColumnRole At = ColumnRole.Text)
{
    /// The answer stands in its context more than once and nothing says where, so its first place was taken.
    public bool FirstOfSeveral { get; init; }
}
