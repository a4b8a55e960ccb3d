using FineTuneStudio.Accounts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Projects;

public sealed class AcceptInvitation(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    internal const string Closed = "This invitation was used, withdrawn, is older than 7 days, or its sender no longer manages the team. Ask an owner of the project for a new one.";

    public sealed record Offer(string ProjectId, string ProjectName, IReadOnlyList<Role> Roles);

    /// What a code opens, or null where it is unknown, used, revoked or too old.
    [Open(OpenTo.Anyone, "the code itself is the right; it says the project's name and the roles offered")]
    public async Task<Offer?> Find(string code, CancellationToken cancel = default)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await Valid(db, code).Join(db.Projects, i => i.ProjectId, p => p.Id, (i, p) => new { i.Roles, p.Id, p.Name })
            .SingleOrDefaultAsync(cancel) is { } found ? new Offer(found.Id, found.Name, RolesOf(found.Roles)) : null;
    }

    [Open(OpenTo.SignedIn, "the code itself is the right, and works once")]
    public async Task<Offer> Handle(string code, CancellationToken cancel = default)
    {
        var userId = await access.RequireSignedIn(cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        var invitation = await Claim(db, code, userId, cancel) ?? throw new ArgumentException(Closed);
        var offer = await Admit(db, invitation, userId, cancel);
        await transaction.CommitAsync(cancel);
        return offer;
    }

    /// Takes the code for one person, within the caller's transaction; null where it does not count any more.
    internal async Task<Invitation?> Claim(StudioDb db, string code, string userId, CancellationToken cancel)
    {
        var now = clock.GetUtcNow().UtcDateTime;
        // Claimed before it is read: two people with the same link cannot both come in.
        var claimed = await Valid(db, code).ExecuteUpdateAsync(set => set.SetProperty(i => i.UsedAt, now).SetProperty(i => i.UsedById, userId), cancel);
        return claimed == 0 ? null : await db.Invitations.SingleAsync(i => i.CodeHash == InvitePerson.HashOf(code), cancel);
    }

    /// Gives the person of a claimed invitation its roles, within the caller's transaction.
    internal async Task<Offer> Admit(StudioDb db, Invitation invitation, string userId, CancellationToken cancel)
    {
        var now = clock.GetUtcNow().UtcDateTime;
        var project = await db.Projects.SingleAsync(p => p.Id == invitation.ProjectId, cancel);
        var held = await db.Memberships.Where(m => m.ProjectId == project.Id && m.UserId == userId).Select(m => m.Role).ToListAsync(cancel);
        var roles = RolesOf(invitation.Roles);
        foreach (var role in roles.Except(held))
            db.Memberships.Add(new Membership { ProjectId = project.Id, UserId = userId, Role = role, Since = now });
        db.Events.Add(new ProjectEvent { ProjectId = project.Id, UserId = userId, At = now, Text = $"joined as {string.Join(" and ", roles)}", Href = $"/p/{project.Id}/team" });
        await db.SaveChangesAsync(cancel);
        return new Offer(project.Id, project.Name, roles);
    }

    private IQueryable<Invitation> Valid(StudioDb db, string code)
    {
        var hash = InvitePerson.HashOf(code);
        var now = clock.GetUtcNow().UtcDateTime;
        return Open(db, now).Where(i => i.CodeHash == hash);
    }

    /// Invitations that still count. One counts only while its maker may manage the team: a removed owner must not come back by a link of their own,
    /// nor may whoever an administrator locked out let somebody in. A lock of minutes, which strangers cause with wrong passwords, ends nothing.
    internal static IQueryable<Invitation> Open(StudioDb db, DateTime now)
    {
        var managers = Permissions.Table.Single(l => l.Permission == Permission.ManageTeam).Roles;
        return db.Invitations.Where(i => i.UsedAt == null && i.RevokedAt == null && i.ExpiresAt > now
            && db.Memberships.Any(m => m.ProjectId == i.ProjectId && m.UserId == i.CreatedById && managers.Contains(m.Role))
            && !db.Users.Any(u => u.Id == i.CreatedById && u.LockoutEnd == DateTimeOffset.MaxValue));
    }

    internal static IReadOnlyList<Role> RolesOf(string roles) => [.. roles.Split(',').Select(Enum.Parse<Role>)];
}
