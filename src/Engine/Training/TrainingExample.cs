using System.Globalization;

namespace FineTuneStudio.Engine.Training;

/// <summary>A text with the answer that the model is to learn.</summary>
/// <param name="RowId">Where it comes from; sentences about a bad row name it.</param>
public abstract record TrainingExample(long RowId, string Text)
{
    /// <summary>The answer as text, for the fingerprint of the data that a checkpoint belongs to.</summary>
    internal abstract string Answer { get; }
}

/// <summary>A text with one label; <paramref name="Label"/> is an index into the job's labels.</summary>
public sealed record LabeledText(long RowId, string Text, int Label) : TrainingExample(RowId, Text)
{
    internal override string Answer => Label.ToString(CultureInfo.InvariantCulture);
}
