using System.Globalization;
using System.Text;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

/// Every row of a file that was not imported, with its place, what stood there and why: on the page, and as a CSV file.
public sealed class DownloadRejected(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    [Needs(Permission.ViewProject)]
    public async Task<IReadOnlyList<RejectedRow>> First(string projectId, int importId, int rows = 100, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await db.RejectedRows.AsNoTracking().Where(r => r.ImportId == importId && db.Imports.Any(i => i.Id == importId && i.ProjectId == projectId)).OrderBy(r => r.Id).Take(rows).ToListAsync(cancel);
    }

    /// Writes the CSV; false where the project has no such import.
    [Needs(Permission.DownloadData)]
    public async Task<bool> Handle(string projectId, int importId, Func<Import, Stream> open, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.DownloadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var import = await db.Imports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == importId && i.ProjectId == projectId, cancel);
        if (import is null) return false;
        await using var csv = new StreamWriter(open(import), new UTF8Encoding(true));
        await csv.WriteAsync("file,line,column,found,reason\r\n");
        await foreach (var row in db.RejectedRows.AsNoTracking().Where(r => r.ImportId == importId).OrderBy(r => r.Id).AsAsyncEnumerable().WithCancellation(cancel))
            await csv.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{Cell(import.FileName)},{row.Line},{(row.Column == 0 ? "" : row.Column)},{Cell(row.Found)},{Cell(row.Reason)}\r\n"));
        return true;
    }

    /// A spreadsheet runs what begins like a formula: such a cell is marked with a leading apostrophe.
    internal static string Cell(string text)
    {
        var start = text.TrimStart(' ');
        if (start.Length > 0 && start[0] is '=' or '+' or '-' or '@' or '\t' or '\r' or '\n' or '\uFF1D' or '\uFF0B' or '\uFF0D' or '\uFF20') text = "'" + text;
        return $"\"{text.Replace("\"", "\"\"")}\"";
    }
}
