using System.Globalization;
using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Splits;

/// The rows of texts that occur with more than one answer, the rows of a text one after the other: on the page, and as a CSV file.
/// Locked texts are left out whole: that one is here would tell what the locked answer is not.
public sealed class ListConflicts(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public const int Shown = 20;

    /// Number is the row's in the version, from 1; Text and Answer are cut to what a page shows.
    public sealed record Row(int Number, string Text, string Answer);

    /// The first rows, and how many there are in all.
    public sealed record Beginning(IReadOnlyList<Row> Rows, int All);

    [Needs(Permission.MakeSplit)]
    public async Task<Beginning> First(string projectId, int versionNumber, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.MakeSplit, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await Find(db, projectId, versionNumber, cancel) is not { } version) return new([], 0);
        var answers = Answers.Of(pass.Project.Task);
        var ids = await Ids(db, version, answers, cancel);
        var rows = new List<Row>();
        await foreach (var (number, text, answer) in Rows(db, version, ids.Take(Shown), cancel)) rows.Add(new(number, DataLimits.Clip(text, 300), DataLimits.Clip(answers.Spell(answer, text), 200)));
        return new(rows, ids.Count);
    }

    /// Writes all as CSV; false where the project has no such version.
    [Needs(Permission.DownloadData)]
    public async Task<bool> Download(string projectId, int versionNumber, Func<Stream> open, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.DownloadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await Find(db, projectId, versionNumber, cancel) is not { } version) return false;
        var answers = Answers.Of(pass.Project.Task);
        var ids = await Ids(db, version, answers, cancel);
        await using var csv = new StreamWriter(open(), new UTF8Encoding(true));
        await csv.WriteAsync("row,text,answer\r\n");
        // A number stands as a program reads it, with all its digits.
        await foreach (var (number, text, answer) in Rows(db, version, ids, cancel))
            await csv.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{number},{DownloadRejected.Cell(text)},{(answers is NumberAnswers ? answer : DownloadRejected.Cell(answers.Spell(answer, text)))}\r\n"));
        return true;
    }

    private static Task<DatasetVersion?> Find(StudioDb db, string projectId, int number, CancellationToken cancel) =>
        db.Versions.AsNoTracking().SingleOrDefaultAsync(v => v.ProjectId == projectId && v.Number == number, cancel);

    private static async Task<IReadOnlyList<long>> Ids(StudioDb db, DatasetVersion version, Answers answers, CancellationToken cancel)
    {
        var data = await Task.Run(() => LabelledRows.Read(db, version.Id, answers, cancel), cancel);
        return [.. data.Conflicting(await LabelledRows.Locked(db, version.ProjectId, cancel)).Select(i => data.Rows[i].RowId)];
    }

    private static async IAsyncEnumerable<(int Number, string Text, string Answer)> Rows(StudioDb db, DatasetVersion version, IEnumerable<long> all, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        // Few at once: a text may have a million characters.
        foreach (var ids in all.Chunk(25))
        {
            var found = await (from v in db.VersionRows where v.VersionId == version.Id && ids.Contains(v.RowId) join r in db.Rows on v.RowId equals r.Id select new { r.Id, v.Position, r.Text, v.Label }).ToDictionaryAsync(r => r.Id, cancel);
            foreach (var id in ids) yield return (found[id].Position + 1, found[id].Text, found[id].Label!);
        }
    }
}
