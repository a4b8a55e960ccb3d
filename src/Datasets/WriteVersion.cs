using System.Data;
using System.Data.Common;
using System.Globalization;
using FineTuneStudio.Projects;
using FineTuneStudio.Ui;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

/// Turns the file of an import into a version. Rows go in by small transactions, so that others can write in between; they belong to a
/// version that does not exist before the last one adds it. A run cut off at any point is swept away and done again.
public sealed class WriteVersion(IDbContextFactory<StudioDb> databases, ReceiveFile receive, TimeProvider clock)
{
    private const int Batch = 2000;

    internal async Task<DatasetVersion> Handle(int importId, string? note, Action<double, int, int>? progress, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var import = await db.Imports.AsNoTracking().SingleAsync(i => i.Id == importId, cancel);
        var answers = Answers.Of(await db.Projects.Where(p => p.Id == import.ProjectId).Select(p => p.Task).SingleAsync(cancel));
        var connection = (SqliteConnection)db.Database.GetDbConnection();
        await connection.OpenAsync(cancel);
        await Sweep(importId, cancel);
        var versionId = Reserve(connection, importId);

        using var file = File.OpenRead(receive.PathOf(import));
        var (format, mapping) = (FileFormat.FromJson(import.FormatJson!), ColumnMapping.FromJson(import.MappingJson!));
        var columns = ReadTable.Columns(file, format).Names;
        if (mapping.Faults(columns) is { Count: > 0 } faults) throw new DataFileException(string.Join(" ", faults));
        (answers, _) = answers.Survey(format, mapping, ReadTable.Rows(file, format, columns));

        using var hash = new VersionHash();
        using var writer = new RowWriter(connection, import.ProjectId, versionId, importId);
        var labels = new Dictionary<string, int>(StringComparer.Ordinal);
        int accepted = 0, rejected = 0, unlabeled = 0;
        foreach (var raws in ReadTable.Batches(ReadTable.Rows(file, format, columns), Batch))
        {
            cancel.ThrowIfCancellationRequested();
            var taken = raws.Select(raw => ReadTable.Take(raw, mapping.Columns, answers)).ToList();
            writer.Begin();
            foreach (var (row, rejection) in taken)
                if (row is not null)
                {
                    var id = writer.Add(row, accepted++);
                    hash.Append(id, row.Text, row.Attributes, row.Label);
                    if (row.Label is null) unlabeled++;
                    else ExamineFile.Add(labels, answers.Names(row.Label));
                }
                else { writer.Reject(rejection!); rejected++; }
            writer.Commit();
            progress?.Invoke((double)file.Position / file.Length, accepted, rejected);
        }
        if (accepted == 0) throw new DataFileException("No row of the file can be imported; the reasons stand with the rejected rows.");
        return await Finish(import, versionId, hash.Finish(), accepted, rejected, unlabeled, labels, note, cancel);
    }

