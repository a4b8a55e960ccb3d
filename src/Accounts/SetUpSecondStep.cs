using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

/// Two-factor sign-in with an authenticator app (TOTP, RFC 6238): key, proof, recovery codes, off.
public sealed class SetUpSecondStep(AccountAccess access, UserManager<StudioUser> users, SignInManager<StudioUser> signIn)
{
    private const int Codes = 10;

    /// The key to type or to scan.
    public sealed record Key(string ForTyping, string ForScanning);

    [Open(OpenTo.SignedIn, "the caller's own account; shown only until the second step is on")]
    public async Task<Key?> Show()
    {
        var me = await Me();
        if (me.TwoFactorEnabled || await users.GetAuthenticatorKeyAsync(me) is not { Length: > 0 } key) return null;
        return new(string.Join(' ', key.ToLowerInvariant().Chunk(4).Select(c => new string(c))),
            $"otpauth://totp/FineTuneStudio:{Uri.EscapeDataString(me.Email ?? "")}?secret={key}&issuer=FineTuneStudio&digits=6");
    }

    /// Makes a key, where none is waiting to be proved.
    [Open(OpenTo.SignedIn, "the caller's own account")]
    public async Task Start()
    {
        var me = await Me();
        if (me.TwoFactorEnabled || await users.GetAuthenticatorKeyAsync(me) is { Length: > 0 }) return;
        await users.ResetAuthenticatorKeyAsync(me);
        await signIn.RefreshSignInAsync(me);
    }

    /// Turns the second step on when the code proves that the app has the key, and hands out recovery codes; null where the code is wrong.
    [Open(OpenTo.SignedIn, "the caller's own account, against a code from the app")]
    public async Task<IReadOnlyList<string>?> TurnOn(string code)
    {
        var me = await Me();
        if (me.TwoFactorEnabled) return null;
        var typed = (code ?? "").Replace(" ", "").Replace("-", "");
        if (!await users.VerifyTwoFactorTokenAsync(me, users.Options.Tokens.AuthenticatorTokenProvider, typed)) return null;
        await users.SetTwoFactorEnabledAsync(me, true);
        var codes = await users.GenerateNewTwoFactorRecoveryCodesAsync(me, Codes);
        await signIn.RefreshSignInAsync(me);
        return [.. codes!];
    }

    /// Ten new recovery codes; the old ones stop working. Null where the password is wrong.
    [Open(OpenTo.SignedIn, "the caller's own account, against the password")]
    public async Task<IReadOnlyList<string>?> NewRecoveryCodes(string password)
    {
        var me = await Me();
        if (!await Proves(me, password)) return null;
        return me.TwoFactorEnabled ? [.. (await users.GenerateNewTwoFactorRecoveryCodesAsync(me, Codes))!] : [];
    }

    /// False where the password is wrong.
    [Open(OpenTo.SignedIn, "the caller's own account, against the password")]
    public async Task<bool> TurnOff(string password)
    {
        var me = await Me();
        if (!await Proves(me, password)) return false;
        await users.SetTwoFactorEnabledAsync(me, false);
        await users.RemoveAuthenticationTokenAsync(me, "[AspNetUserStore]", "AuthenticatorKey");
        await users.UpdateSecurityStampAsync(me);
        await signIn.RefreshSignInAsync(me);
        return true;
    }

    private async Task<bool> Proves(StudioUser me, string password) =>
        (await signIn.CheckPasswordSignInAsync(me, password ?? "", lockoutOnFailure: true)).Succeeded;

    private async Task<StudioUser> Me() => (await users.FindByIdAsync(await access.RequireSignedIn()))!;
}
