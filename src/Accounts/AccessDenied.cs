namespace FineTuneStudio.Accounts;

public enum Denial { SignIn, NoSuchProject, RoleMissing }

/// A use case refused its caller: who they are, or what they hold, is not enough. The message may be shown to them.
public sealed class AccessDenied(Denial denial, string message) : Exception(message)
{
    public Denial Denial { get; } = denial;
}
