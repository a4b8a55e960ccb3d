using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

/// What a person changes about themselves.
public sealed class EditAccount(AccountAccess access, UserManager<StudioUser> users, SignInManager<StudioUser> signIn)
{
    public sealed record Mine(string Name, string Mail, bool IsAdministrator, bool HasSecondStep, int RecoveryCodesLeft);

    [Open(OpenTo.SignedIn, "the caller's own account")]
    public async Task<Mine> Show()
    {
        var me = await Me();
        return new(me.DisplayName, me.Email ?? "", me.IsAdministrator, me.TwoFactorEnabled, await users.CountRecoveryCodesAsync(me));
    }

    [Open(OpenTo.SignedIn, "the caller's own account")]
    public async Task<IReadOnlyList<string>> Rename(string name)
    {
        var me = await Me();
        if ((name ?? "").Trim().Length is 0 or > 80) return [$"The name has {(name ?? "").Trim().Length} characters; give it 1 to 80."];
        me.DisplayName = name!.Trim();
        var done = await users.UpdateAsync(me);
        if (!done.Succeeded) return [.. done.Sentences()];
        await signIn.RefreshSignInAsync(me);
        return [];
    }

    /// Ends every other sign-in of the caller, open pages too; this browser stays signed in.
    [Open(OpenTo.SignedIn, "the caller's own account, against the present password")]
    public async Task<IReadOnlyList<string>> ChangePassword(string present, string wanted)
    {
        var me = await Me();
        if (await users.IsLockedOutAsync(me)) return ["Too many wrong passwords. This account can change its password again in 15 minutes."];
        var done = await users.ChangePasswordAsync(me, present ?? "", wanted ?? "");
        if (!done.Succeeded)
        {
            // A borrowed open page must not be a place to guess the password.
            if (done.Errors.Any(e => e.Code == nameof(IdentityErrorDescriber.PasswordMismatch))) await users.AccessFailedAsync(me);
            return [.. done.Sentences()];
        }
        await users.ResetAccessFailedCountAsync(me);
        await signIn.RefreshSignInAsync(me);
        return [];
    }

    private async Task<StudioUser> Me() => (await users.FindByIdAsync(await access.RequireSignedIn()))!;
}
