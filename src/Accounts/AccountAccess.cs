using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Accounts;

/// Reads the caller's security stamp from the database on each call, so that a password changed elsewhere ends open pages at once.
public sealed class AccountAccess(IDbContextFactory<StudioDb> databases, CurrentUser user)
{
    [Open(OpenTo.SignedIn, "answers with the caller's own id")]
    public async Task<string> RequireSignedIn(CancellationToken cancel = default) => (await Me(cancel)).Id;

    [Open(OpenTo.Administrator, "answers with the caller's own id")]
    public async Task<string> RequireAdministrator(CancellationToken cancel = default)
    {
        var me = await Me(cancel);
        if (!me.IsAdministrator) throw new AccessDenied(Denial.RoleMissing, "Only the server's administrator, who made the first account, may do this.");
        return me.Id;
    }

    private async Task<Caller> Me(CancellationToken cancel)
    {
        if (user.Id is not { } userId) throw new AccessDenied(Denial.SignIn, "Please sign in first.");
        await using var db = await databases.CreateDbContextAsync(cancel);
        var me = await db.Users.Where(u => u.Id == userId).Select(u => new Caller(u.Id, u.SecurityStamp, u.IsAdministrator)).SingleOrDefaultAsync(cancel);
        if (me?.Stamp is null || me.Stamp != user.SecurityStamp)
            throw new AccessDenied(Denial.SignIn, "This sign-in has ended, because the password or the sign-in settings changed elsewhere. Please sign in again.");
        return me;
    }

    private sealed record Caller(string Id, string? Stamp, bool IsAdministrator);
}
