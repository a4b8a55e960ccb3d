using FineTuneStudio.Accounts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Projects;

public sealed class ListProjects(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public sealed record Line(Project Project, IReadOnlyList<Role> MyRoles, int People);

    [Open(OpenTo.SignedIn, "lists only the caller's own projects")]
    public async Task<IReadOnlyList<Line>> Handle(CancellationToken cancel = default)
    {
        var userId = await access.RequireSignedIn(cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var mine = await db.Memberships.Where(m => m.UserId == userId).ToListAsync(cancel);
        var ids = mine.Select(m => m.ProjectId).Distinct().ToList();
        var projects = await db.Projects.AsNoTracking().Where(p => ids.Contains(p.Id)).OrderByDescending(p => p.CreatedAt).ToListAsync(cancel);
        var people = await db.Memberships.Where(m => ids.Contains(m.ProjectId)).Select(m => new { m.ProjectId, m.UserId }).Distinct()
            .GroupBy(m => m.ProjectId).Select(g => new { g.Key, Count = g.Count() }).ToDictionaryAsync(g => g.Key, g => g.Count, cancel);
        return [.. projects.Select(p => new Line(p, [.. mine.Where(m => m.ProjectId == p.Id).Select(m => m.Role).Order()], people[p.Id]))];
    }
}
