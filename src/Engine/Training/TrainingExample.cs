using System.Globalization;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Training;

/// <summary>A text with the answer that the model is to learn.</summary>
/// <param name="RowId">Where it comes from; sentences about a bad row name it.</param>
public abstract record TrainingExample(long RowId, string Text)
{
    /// <summary>The answer as text, for the fingerprint of the data that a checkpoint belongs to.</summary>
    internal abstract string Answered { get; }
}

/// <summary>A text with one label; <paramref name="Label"/> is an index into the job's labels.</summary>
public sealed record LabeledText(long RowId, string Text, int Label) : TrainingExample(RowId, Text)
{
    internal override string Answered => Label.ToString(CultureInfo.InvariantCulture);
}

/// <summary>A prompt and the answer that a language model is to give.</summary>
/// <param name="Text">The prompt, or a conversation as <see cref="Generation.ChatTurns"/> writes it.</param>
public sealed record AnsweredPrompt(long RowId, string Text, string Answer) : TrainingExample(RowId, Text)
{
    internal override string Answered => Answer;
}

/// <summary>A text with labelled spans that do not overlap; their labels are indexes into the job's labels.</summary>
public sealed record SpannedText(long RowId, string Text, IReadOnlyList<TextSpan> Spans) : TrainingExample(RowId, Text)
{
    internal override string Answered => string.Join(';', Spans.Select(s => string.Create(CultureInfo.InvariantCulture, $"{s.Start}-{s.End}:{s.Label}")));
}

/// <summary>A text with any number of labels; <paramref name="Labels"/> are indices into the job's labels, each once.</summary>
public sealed record MultiLabeledText(long RowId, string Text, IReadOnlyList<int> Labels) : TrainingExample(RowId, Text)
{
    internal override string Answered => string.Join(',', Labels);
}

/// <summary>A text, or a <see cref="TextPair"/>, with a number.</summary>
public sealed record ScoredText(long RowId, string Text, double Value) : TrainingExample(RowId, Text)
{
    internal override string Answered => Value.ToString("R", CultureInfo.InvariantCulture);
}

/// <summary>A question and a context, as a <see cref="TextPair"/> in this order, with the answers that are right; none where the context has no answer.</summary>
public sealed record QuestionedText(long RowId, string Text, IReadOnlyList<GoldAnswer> Answers) : TrainingExample(RowId, Text)
{
    public string Question => TextPair.Split(Text).First;

    public string Context => TextPair.Split(Text).Second ?? "";

    internal override string Answered => string.Join(';', Answers.Select(a => string.Create(CultureInfo.InvariantCulture, $"{a.Start}:{a.Text}")));
}

/// <summary>A right answer, as it stands in the context.</summary>
/// <param name="Start">Its first UTF-16 unit in the context.</param>
public sealed record GoldAnswer(string Text, int Start)
{
    /// <summary>The unit after the last.</summary>
    public int End => Start + Text.Length;
}
