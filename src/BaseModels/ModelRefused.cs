namespace FineTuneStudio.BaseModels;

/// A model that does not come into the catalogue; the message is a plain sentence for whoever brought it.
public class ModelRefused(string message) : Exception(message);

/// A download that can go on later: what is here stays. Where the hub wants to know who asks, a token has to be given first.
public sealed class HubInterrupted(string message, bool needsToken = false) : ModelRefused(message)
{
    public bool NeedsToken { get; } = needsToken;
}
