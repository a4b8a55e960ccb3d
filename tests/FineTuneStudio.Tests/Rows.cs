using System.Globalization;
using System.Text.Json;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace FineTuneStudio.Tests;

/// Rows straight into the tables, for tests of what comes after the import.
public static class Rows
{
    /// Rows with texts that are all different.
    public static List<(string Text, string? Label)> Of(params (string? Label, int Count)[] labels) =>
        [.. labels.SelectMany(l => Enumerable.Range(1, l.Count).Select(i => ($"message {i} about {l.Label ?? "something"}", l.Label)))];

    public static async Task<DatasetVersion> NewVersion(this StudioFixture app, Project project, IReadOnlyList<(string Text, string? Label)> rows)
    {
        await using var db = app.Db;
        await using var transaction = await db.Database.BeginTransactionAsync();
        var number = (await db.Versions.Where(v => v.ProjectId == project.Id).MaxAsync(v => (int?)v.Number) ?? 0) + 1;
        var version = new DatasetVersion
        {
            ProjectId = project.Id, Number = number, Kind = VersionKind.Import, Note = "messages.csv", RowCount = rows.Count, LabeledCount = rows.Count(r => r.Label is not null),
            LabelsJson = JsonSerializer.Serialize(rows.Where(r => r.Label is not null).GroupBy(r => r.Label!).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => new { Name = g.Key, Count = g.Count() })),
            ContentHash = $"test version {number.ToString(CultureInfo.InvariantCulture)} of {project.Id}", CreatedById = project.CreatedById, CreatedAt = DateTime.UtcNow,
        };
        db.Versions.Add(version);
        await db.SaveChangesAsync();
        using var insert = ((SqliteConnection)db.Database.GetDbConnection()).CreateCommand();
        insert.Transaction = (SqliteTransaction)transaction.GetDbTransaction();
        insert.CommandText = """
            INSERT INTO "Rows" ("ProjectId", "Text", "TextKey") VALUES ($project, $text, $key);
            INSERT INTO "VersionRows" ("VersionId", "RowId", "Position", "Label") VALUES ($version, last_insert_rowid(), $position, $label);
            """;
        insert.Parameters.AddWithValue("$project", project.Id);
        insert.Parameters.AddWithValue("$version", version.Id);
        foreach (var name in new[] { "$text", "$key", "$position", "$label" }) insert.Parameters.AddWithValue(name, "");
        for (var i = 0; i < rows.Count; i++)
        {
            insert.Parameters["$text"].Value = rows[i].Text;
            insert.Parameters["$key"].Value = string.Join(' ', rows[i].Text.ToLowerInvariant().Split(' ', StringSplitOptions.RemoveEmptyEntries));
            insert.Parameters["$position"].Value = i;
            insert.Parameters["$label"].Value = (object?)rows[i].Label ?? DBNull.Value;
            insert.ExecuteNonQuery();
        }
        await transaction.CommitAsync();
        return version;
    }
}
