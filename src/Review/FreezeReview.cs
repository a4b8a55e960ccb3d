using System.Globalization;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace FineTuneStudio.Review;

/// Makes the reviewed labels a new, immutable version: the same rows with the same ids, the labels as decided.
public sealed class FreezeReview(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    /// lastDecisionId is that of the difference which the person saw (ReviewDifference.LastDecisionId); a decision that came in later stops the freezing.
    [Needs(Permission.FreezeVersion)]
    public async Task<DatasetVersion> Handle(string projectId, int version, long lastDecisionId, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.FreezeVersion, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        var review = await ReviewOf.Find(db, projectId, version, cancel);
        var difference = await CompareReview.Pending(db, review, cancel);
        if (difference.LastDecisionId != lastDecisionId)
            throw new ArgumentException($"{await db.Decisions.CountAsync(d => d.VersionId == review.Version.Id && d.Id > lastDecisionId, cancel)} more decisions came in since you looked at the difference. Look at it again, then freeze.");
        if (await db.Versions.AsNoTracking().Where(v => v.ParentId == review.Version.Id).Select(v => (int?)v.Number).FirstOrDefaultAsync(cancel) is { } child)
            throw new ArgumentException($"Version {child} was frozen from version {version} meanwhile; review version {child}, so that nothing decided there is lost.");
        if (difference.Changed == 0)
            throw new ArgumentException(difference.Decided == 0
                ? $"Nothing has been decided about version {version} yet, so there is nothing to freeze."
                : $"All {difference.Decided.ToString("N0", CultureInfo.InvariantCulture)} decided rows keep the label they have: version {version} is the reviewed set already.");

        using var hash = new VersionHash();
        var labels = new Dictionary<string, int>(StringComparer.Ordinal);
        var labelled = 0;
        using (var command = Command(db, transaction, review.WithState(lockedToo: true) + "SELECT s.RowId, r.Text, r.AttributesJson, s.Label FROM state s JOIN Rows r ON r.Id = s.RowId ORDER BY s.Position"))
        using (var reader = command.ExecuteReader())
            while (reader.Read())
            {
                var label = reader.IsDBNull(3) ? null : reader.GetString(3);
                hash.Append(reader.GetInt64(0), reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetString(2), label);
                if (label is null) continue;
                labels[label] = labels.GetValueOrDefault(label) + 1;
                labelled++;
            }
        var now = clock.GetUtcNow().UtcDateTime;
        var frozen = new DatasetVersion
        {
            ProjectId = projectId, Number = await db.Versions.Where(v => v.ProjectId == projectId).MaxAsync(v => v.Number, cancel) + 1, Kind = VersionKind.Review, ParentId = review.Version.Id,
            Note = $"review of version {version}", RowCount = review.Version.RowCount, LabeledCount = labelled, LabelsJson = LabelCount.ToJson(labels), ContentHash = hash.Finish(), CreatedById = pass.UserId, CreatedAt = now,
        };
        db.Versions.Add(frozen);
        await db.SaveChangesAsync(cancel);
        using (var copy = Command(db, transaction, $"INSERT INTO VersionRows (VersionId, RowId, Position, Label) {review.WithState(lockedToo: true)} SELECT {frozen.Id}, RowId, Position, Label FROM state"))
            copy.ExecuteNonQuery();
        // Flags that nobody has answered wait in the new version, as who raised them wrote them.
        using (var flags = Command(db, transaction, $"""
            INSERT INTO Decisions (VersionId, RowId, Kind, Why, AfterId, UserId, At) {review.WithState(lockedToo: true)}
            SELECT {frozen.Id}, f.RowId, f.Kind, f.Why, 0, f.UserId, f.At FROM state s JOIN Decisions f ON f.RowId = s.RowId
            WHERE s.Flagged AND f.Id = (SELECT MAX(Id) FROM Decisions WHERE VersionId = {review.Version.Id} AND RowId = s.RowId AND Kind = 'Flag')
            """))
            flags.ExecuteNonQuery();
        db.Events.Add(new ProjectEvent
        {
            ProjectId = projectId, UserId = pass.UserId, At = now, Href = $"/p/{projectId}/data/{frozen.Number}",
            Text = string.Create(CultureInfo.InvariantCulture, $"froze the review of version {version} as version {frozen.Number}: {difference.Relabelled:N0} relabelled, {difference.NewlyLabelled:N0} newly labelled"),
        });
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return frozen;
    }

    private static SqliteCommand Command(StudioDb db, IDbContextTransaction transaction, string sql)
    {
        var command = ((SqliteConnection)db.Database.GetDbConnection()).CreateCommand();
        command.Transaction = (SqliteTransaction)transaction.GetDbTransaction();
        command.CommandText = sql;
        return command;
    }
}
