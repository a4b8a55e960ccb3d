using System.Globalization;
using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Review;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Splits;

/// The rows of texts that occur with more than one label, the rows of a text one after the other: on the page, and as a CSV file.
public sealed class ListConflicts(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public const int Shown = 20;

    /// Number is the row's in the version, from 1. Answer is as a person reads it, null where the row is in a locked test part.
    public sealed record Row(int Number, string Text, string? Answer);

    [Needs(Permission.MakeSplit)]
    public async Task<IReadOnlyList<Row>> First(string projectId, int versionNumber, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.MakeSplit, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var rows = new List<Row>();
        if (await Find(db, projectId, versionNumber, cancel) is { } version)
            await foreach (var row in Rows(db, version, pass.Project, Shown, cancel)) rows.Add(row);
        return rows;
    }

    /// Writes all as CSV; false where the project has no such version.
    [Needs(Permission.DownloadData)]
    public async Task<bool> Download(string projectId, int versionNumber, Func<Stream> open, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.DownloadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await Find(db, projectId, versionNumber, cancel) is not { } version) return false;
        await using var csv = new StreamWriter(open(), new UTF8Encoding(true));
        await csv.WriteAsync("row,text,answer\r\n");
        await foreach (var row in Rows(db, version, pass.Project, int.MaxValue, cancel))
            await csv.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{row.Number},{DownloadRejected.Cell(row.Text)},{DownloadRejected.Cell(row.Answer ?? "locked: in the test part of a split")}\r\n"));
        return true;
    }

    private static Task<DatasetVersion?> Find(StudioDb db, string projectId, int number, CancellationToken cancel) =>
        db.Versions.AsNoTracking().SingleOrDefaultAsync(v => v.ProjectId == projectId && v.Number == number, cancel);

    private static async IAsyncEnumerable<Row> Rows(StudioDb db, DatasetVersion version, Project project, int most, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        var answers = Answers.Of(project.Task);
        var data = await LabelledRows.Read(db, version.Id, answers, cancel);
        var test = await TestLock.Of(db, project.Id, cancel);
        foreach (var ids in data.Conflicting().Take(most).Select(i => data.Rows[i].RowId).Chunk(500))
        {
            var found = await (from v in db.VersionRows where v.VersionId == version.Id && ids.Contains(v.RowId) join r in db.Rows on v.RowId equals r.Id select new { r.Id, v.Position, r.Text, v.Label }).ToDictionaryAsync(r => r.Id, cancel);
            var sql = $"SELECT r.Id AS Value FROM Rows r WHERE r.Id IN ({string.Join(',', ids)}) AND {test.Holds("r.Id")}";
            var locked = (await db.Database.SqlQueryRaw<long>(sql).ToListAsync(cancel)).ToHashSet();
            foreach (var id in ids)
                yield return new(found[id].Position + 1, found[id].Text, locked.Contains(id) ? null : answers.Show(found[id].Label!));
        }
    }
}
