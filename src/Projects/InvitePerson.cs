using System.Security.Cryptography;
using System.Text;
using FineTuneStudio.Accounts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Projects;

/// Makes a one-time link into a project. The code is shown once and stored only as a hash.
public sealed class InvitePerson(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(7);

    [Needs(Permission.ManageTeam)]
    public async Task<string> Handle(string projectId, IReadOnlyCollection<Role> roles, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ManageTeam, cancel);
        if (roles.Count == 0) throw new ArgumentException("No role was chosen; choose at least one for the person you invite.");
        var code = Convert.ToHexString(RandomNumberGenerator.GetBytes(20)).ToLowerInvariant();
        var now = clock.GetUtcNow().UtcDateTime;
        await using var db = await databases.CreateDbContextAsync(cancel);
        db.Invitations.Add(new Invitation
        {
            ProjectId = projectId, CodeHash = HashOf(code), Roles = string.Join(",", roles.Distinct().Order()),
            CreatedById = pass.UserId, CreatedAt = now, ExpiresAt = now + Lifetime,
        });
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = now, Text = $"invited somebody as {string.Join(" and ", roles.Distinct().Order())}", Href = $"/p/{projectId}/team" });
        await db.SaveChangesAsync(cancel);
        return code;
    }

    [Needs(Permission.ManageTeam)]
    public async Task Revoke(string projectId, int invitation, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ManageTeam, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        await db.Invitations.Where(i => i.Id == invitation && i.ProjectId == projectId && i.UsedAt == null)
            .ExecuteUpdateAsync(set => set.SetProperty(i => i.RevokedAt, clock.GetUtcNow().UtcDateTime), cancel);
    }

    internal static string HashOf(string code) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(code)));
}
