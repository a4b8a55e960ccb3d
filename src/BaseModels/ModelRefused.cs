namespace FineTuneStudio.BaseModels;

/// A folder or zip that does not come into the catalogue; the message is a plain sentence for whoever brought it.
public sealed class ModelRefused(string message) : Exception(message);
