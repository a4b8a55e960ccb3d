using System.Globalization;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// What stands around the queue: the version, its labels, how far the review is, what is locked and why.
public sealed class OpenReview(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    /// Rows counts those that can be reviewed, without the locked ones.
    public sealed record Progress(int Rows, int Decided, int Unlabelled, int Flagged, int Locked);

    /// Newest is the number of the project's newest version; Locked says why rows are locked, or is null.
    public sealed record Sheet(DatasetVersion Version, int Newest, IReadOnlyList<string> Labels, Progress Progress, string? Locked);

    private sealed record Counts(int Rows, int Decided, int Unlabelled, int Flagged);

    /// Without a number: the newest version. Null where the project has no data, no such version, or answers that are not reviewed here.
    [Needs(Permission.ViewProject)]
    public async Task<Sheet?> Handle(string projectId, int? number, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        if (!Answers.Of(pass.Project.Task).HasReview) return null;
        await using var db = await databases.CreateDbContextAsync(cancel);
        var numbers = await db.Versions.Where(v => v.ProjectId == projectId).Select(v => v.Number).ToListAsync(cancel);
        if (numbers.Count == 0 || number is { } asked && !numbers.Contains(asked)) return null;
        var review = await ReviewOf.Find(db, projectId, number ?? numbers.Max(), cancel);
        var sql = review.WithState() + "SELECT COUNT(*) AS Rows, COALESCE(SUM(Decided), 0) AS Decided, COALESCE(SUM(Label IS NULL), 0) AS Unlabelled, COALESCE(SUM(Flagged), 0) AS Flagged FROM state";
        var counts = (await db.Database.SqlQueryRaw<Counts>(sql).ToListAsync(cancel))[0];
        var locked = review.Version.RowCount - counts.Rows;
        return new(review.Version, numbers.Max(), await review.Labels(db, cancel), new(counts.Rows, counts.Decided, counts.Unlabelled, counts.Flagged, locked),
            locked == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"{locked:N0} {(locked == 1 ? "row is" : "rows are")} locked: they are the test part of {review.Lock.Name}. Their labels are neither shown nor changed before a report reads them, so that the test stays honest."));
    }
}
