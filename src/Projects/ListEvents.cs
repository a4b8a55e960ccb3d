using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Projects;

public sealed class ListEvents(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public sealed record Line(string Who, string Text, string? Href, DateTime At);

    [Needs(Permission.ViewProject)]
    public async Task<IReadOnlyList<Line>> Handle(string projectId, int count = 12, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await db.Events.Where(e => e.ProjectId == projectId).OrderByDescending(e => e.Id).Take(count)
            .Join(db.Users, e => e.UserId, u => u.Id, (e, u) => new { e.Id, u.DisplayName, e.Text, e.Href, e.At })
            .OrderByDescending(e => e.Id).Select(e => new Line(e.DisplayName, e.Text, e.Href, e.At)).ToListAsync(cancel);
    }
}
