using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.BaseModels;

/// The catalogue, newest first, and the folders of the server one may import from.
public sealed record Catalogue(IReadOnlyList<BaseModel> Models, IReadOnlyList<string> AllowedFolders, long MostBytes);

public sealed class ListBaseModels(IDbContextFactory<StudioDb> databases, ProjectAccess access, AllowedFolders allowed, ImportBaseModel import)
{
    [Needs(Permission.ViewProject)]
    public async Task<Catalogue> Handle(string projectId, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var models = await db.BaseModels.AsNoTracking().Where(m => m.ProjectId == projectId).OrderByDescending(m => m.Number).ToListAsync(cancel);
        // Where things lie on the server concerns only those who import.
        return new(models, pass.May(Permission.ImportBaseModel) ? allowed.List : [], import.MostBytes);
    }
}
