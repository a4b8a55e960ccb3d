using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

/// The first step of a sign-in. Unknown and locked accounts cost the time of a password check as well,
/// so that neither the answer nor its time tells whether an e-mail has an account here.
public sealed class CheckPassword(SignInManager<StudioUser> signIn, UserManager<StudioUser> users)
{
    private static readonly StudioUser Nobody = new();
    private static readonly Lazy<string> NobodysHash = new(() => new PasswordHasher<StudioUser>().HashPassword(Nobody, "no password matches this one"));

    [Open(OpenTo.Anyone, "the way in; attempts are limited, and five wrong ones lock the account")]
    public async Task<SignInResult> Handle(string email, string password)
    {
        var user = await users.FindByNameAsync(email.Trim());
        if (user is null || await users.IsLockedOutAsync(user))
        {
            users.PasswordHasher.VerifyHashedPassword(Nobody, NobodysHash.Value, password);
            return SignInResult.Failed;
        }
        var result = await signIn.PasswordSignInAsync(user, password, isPersistent: true, lockoutOnFailure: true);
        return result.Succeeded || result.RequiresTwoFactor ? result : SignInResult.Failed;
    }
}
