using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// Takes back the caller's own last label in a version's review, by appending an undo. Again: the one before.
public sealed class UndoDecision(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    private const int LookBack = 200;

    /// Null where nothing of the caller's is left to take back. Where another person decided after them on that row, nothing is written and Meanwhile says who.
    [Needs(Permission.ReviewLabels)]
    public async Task<Outcome?> Handle(string projectId, int version, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ReviewLabels, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        var review = await ReviewOf.Find(db, projectId, version, cancel);
        var mine = await db.Decisions.Where(d => d.VersionId == review.Version.Id && d.UserId == pass.UserId && d.Kind == DecisionKind.Label)
            .OrderByDescending(d => d.Id).Take(LookBack).Select(d => new { d.Id, d.RowId }).ToListAsync(cancel);
        foreach (var decision in mine)
        {
            var row = (await ReviewedRow.Read(db, review, decision.RowId, cancel))!;
            if (row.Standing.All(h => h.Id != decision.Id)) continue;
            if (await review.Lock.Has(db, decision.RowId, cancel)) throw new ArgumentException(DecideLabel.LockedSentence(review));
            if (row.Standing[0].Id != decision.Id)
                return new(row, [.. row.History.Where(h => h.Version == version && h.Id > decision.Id)]);
            DecideLabel.Add(db, review, row, DecisionKind.Undo, row.Standing[0].From, null, pass.UserId, clock);
            await db.SaveChangesAsync(cancel);
            await transaction.CommitAsync(cancel);
            return new((await ReviewedRow.Read(db, review, decision.RowId, cancel))!, []);
        }
        return null;
    }
}
