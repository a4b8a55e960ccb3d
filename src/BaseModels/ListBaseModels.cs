using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.BaseModels;

/// The catalogue, newest first, and where one may import from: folders of the server, a model hub.
public sealed record Catalogue(IReadOnlyList<BaseModel> Models, IReadOnlyList<string> AllowedFolders, long MostBytes, HubOffer? Hub);

public sealed record HubOffer(string Address, long MostBytes);

public sealed class ListBaseModels(IDbContextFactory<StudioDb> databases, ProjectAccess access, AllowedFolders allowed, HubSettings hub, ImportBaseModel import)
{
    [Needs(Permission.ViewProject)]
    public async Task<Catalogue> Handle(string projectId, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var models = await db.BaseModels.AsNoTracking().Where(m => m.ProjectId == projectId).OrderByDescending(m => m.Number).ToListAsync(cancel);
        // Where things lie on the server concerns only those who import.
        var imports = pass.May(Permission.ImportBaseModel);
        return new(models, imports ? allowed.List : [], import.MostBytes, imports && hub.IsOpen ? new(hub.Address, hub.MostBytes) : null);
    }
}
