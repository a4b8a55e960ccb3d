namespace FineTuneStudio.Engine.Text;

/// <summary>A tokenizer that cannot be loaded as it is; the message is one plain sentence or two for a person, without control characters of the file.</summary>
public sealed class TokenizerFileException(string message) : Exception(string.Concat(message.Select(c => char.IsControl(c) ? '?' : c)));
