using FineTuneStudio.Accounts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Projects;

/// The right that a check handed out: the project, who asks and which roles they hold at this moment.
public sealed record ProjectPass(Project Project, string UserId, IReadOnlySet<Role> Roles)
{
    public bool May(Permission permission) => Roles.Allow(permission);
}

/// Every use case starts here. Reads membership and the person's security stamp from the database on each call,
/// so that a role taken away, or a password changed elsewhere, ends what an open page could do.
public sealed class ProjectAccess(IDbContextFactory<StudioDb> databases, AccountAccess account)
{
    [Needs(Permission.ViewProject)]
    public async Task<ProjectPass> Require(string projectId, Permission permission, CancellationToken cancel = default)
    {
        var userId = await RequireSignedIn(cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var roles = (await db.Memberships.Where(m => m.ProjectId == projectId && m.UserId == userId).Select(m => m.Role).ToListAsync(cancel)).ToHashSet();
        var project = roles.Count == 0 ? null : await db.Projects.AsNoTracking().SingleOrDefaultAsync(p => p.Id == projectId, cancel);
        if (project is null)
            throw new AccessDenied(Denial.NoSuchProject, $"There is no project “{projectId}”, or you are not a member of it. Ask its owner for an invitation.");
        if (!roles.Allow(permission))
        {
            var line = Permissions.Table.Single(l => l.Permission == permission);
            throw new AccessDenied(Denial.RoleMissing, $"This needs the role {string.Join(" or ", line.Roles)} in “{project.Name}”; yours: {string.Join(", ", roles.Order())}. An owner of the project can give it to you.");
        }
        return new ProjectPass(project, userId, roles);
    }

    [Open(OpenTo.SignedIn, "answers with the caller's own id")]
    public Task<string> RequireSignedIn(CancellationToken cancel = default) => account.RequireSignedIn(cancel);
}
