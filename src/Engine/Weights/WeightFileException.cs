namespace FineTuneStudio.Engine.Weights;

/// <summary>A weight file that is not read or written; the message is one plain sentence or two for a person.</summary>
public sealed class WeightFileException(string message) : Exception(message);
