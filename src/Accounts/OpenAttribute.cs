namespace FineTuneStudio.Accounts;

/// On a page, endpoint, use-case method or method that a script of a page calls, which belongs to no project: says whom it serves and why that is safe.
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
public sealed class OpenAttribute(OpenTo whom, string why) : Attribute
{
    public OpenTo Whom { get; } = whom;
    public string Why { get; } = why;
}

/// The administrator is whoever made the first account.
public enum OpenTo { Anyone, SignedIn, Administrator }
