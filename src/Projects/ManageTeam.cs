using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Projects;

public sealed class ManageTeam(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    public sealed record Member(string UserId, string Name, string Mail, IReadOnlySet<Role> Roles);
    public sealed record Pending(int Id, IReadOnlyList<Role> Roles, DateTime ExpiresAt);
    public sealed record Team(IReadOnlyList<Member> Members, IReadOnlyList<Pending> Invitations);

    [Needs(Permission.ViewProject)]
    public async Task<Team> List(string projectId, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var held = await db.Memberships.Where(m => m.ProjectId == projectId)
            .Join(db.Users, m => m.UserId, u => u.Id, (m, u) => new { u.Id, u.DisplayName, u.Email, m.Role }).ToListAsync(cancel);
        var now = clock.GetUtcNow().UtcDateTime;
        var pending = pass.May(Permission.ManageTeam)
            ? await AcceptInvitation.Open(db, now).Where(i => i.ProjectId == projectId).OrderBy(i => i.Id).ToListAsync(cancel)
            : [];
        return new Team(
            [.. held.GroupBy(m => m.Id).Select(g => new Member(g.Key, g.First().DisplayName, g.First().Email ?? "", g.Select(m => m.Role).ToHashSet())).OrderBy(m => m.Name, StringComparer.Ordinal)],
            [.. pending.Select(i => new Pending(i.Id, AcceptInvitation.RolesOf(i.Roles), i.ExpiresAt))]);
    }

    /// Gives a member exactly these roles; none takes the person out of the project.
    [Needs(Permission.ManageTeam)]
    public async Task SetRoles(string projectId, string userId, IReadOnlySet<Role> roles, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ManageTeam, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(System.Data.IsolationLevel.Serializable, cancel);
        var held = await db.Memberships.Where(m => m.ProjectId == projectId && m.UserId == userId).ToListAsync(cancel);
        if (held.Count == 0) throw new ArgumentException("This person is not in the project; invite them instead.");
        if (!roles.Contains(Role.Owner) && !await db.Memberships.AnyAsync(m => m.ProjectId == projectId && m.UserId != userId && m.Role == Role.Owner, cancel))
            throw new ArgumentException("A project needs an owner, and this is the only one. Make somebody else an owner first.");
        var now = clock.GetUtcNow().UtcDateTime;
        db.Memberships.RemoveRange(held.Where(m => !roles.Contains(m.Role)));
        foreach (var role in roles.Except(held.Select(m => m.Role)))
            db.Memberships.Add(new Membership { ProjectId = projectId, UserId = userId, Role = role, Since = now });
        var name = await db.Users.Where(u => u.Id == userId).Select(u => u.DisplayName).SingleAsync(cancel);
        db.Events.Add(new ProjectEvent
        {
            ProjectId = projectId, UserId = pass.UserId, At = now, Href = $"/p/{projectId}/team",
            Text = roles.Count == 0 ? $"took {name} out of the project" : $"gave {name} the roles {string.Join(", ", roles.Order())}",
        });
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
    }
}
