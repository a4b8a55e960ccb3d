using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

/// What Identity refuses, in the words of this product: what was found and how to mend it.
public sealed class StudioErrors : IdentityErrorDescriber
{
    private const string Taken = "An account with this e-mail exists already. Sign in first, then open the link again.";
    private const string Stale = "This link or code does not work any more. Ask for a new one.";

    public override IdentityError DefaultError() => Says(nameof(DefaultError), "The server could not do this; its log says why. Nothing was changed.");
    public override IdentityError ConcurrencyFailure() => Says(nameof(ConcurrencyFailure), "This account was changed elsewhere in the meantime. Load the page again and repeat the change.");
    public override IdentityError PasswordMismatch() => Says(nameof(PasswordMismatch), "The present password is not right. Nothing was changed.");
    public override IdentityError InvalidToken() => Says(nameof(InvalidToken), Stale);
    public override IdentityError RecoveryCodeRedemptionFailed() => Says(nameof(RecoveryCodeRedemptionFailed), Stale);
    public override IdentityError InvalidUserName(string? userName) => Says(nameof(InvalidUserName), $"“{userName}” is no e-mail address; it needs the form name@example.org.");
    public override IdentityError InvalidEmail(string? email) => Says(nameof(InvalidEmail), $"“{email}” is no e-mail address; it needs the form name@example.org.");
    public override IdentityError DuplicateUserName(string userName) => Says(nameof(DuplicateUserName), Taken);
    public override IdentityError DuplicateEmail(string email) => Says(nameof(DuplicateEmail), Taken);
    public override IdentityError PasswordTooShort(int length) => Says(nameof(PasswordTooShort), $"The password is too short: it needs at least {length} characters. A few words make a good one.");
    public override IdentityError PasswordRequiresUniqueChars(int uniqueChars) => Says(nameof(PasswordRequiresUniqueChars), $"The password repeats too few characters: use at least {uniqueChars} different ones.");

    private static IdentityError Says(string code, string sentence) => new() { Code = code, Description = sentence };
}

public static class IdentitySentences
{
    /// Identity refuses an e-mail twice, as name and as address; a person needs to read it once.
    public static IEnumerable<string> Sentences(this IdentityResult result) => result.Errors.Select(e => e.Description).Distinct();
}
