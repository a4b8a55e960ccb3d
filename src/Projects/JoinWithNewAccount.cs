using FineTuneStudio.Accounts;
using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Projects;

/// Makes the account of somebody who was invited. The claim of the link, the account and the membership come together or not at all.
public sealed class JoinWithNewAccount(StudioDb db, AcceptInvitation invitations, UserManager<StudioUser> users, TimeProvider clock)
{
    /// The account and what it joined, or why there is neither. A form may leave any field out.
    [Open(OpenTo.Anyone, "the code itself is the right, and makes one account; attempts are limited")]
    public async Task<(StudioUser? Account, AcceptInvitation.Offer? Joined, IReadOnlyList<string> Faults)> Handle(string code, string? name, string? email, string? password, CancellationToken cancel = default)
    {
        if (string.IsNullOrWhiteSpace(name)) return (null, null, ["The name is empty; say how the team should see you."]);
        var mail = email?.Trim() ?? "";
        var user = new StudioUser { UserName = mail, Email = mail, DisplayName = name.Trim(), CreatedAt = clock.GetUtcNow().UtcDateTime };
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await invitations.Claim(db, code, user.Id, cancel) is not { } invitation) return (null, null, [AcceptInvitation.Closed]);
        var made = await users.CreateAsync(user, password ?? "");
        if (!made.Succeeded) return (null, null, [.. made.Sentences()]);
        var joined = await invitations.Admit(db, invitation, user.Id, cancel);
        await transaction.CommitAsync(cancel);
        return (user, joined, []);
    }
}
