using FineTuneStudio.Datasets;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// One decision as people read it. Version is the version whose review it belongs to.
public sealed record HistoryLine(long Id, int Version, DecisionKind Kind, string? From, string? To, string? Why, string UserId, string By, DateTime At);

/// A row as the review has it now. Decided also where its label was decided in the review of an earlier version.
public sealed record ReviewedRow(long RowId, int Position, string Text, string? AttributesJson, string? Original, string? Label, bool Decided, bool Flagged, long LastId, IReadOnlyList<HistoryLine> History)
{
    /// The label decisions of this version's review that no undo has taken back, newest first.
    internal IReadOnlyList<HistoryLine> Standing { get; private init; } = [];

    internal static async Task<ReviewedRow?> Read(StudioDb db, ReviewOf review, long rowId, CancellationToken cancel)
    {
        var row = await db.VersionRows.Where(v => v.VersionId == review.Version.Id && v.RowId == rowId)
            .Join(db.Rows, v => v.RowId, r => r.Id, (v, r) => new { v.Position, v.Label, r.Text, r.AttributesJson }).SingleOrDefaultAsync(cancel);
        if (row is null) return null;
        var numbers = review.Chain.ToDictionary(v => v.Id, v => v.Number);
        var ids = numbers.Keys.ToList();
        var history = (await (from d in db.Decisions.AsNoTracking()
                              where ids.Contains(d.VersionId) && d.RowId == rowId
                              join u in db.Users on d.UserId equals u.Id into users
                              from u in users.DefaultIfEmpty()
                              orderby d.Id
                              select new { d, By = u == null ? "someone who left" : u.DisplayName }).ToListAsync(cancel))
            .Select(h => new HistoryLine(h.d.Id, numbers[h.d.VersionId], h.d.Kind, h.d.From, h.d.To, h.d.Why, h.d.UserId, h.By, h.d.At)).ToList();

        var (label, flagged, earlier) = (row.Label, false, false);
        var stack = new Stack<HistoryLine>();
        foreach (var version in review.Chain.Reverse())
        {
            stack.Clear();
            foreach (var line in history.Where(h => h.Version == version.Number))
            {
                var here = version.Id == review.Version.Id;
                if (line.Kind == DecisionKind.Label) stack.Push(line);
                if (line.Kind == DecisionKind.Undo) stack.TryPop(out _);
                if (here && line.Kind is DecisionKind.Label or DecisionKind.Undo) label = line.To;
                if (here && line.Kind is DecisionKind.Flag or DecisionKind.Unflag) flagged = line.Kind == DecisionKind.Flag;
            }
            if (version.Id != review.Version.Id) earlier |= stack.Count > 0;
        }
        var last = history.LastOrDefault(h => h.Version == review.Version.Number)?.Id ?? 0;
        return new(rowId, row.Position, row.Text, row.AttributesJson, row.Label, label, earlier || stack.Count > 0, flagged, last, history)
        {
            Standing = [.. stack],
        };
    }
}

/// The review of one version: the version, and those before it that it was made from (itself first).
internal sealed record ReviewOf(DatasetVersion Version, IReadOnlyList<DatasetVersion> Chain, TestLock Lock)
{
    internal static async Task<ReviewOf> Find(StudioDb db, string projectId, int number, CancellationToken cancel)
    {
        var task = await db.Projects.Where(p => p.Id == projectId).Select(p => p.Task).SingleAsync(cancel);
        if (!Answers.Of(task).HasReview) throw new ArgumentException("The answers of this project are not reviewed here. Correct them in the file and upload it again.");
        var versions = await db.Versions.AsNoTracking().Where(v => v.ProjectId == projectId).ToListAsync(cancel);
        var version = versions.SingleOrDefault(v => v.Number == number)
            ?? throw new ArgumentException(versions.Count == 0 ? "This project has no data yet; upload some first." : $"This project has no version {number}; the newest is {versions.Max(v => v.Number)}.");
        var chain = new List<DatasetVersion> { version };
        while (chain[^1].ParentId is { } parent && versions.SingleOrDefault(v => v.Id == parent) is { } before) chain.Add(before);
        return new(version, chain, await TestLock.Of(db, projectId, cancel));
    }

    /// The names that a label may have: the version's, and those added by decisions on it. Ordered ordinally.
    internal async Task<IReadOnlyList<string>> Labels(StudioDb db, CancellationToken cancel)
    {
        var added = await db.Decisions.Where(d => d.VersionId == Version.Id && d.To != null).Select(d => d.To!).Distinct().ToListAsync(cancel);
        return [.. LabelCount.FromJson(Version.LabelsJson).Select(l => l.Name).Union(added, StringComparer.Ordinal).Order(StringComparer.Ordinal)];
    }

    /// SQL: a WITH clause that ends with "state", one line for each row of the version that is not locked:
    /// RowId, Position, Original (label), Label (now), Decided, Flagged, LastId (of its decisions, 0 where there is none).
    internal string WithState(bool lockedToo = false) => $"""
        WITH made AS (
          SELECT RowId, SUM(Kind = 'Label') - SUM(Kind = 'Undo') AS Depth, MAX(Id) AS LastId,
            MAX(CASE WHEN Kind IN ('Label', 'Undo') THEN Id END) AS LabelId, MAX(CASE WHEN Kind IN ('Flag', 'Unflag') THEN Id END) AS FlagId
          FROM Decisions WHERE VersionId = {Version.Id} GROUP BY RowId),
        earlier AS (
          SELECT DISTINCT RowId FROM (SELECT RowId FROM Decisions WHERE VersionId IN ({string.Join(", ", Chain.Skip(1).Select(v => v.Id).DefaultIfEmpty(0))})
            GROUP BY VersionId, RowId HAVING SUM(Kind = 'Label') > SUM(Kind = 'Undo'))),
        state AS (
          SELECT v.RowId, v.Position, v.Label AS Original, CASE WHEN made.LabelId IS NULL THEN v.Label ELSE l."To" END AS Label,
            (COALESCE(made.Depth, 0) > 0 OR earlier.RowId IS NOT NULL) AS Decided, COALESCE(f.Kind = 'Flag', 0) AS Flagged, COALESCE(made.LastId, 0) AS LastId
          FROM VersionRows v LEFT JOIN made ON made.RowId = v.RowId LEFT JOIN earlier ON earlier.RowId = v.RowId
            LEFT JOIN Decisions l ON l.Id = made.LabelId LEFT JOIN Decisions f ON f.Id = made.FlagId
          WHERE v.VersionId = {Version.Id}{(lockedToo ? "" : $" AND NOT {Lock.Holds("v.RowId")}")})

        """;
}
