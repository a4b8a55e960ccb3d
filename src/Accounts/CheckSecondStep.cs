using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

/// The second step of a sign-in: a code from the authenticator app, or one of the recovery codes. Wrong ones count towards the lock.
public sealed class CheckSecondStep(SignInManager<StudioUser> signIn, UserManager<StudioUser> users)
{
    /// Whether a password was accepted in this browser within the last minutes.
    [Open(OpenTo.Anyone, "reads only the caller's own half-finished sign-in")]
    public async Task<bool> IsDue() => await signIn.GetTwoFactorAuthenticationUserAsync() is not null;

    [Open(OpenTo.Anyone, "works only after the password was right; attempts are limited, and five wrong ones lock the account")]
    public async Task<SignInResult> Handle(string code)
    {
        if (await signIn.GetTwoFactorAuthenticationUserAsync() is not { } user) return SignInResult.NotAllowed;
        if (await users.IsLockedOutAsync(user)) return SignInResult.LockedOut;
        var typed = code.Replace(" ", "").Trim();
        if (typed.Length == 6 && typed.All(char.IsAsciiDigit)) return await signIn.TwoFactorAuthenticatorSignInAsync(typed, isPersistent: true, rememberClient: false);
        var result = await signIn.TwoFactorRecoveryCodeSignInAsync(typed.ToUpperInvariant());
        if (result.Succeeded) return result;
        await users.AccessFailedAsync(user);
        return await users.IsLockedOutAsync(user) ? SignInResult.LockedOut : SignInResult.Failed;
    }
}
