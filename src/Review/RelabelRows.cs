using System.Globalization;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// Gives many rows one label for one reason. Rows on which others decided meanwhile are left as they are and named.
public sealed class RelabelRows(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    public const int MostRows = 1000;

    /// A row and the last decision on it that the person had seen.
    public sealed record Seen(long RowId, long AfterId);

    /// Meanwhile: rows left alone, each with what others decided.
    public sealed record Result(int Saved, IReadOnlyList<Outcome> Meanwhile);

    [Needs(Permission.ReviewLabels)]
    public async Task<Result> Handle(string projectId, int version, IReadOnlyCollection<Seen> rows, string label, string reason, bool newLabel = false, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ReviewLabels, cancel);
        if (rows.Count is 0 or > MostRows) throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{rows.Count:N0} rows are chosen; choose 1 to {MostRows:N0}."));
        var why = DecideLabel.Why(reason) ?? throw new ArgumentException("Say why these rows get this label; the reason is kept with each of them.");
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        var review = await ReviewOf.Find(db, projectId, version, cancel);
        var to = await DecideLabel.Label(db, review, pass, label, newLabel, cancel);
        var meanwhile = new List<Outcome>();
        foreach (var seen in rows.DistinctBy(r => r.RowId))
        {
            if (await review.Lock.Has(db, seen.RowId, cancel)) throw new ArgumentException(DecideLabel.LockedSentence(review));
            var row = await ReviewedRow.Read(db, review, seen.RowId, cancel) ?? throw new ArgumentException($"Version {version} has no row {seen.RowId}.");
            if (row.LastId != seen.AfterId) meanwhile.Add(new(row, [.. row.History.Where(h => h.Version == version && h.Id > seen.AfterId)]));
            else DecideLabel.Add(db, review, row, DecisionKind.Label, to, why, pass.UserId, clock);
        }
        var saved = await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return new(saved, meanwhile);
    }
}
