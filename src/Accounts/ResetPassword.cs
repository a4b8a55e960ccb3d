using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

/// For people who forgot their password: no mail server exists here, so the administrator makes a link and hands it over.
public sealed class ResetPassword(AccountAccess access, UserManager<StudioUser> users)
{
    /// The path of a link that sets a new password once, within a day.
    [Open(OpenTo.Administrator, "any account; ends nothing before the link is used")]
    public async Task<string> MakeLink(string userId, CancellationToken cancel = default)
    {
        await access.RequireAdministrator(cancel);
        var user = await users.FindByIdAsync(userId) ?? throw new ArgumentException("This account does not exist any more.");
        return $"account/reset/{user.Id}?code={Uri.EscapeDataString(await users.GeneratePasswordResetTokenAsync(user))}";
    }

    [Open(OpenTo.Anyone, "the code in the link is the right; unknown accounts answer like wrong codes")]
    public async Task<bool> IsOpen(string userId, string code) =>
        await users.FindByIdAsync(userId ?? "") is { } user
        && await users.VerifyUserTokenAsync(user, users.Options.Tokens.PasswordResetTokenProvider, UserManager<StudioUser>.ResetPasswordTokenPurpose, code ?? "");

    /// Ends every sign-in of the person. A lock from wrong passwords ends with it; one set by the administrator stays.
    [Open(OpenTo.Anyone, "the code in the link is the right, and works once")]
    public async Task<IReadOnlyList<string>> Handle(string userId, string code, string wanted)
    {
        if (await users.FindByIdAsync(userId ?? "") is not { } user) return [new StudioErrors().InvalidToken().Description];
        var done = await users.ResetPasswordAsync(user, code ?? "", wanted ?? "");
        if (!done.Succeeded) return [.. done.Sentences()];
        if (!ManagePeople.LockedByHand(user)) { await users.SetLockoutEndDateAsync(user, null); await users.ResetAccessFailedCountAsync(user); }
        return [];
    }
}
