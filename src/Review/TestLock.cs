using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// The rows that nobody may look at here: the test parts of the project's splits, until a report on the split has been built.
/// Splits and reports come later on the road, so they are asked for by table and not by type.
internal sealed record TestLock(IReadOnlyList<TestLock.Locking> Splits)
{
    internal sealed record Locking(int Id, int Number);

    internal static async Task<TestLock> Of(StudioDb db, string projectId, CancellationToken cancel) =>
        new(await db.Database.SqlQuery<Locking>($"""
            SELECT s.Id, s.Number FROM Splits s WHERE s.ProjectId = {projectId} AND NOT EXISTS
              (SELECT 1 FROM Reports p JOIN Runs u ON u.Id = p.RunId WHERE u.SplitId = s.Id AND p.State IN ('Ready', 'Approved', 'Rejected'))
            """).OrderBy(s => s.Number).ToListAsync(cancel));

    /// An SQL condition that holds for locked rows.
    internal string Holds(string rowId) => Splits.Count == 0 ? "0"
        : $"EXISTS (SELECT 1 FROM SplitRows t WHERE t.SplitId IN ({string.Join(", ", Splits.Select(s => s.Id))}) AND t.RowId = {rowId} AND t.Part = 'Test')";

    internal async Task<bool> Has(StudioDb db, long rowId, CancellationToken cancel)
    {
        var sql = $"SELECT {Holds(rowId.ToString(System.Globalization.CultureInfo.InvariantCulture))} AS Value";
        return (await db.Database.SqlQueryRaw<int>(sql).ToListAsync(cancel))[0] != 0;
    }

    internal string Name => Splits.Count == 1 ? $"split {Splits[0].Number}" : "splits " + string.Join(", ", Splits.Select(s => s.Number));
}
