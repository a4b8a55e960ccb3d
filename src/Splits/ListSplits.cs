using System.Text.Json;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Splits;

public sealed class ListSplits(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public sealed record Line(Split Split, int VersionNumber, string By, IReadOnlyList<LabelParts> Labels)
    {
        public int Train => Labels.Sum(l => l.Train);
        public int Validation => Labels.Sum(l => l.Validation);
        public int Test => Labels.Sum(l => l.Test);
    }

    /// The project's frozen splits, newest first.
    [Needs(Permission.ViewProject)]
    public async Task<IReadOnlyList<Line>> Handle(string projectId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var lines = await (from split in db.Splits.AsNoTracking()
                           where split.ProjectId == projectId
                           join version in db.Versions on split.VersionId equals version.Id
                           join user in db.Users on split.CreatedById equals user.Id into users
                           from user in users.DefaultIfEmpty()
                           orderby split.Number descending
                           select new { split, version.Number, By = user == null ? "someone who left" : user.DisplayName }).ToListAsync(cancel);
        return [.. lines.Select(l => new Line(l.split, l.Number, l.By, JsonSerializer.Deserialize<List<LabelParts>>(l.split.CountsJson)!))];
    }
}
