using System.Globalization;
using System.Text.Json;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace FineTuneStudio.Splits;

/// Writes a split down for good. From then on its test part is locked.
public sealed class FreezeSplit(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    /// Throws an ArgumentException whose message is for the person where the form or the data cannot be split, or the same split exists already.
    [Needs(Permission.MakeSplit)]
    public async Task<Split> Handle(string projectId, SplitForm form, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.MakeSplit, cancel);
        if (form.Faults() is { Count: > 0 } faults) throw new ArgumentException(string.Join(" ", faults));
        await using var db = await databases.CreateDbContextAsync(cancel);
        var version = await db.Versions.AsNoTracking().SingleOrDefaultAsync(v => v.ProjectId == projectId && v.Number == form.VersionNumber, cancel)
            ?? throw new ArgumentException(PreviewSplit.NoVersion(form));
        var plan = SplitPlan.Make(version, await LabelledRows.Read(db, version.Id, Answers.Of(pass.Project.Task), cancel), await LabelledRows.Locked(db, projectId, cancel), form);
        if (plan.Shown.Refusal is { } refusal) throw new ArgumentException(refusal);

        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await db.Splits.Where(s => s.VersionId == version.Id && s.Hash == plan.Shown.Hash).Select(s => (int?)s.Number).FirstOrDefaultAsync(cancel) is { } same)
            throw new ArgumentException($"Split {same} divides version {version.Number} in exactly this way already. Use it, or take another seed.");
        var now = clock.GetUtcNow().UtcDateTime;
        var split = new Split
        {
            ProjectId = projectId, Number = (await db.Splits.Where(s => s.ProjectId == projectId).MaxAsync(s => (int?)s.Number, cancel) ?? 0) + 1,
            VersionId = version.Id, Seed = form.Seed, TrainShare = form.Train / 100.0, ValidationShare = form.Validation / 100.0, TestShare = form.Test / 100.0,
            CountsJson = JsonSerializer.Serialize(plan.Shown.Labels.Select(l => new { l.Name, l.Train, l.Validation, l.Test })),
            Hash = plan.Shown.Hash, CreatedById = pass.UserId, CreatedAt = now,
        };
        db.Splits.Add(split);
        await db.SaveChangesAsync(cancel);
        Write(db, transaction, split.Id, plan, cancel);
        db.Events.Add(new ProjectEvent
        {
            ProjectId = projectId, UserId = pass.UserId, At = now, Href = $"/p/{projectId}/split",
            Text = string.Create(CultureInfo.InvariantCulture, $"froze split {split.Number} of version {version.Number}: {plan.Shown.Labels.Sum(l => l.Train):N0} train, {plan.Shown.Labels.Sum(l => l.Validation):N0} validation, {plan.Shown.Labels.Sum(l => l.Test):N0} test"),
        });
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return split;
    }

    private static void Write(StudioDb db, IDbContextTransaction transaction, int splitId, SplitPlan plan, CancellationToken cancel)
    {
        using var insert = ((SqliteConnection)db.Database.GetDbConnection()).CreateCommand();
        insert.Transaction = (SqliteTransaction)transaction.GetDbTransaction();
        insert.CommandText = """INSERT INTO "SplitRows" ("SplitId", "RowId", "Part") VALUES ($split, $row, $part)""";
        insert.Parameters.AddWithValue("$split", splitId);
        var row = insert.Parameters.Add("$row", SqliteType.Integer);
        var part = insert.Parameters.Add("$part", SqliteType.Text);
        insert.Prepare();
        string[] names = [.. Enum.GetValues<SplitPart>().Select(p => p.ToString())];
        for (var i = 0; i < plan.Parts.Length; i++)
        {
            if (i % 4096 == 0) cancel.ThrowIfCancellationRequested();
            row.Value = plan.Rows.Rows[i].RowId;
            part.Value = names[(int)plan.Parts[i]];
            insert.ExecuteNonQuery();
        }
    }
}
