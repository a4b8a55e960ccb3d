using FineTuneStudio.Projects;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// Waiting is what waits for a person: without a label, flagged, or not decided by anyone. Disagreeing: the same text occurs with another label.
public enum Show { Waiting, Unlabelled, Flagged, Undecided, Disagreeing, All }

public sealed record RowFilter(Show Show = Show.Waiting, string? Label = null, string? Text = null);

/// Looks up rows of a review: unlabelled first, then flagged, then undecided, then the rest; within each in the version's order. Locked rows never come.
public sealed class FindRows(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public const int QueueLength = 20_000;
    public const int PageRows = 50;

    /// Ids holds at most QueueLength of the Total.
    public sealed record Queue(IReadOnlyList<long> Ids, int Total);

    public sealed record Line(long RowId, int Position, string Text, string? Original, string? Label, bool Decided, bool Flagged, long LastId);

    public sealed record Page(IReadOnlyList<Line> Rows, int Total, int Number);

    private sealed record Found(long RowId, int Total);

    [Needs(Permission.ViewProject)]
    public async Task<Queue> Handle(string projectId, int version, RowFilter filter, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var (sql, parameters) = Sql(await ReviewOf.Find(db, projectId, version, cancel), filter, "s.RowId, COUNT(*) OVER () AS Total", $"LIMIT {QueueLength}");
        var found = await db.Database.SqlQueryRaw<Found>(sql, parameters).ToListAsync(cancel);
        return new([.. found.Select(f => f.RowId)], found.Count == 0 ? 0 : found[0].Total);
    }

    [Needs(Permission.ViewProject)]
    public async Task<Page> Table(string projectId, int version, RowFilter filter, int page = 1, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var review = await ReviewOf.Find(db, projectId, version, cancel);
        var (sql, parameters) = Sql(review, filter, "COUNT(*) AS Value", "", order: false);
        var total = (await db.Database.SqlQueryRaw<int>(sql, parameters).ToListAsync(cancel))[0];
        page = Math.Clamp(page, 1, Math.Max(1, (total + PageRows - 1) / PageRows));
        (sql, parameters) = Sql(review, filter, "s.RowId, s.Position, r.Text, s.Original, s.Label, s.Decided, s.Flagged, s.LastId", $"LIMIT {PageRows} OFFSET {(page - 1) * PageRows}");
        return new(await db.Database.SqlQueryRaw<Line>(sql, parameters).ToListAsync(cancel), total, page);
    }

    private static (string Sql, object[] Parameters) Sql(ReviewOf review, RowFilter filter, string select, string limit, bool order = true)
    {
        var where = new List<string>
        {
            filter.Show switch
            {
                Show.Waiting => "(s.Label IS NULL OR s.Flagged OR NOT s.Decided)",
                Show.Unlabelled => "s.Label IS NULL",
                Show.Flagged => "s.Flagged",
                Show.Undecided => "NOT s.Decided",
                Show.Disagreeing => "r.TextKey IN (SELECT q.TextKey FROM state c JOIN Rows q ON q.Id = c.RowId WHERE c.Label IS NOT NULL GROUP BY q.TextKey HAVING COUNT(DISTINCT c.Label) > 1)",
                _ => "1",
            },
        };
        var parameters = new List<object>();
        if (!string.IsNullOrEmpty(filter.Label))
        {
            where.Add("s.Label = $label");
            parameters.Add(new SqliteParameter("$label", filter.Label));
        }
        if (!string.IsNullOrWhiteSpace(filter.Text))
        {
            where.Add("r.Text LIKE $text ESCAPE '\\'");
            parameters.Add(new SqliteParameter("$text", $"%{filter.Text.Trim().Replace("\\", "\\\\").Replace("%", "\\%").Replace("_", "\\_")}%"));
        }
        var rank = filter.Show == Show.Disagreeing ? "r.TextKey" : "CASE WHEN s.Label IS NULL THEN 0 WHEN s.Flagged THEN 1 WHEN NOT s.Decided THEN 2 ELSE 3 END";
        return ($"{review.WithState()}SELECT {select} FROM state s JOIN Rows r ON r.Id = s.RowId WHERE {string.Join(" AND ", where)}{(order ? $" ORDER BY {rank}, s.Position" : "")} {limit}", [.. parameters]);
    }
}
