using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// Rows whose label went from one name to another; From is null where a row had none, To where a label was taken away.
public sealed record LabelMove(string? From, string? To, int Rows);

/// What a review changes in a version's labels. LastDecisionId is the newest decision counted; Flagged rows still wait for an answer.
public sealed record ReviewDifference(int Relabelled, int NewlyLabelled, int LabelsRemoved, int Unchanged, IReadOnlyList<LabelMove> Moves, IReadOnlyList<string> NewLabels, int Decided, int Flagged, long LastDecisionId)
{
    public int Changed => Relabelled + NewlyLabelled + LabelsRemoved;

    internal static ReviewDifference Of(IReadOnlyList<LabelMove> all, IReadOnlySet<string> before, int decided, int flagged, long lastId)
    {
        var moves = all.Where(m => m.From != m.To).ToList();
        return new(moves.Where(m => m.From is not null && m.To is not null).Sum(m => m.Rows), moves.Where(m => m.From is null).Sum(m => m.Rows), moves.Where(m => m.To is null).Sum(m => m.Rows),
            all.Where(m => m.From == m.To).Sum(m => m.Rows), [.. moves.OrderByDescending(m => m.Rows).ThenBy(m => m.From, StringComparer.Ordinal).ThenBy(m => m.To, StringComparer.Ordinal)],
            [.. all.Select(m => m.To).OfType<string>().Distinct().Where(l => !before.Contains(l)).Order(StringComparer.Ordinal)], decided, flagged, lastId);
    }
}

/// The difference that freezing would make, and the one that a frozen review made.
public sealed class CompareReview(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    private sealed record Sum(int Decided, int Flagged, long LastId);

    /// What the decisions so far would change, compared with the version under review.
    [Needs(Permission.ViewProject)]
    public async Task<ReviewDifference> Handle(string projectId, int version, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await Pending(db, await ReviewOf.Find(db, projectId, version, cancel), cancel);
    }

    /// What a version frozen from a review changed, compared with the one before; null where it was not made by a review.
    [Needs(Permission.ViewProject)]
    public async Task<ReviewDifference?> WithParent(string projectId, int version, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var review = await ReviewOf.Find(db, projectId, version, cancel);
        if (review.Chain.Count < 2) return null;
        var moves = await db.Database.SqlQuery<LabelMove>($"""
            SELECT b.Label AS "From", n.Label AS "To", COUNT(*) AS Rows FROM VersionRows n JOIN VersionRows b ON b.VersionId = {review.Chain[1].Id} AND b.RowId = n.RowId
            WHERE n.VersionId = {review.Version.Id} GROUP BY b.Label, n.Label
            """).ToListAsync(cancel);
        return ReviewDifference.Of(moves, Names(review.Chain[1]), 0, 0, 0);
    }

    internal static async Task<ReviewDifference> Pending(StudioDb db, ReviewOf review, CancellationToken cancel)
    {
        var state = review.WithState(lockedToo: true);
        var (byMove, inSum) = ($"{state}SELECT Original AS \"From\", Label AS \"To\", COUNT(*) AS Rows FROM state GROUP BY Original, Label",
            $"{state}SELECT COALESCE(SUM(Decided), 0) AS Decided, COALESCE(SUM(Flagged), 0) AS Flagged, COALESCE(MAX(LastId), 0) AS LastId FROM state");
        var moves = await db.Database.SqlQueryRaw<LabelMove>(byMove).ToListAsync(cancel);
        var sum = (await db.Database.SqlQueryRaw<Sum>(inSum).ToListAsync(cancel))[0];
        return ReviewDifference.Of(moves, Names(review.Version), sum.Decided, sum.Flagged, sum.LastId);
    }

    private static HashSet<string> Names(Datasets.DatasetVersion version) => [.. Datasets.LabelCount.FromJson(version.LabelsJson).Select(l => l.Name)];
}
