namespace FineTuneStudio.Engine.Text;

/// <summary>A stretch of a text with a label, such as a name of a person.</summary>
/// <param name="Start">First UTF-16 unit.</param>
/// <param name="End">The unit after the last.</param>
/// <param name="Label">Index of the label.</param>
public sealed record TextSpan(int Start, int End, int Label);
