namespace FineTuneStudio.Engine.Text;

/// <summary>Tokenizer files that are missing, broken or of a kind that is not supported; the message is one plain sentence.</summary>
public sealed class TokenizerFileException(string message) : Exception(message);
