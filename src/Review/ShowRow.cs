using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// One row with its label now and everything that was decided about it.
public sealed class ShowRow(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    /// Null where the version has no such row, or the row is locked.
    [Needs(Permission.ViewProject)]
    public async Task<ReviewedRow?> Handle(string projectId, int version, long rowId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var review = await ReviewOf.Find(db, projectId, version, cancel);
        return await review.Lock.Has(db, rowId, cancel) ? null : await ReviewedRow.Read(db, review, rowId, cancel);
    }
}
