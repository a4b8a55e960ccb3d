using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Accounts;

/// Makes the administrator's account against the setup code, once.
public sealed class CreateFirstAccount(StudioDb db, SetupCode code, UserManager<StudioUser> users, TimeProvider clock)
{
    public const string Closed = "The first account exists already. Sign in, or ask its owner for an invitation.";

    [Open(OpenTo.Anyone, "says only whether there is any account at all")]
    public Task<bool> IsClosed(CancellationToken cancel = default) => db.Users.AnyAsync(cancel);

    /// The account, or why there is none. A form may leave any field out.
    [Open(OpenTo.Anyone, "the code on the console is the right, and works only while there is no account; attempts are limited")]
    public async Task<(StudioUser? Account, IReadOnlyList<string> Faults)> Handle(string? typed, string? name, string? email, string? password, CancellationToken cancel = default)
    {
        if (!code.Matches(typed ?? "")) return (null, ["The setup code is not the one on the console. Copy it from the line “Setup code”; a restart of the server makes a new one."]);
        if (string.IsNullOrWhiteSpace(name)) return (null, ["The name is empty; say how the team should see you."]);
        var mail = email?.Trim() ?? "";
        // Writes wait for one another from here on: of many who send the code at once, the second already sees the first's account.
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await IsClosed(cancel)) return (null, [Closed]);
        var user = new StudioUser { UserName = mail, Email = mail, DisplayName = name.Trim(), IsAdministrator = true, CreatedAt = clock.GetUtcNow().UtcDateTime };
        var made = await users.CreateAsync(user, password ?? "");
        if (!made.Succeeded) return (null, [.. made.Sentences()]);
        await transaction.CommitAsync(cancel);
        return (user, []);
    }
}