    /// Removes what an import that did not end has left behind; a finished one is not touched.
    internal async Task Sweep(int importId, CancellationToken cancel, bool keepRejected = false)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var all = await db.Database.BeginTransactionAsync(cancel);
        var import = await db.Imports.AsNoTracking().SingleAsync(i => i.Id == importId, cancel);
        if (import.VersionId is { } versionId)
        {
            if (await db.Versions.AnyAsync(v => v.Id == versionId, cancel)) throw new InvalidOperationException($"Import {importId} has ended.");
            await db.Database.ExecuteSqlAsync($"DELETE FROM Rows WHERE Id IN (SELECT RowId FROM VersionRows WHERE VersionId = {versionId})", cancel);
            await db.Database.ExecuteSqlAsync($"DELETE FROM VersionRows WHERE VersionId = {versionId}", cancel);
        }
        if (!keepRejected) await db.Database.ExecuteSqlAsync($"DELETE FROM RejectedRows WHERE ImportId = {importId}", cancel);
        await all.CommitAsync(cancel);
    }

    /// The id that the version will have; written down before the first row is, so that a sweep finds the rows.
    private static int Reserve(SqliteConnection connection, int importId)
    {
        using var all = connection.BeginTransaction();
        using var command = connection.CreateCommand();
        command.Transaction = all;
        command.CommandText = """
            INSERT INTO sqlite_sequence (name, seq) SELECT 'Versions', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'Versions');
            UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'Versions';
            UPDATE Imports SET VersionId = (SELECT seq FROM sqlite_sequence WHERE name = 'Versions') WHERE Id = $import;
            SELECT seq FROM sqlite_sequence WHERE name = 'Versions';
            """;
        command.Parameters.AddWithValue("$import", importId);
        var id = Convert.ToInt32(command.ExecuteScalar(), CultureInfo.InvariantCulture);
        all.Commit();
        return id;
    }

    private async Task<DatasetVersion> Finish(Import import, int versionId, string hash, int accepted, int rejected, int unlabeled, Dictionary<string, int> labels, string? note, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var all = await db.Database.BeginTransactionAsync(IsolationLevel.Serializable, cancel);
        var number = (await db.Versions.Where(v => v.ProjectId == import.ProjectId).MaxAsync(v => (int?)v.Number, cancel) ?? 0) + 1;
        var version = new DatasetVersion
        {
            Id = versionId, ProjectId = import.ProjectId, Number = number, Kind = VersionKind.Import, ImportId = import.Id, Note = note ?? import.FileName,
            RowCount = accepted, LabeledCount = accepted - unlabeled, LabelsJson = LabelCount.ToJson(labels), ContentHash = hash,
            CreatedById = import.CreatedById, CreatedAt = clock.GetUtcNow().UtcDateTime,
        };
        db.Versions.Add(version);
        db.Events.Add(new ProjectEvent
        {
            ProjectId = import.ProjectId, UserId = import.CreatedById, At = version.CreatedAt, Href = $"/p/{import.ProjectId}/data/{number}",
            Text = $"imported {Say.Count(accepted, "row")} as version {number}" + (rejected > 0 ? $"; {Say.Count(rejected, "was rejected", "were rejected")}" : ""),
        });
        await db.SaveChangesAsync(cancel);
        await db.Imports.Where(i => i.Id == import.Id).ExecuteUpdateAsync(s => s.SetProperty(i => i.State, ImportState.Imported)
            .SetProperty(i => i.RowsAccepted, accepted).SetProperty(i => i.RowsRejected, rejected).SetProperty(i => i.Problem, (string?)null), cancel);
        await all.CommitAsync(cancel);
        return version;
    }

    /// Prepared statements, reused for every row.
    private sealed class RowWriter : IDisposable
    {
        private readonly SqliteConnection connection;
        private readonly SqliteCommand row, place, reject, last;
        private SqliteTransaction? all;
        private long nextId;

        public RowWriter(SqliteConnection connection, string projectId, int versionId, int importId)
        {
            this.connection = connection;
            row = Command("INSERT INTO Rows (Id, ProjectId, Text, AttributesJson, TextKey) VALUES ($id, $project, $text, $attributes, $key)", "$id", "$text", "$attributes", "$key");
            row.Parameters.AddWithValue("$project", projectId);
            place = Command("INSERT INTO VersionRows (VersionId, RowId, Position, Label) VALUES ($version, $row, $position, $label)", "$row", "$position", "$label");
            place.Parameters.AddWithValue("$version", versionId);
            reject = Command("INSERT INTO RejectedRows (ImportId, Line, Column, Found, Reason) VALUES ($import, $line, $column, $found, $reason)", "$line", "$column", "$found", "$reason");
            reject.Parameters.AddWithValue("$import", importId);
            last = Command("SELECT MAX(COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'Rows'), 0), COALESCE((SELECT MAX(Id) FROM Rows), 0))");
        }

        public void Begin()
        {
            all = connection.BeginTransaction();
            foreach (var command in new[] { row, place, reject, last }) command.Transaction = all;
            nextId = Convert.ToInt64(last.ExecuteScalar(), CultureInfo.InvariantCulture) + 1;
        }

        public long Add(ReadRow read, int position)
        {
            var id = nextId++;
            (row.Parameters["$id"].Value, row.Parameters["$text"].Value, row.Parameters["$key"].Value) = (id, read.Text, TextKey.Of(read.Text));
            row.Parameters["$attributes"].Value = (object?)read.Attributes ?? DBNull.Value;
            row.ExecuteNonQuery();
            (place.Parameters["$row"].Value, place.Parameters["$position"].Value) = (id, position);
            place.Parameters["$label"].Value = (object?)read.Label ?? DBNull.Value;
            place.ExecuteNonQuery();
            return id;
        }

        public void Reject(Rejection rejection)
        {
            (reject.Parameters["$line"].Value, reject.Parameters["$column"].Value) = (rejection.Line, rejection.Column);
            (reject.Parameters["$found"].Value, reject.Parameters["$reason"].Value) = (rejection.Found, rejection.Reason);
            reject.ExecuteNonQuery();
        }

        public void Commit() { all!.Commit(); all.Dispose(); all = null; }

        private SqliteCommand Command(string sql, params string[] parameters)
        {
            var command = connection.CreateCommand();
            command.CommandText = sql;
            foreach (var name in parameters) command.Parameters.Add(new SqliteParameter { ParameterName = name, Value = DBNull.Value });
            return command;
        }

        public void Dispose()
        {
            all?.Dispose();
            foreach (DbCommand command in new[] { row, place, reject, last }) command.Dispose();
        }
    }
}
