using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Accounts;

/// The server's accounts, for its administrator: who is here, locked or not, with or without a second step.
public sealed class ManagePeople(AccountAccess access, UserManager<StudioUser> users, TimeProvider clock)
{
    public sealed record Line(string Id, string Name, string Mail, DateTime Since, bool IsAdministrator, bool HasSecondStep, bool IsLocked, bool LockedByHand);

    [Open(OpenTo.Administrator, "lists every account of the server")]
    public async Task<IReadOnlyList<Line>> List(CancellationToken cancel = default)
    {
        await access.RequireAdministrator(cancel);
        var now = clock.GetUtcNow();
        return [.. (await users.Users.AsNoTracking().ToListAsync(cancel)).OrderBy(u => u.DisplayName, StringComparer.OrdinalIgnoreCase)
            .Select(u => new Line(u.Id, u.DisplayName, u.Email ?? "", u.CreatedAt, u.IsAdministrator, u.TwoFactorEnabled, u.LockoutEnd > now, LockedByHand(u)))];
    }

    /// Ends the person's sign-ins and keeps them out until unlocked.
    [Open(OpenTo.Administrator, "any account but the administrator's own")]
    public async Task Lock(string userId, CancellationToken cancel = default)
    {
        var user = await Other(userId, cancel);
        await users.SetLockoutEndDateAsync(user, DateTimeOffset.MaxValue);
        await users.UpdateSecurityStampAsync(user);
    }

    [Open(OpenTo.Administrator, "any account but the administrator's own")]
    public async Task Unlock(string userId, CancellationToken cancel = default)
    {
        var user = await Other(userId, cancel);
        await users.SetLockoutEndDateAsync(user, null);
        await users.ResetAccessFailedCountAsync(user);
    }

    /// For a person who lost the app and the recovery codes.
    [Open(OpenTo.Administrator, "any account but the administrator's own")]
    public async Task TurnOffSecondStep(string userId, CancellationToken cancel = default)
    {
        var user = await Other(userId, cancel);
        await users.SetTwoFactorEnabledAsync(user, false);
        await users.RemoveAuthenticationTokenAsync(user, "[AspNetUserStore]", "AuthenticatorKey");
    }

    internal static bool LockedByHand(StudioUser user) => user.LockoutEnd?.Year > 9000;

    private async Task<StudioUser> Other(string userId, CancellationToken cancel)
    {
        if (await access.RequireAdministrator(cancel) == userId) throw new ArgumentException("Your own account is changed on your account page.");
        return await users.FindByIdAsync(userId) ?? throw new ArgumentException("This account does not exist any more.");
    }
}
