using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

/// One version: its facts, its rows by the page, and what did not come in.
public sealed class ShowVersion(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public const int PageRows = 50;

    public sealed record Facts(DatasetVersion Version, string By, IReadOnlyList<LabelCount> Labels, Import? Source, DatasetVersion? Parent, Difference? Difference, int LockedRows)
    {
        /// Rows whose answer says that there is none.
        public int SayNone { get; init; }
        /// What the numbers of the rows that are not locked are like, of a task whose answers are numbers.
        public NumberOverview? Numbers { get; init; }
    }

    /// What a reviewed version changed in the rows of the one before.
    public sealed record Difference(int Relabeled, int LabelsAdded, int LabelsRemoved, int RowsRemoved);

    public sealed record Filter(string? Label = null, bool Unlabeled = false, string? Search = null);

    /// Label is null where the row has none, and where it is locked.
    public sealed record Line(long Id, int Position, string Text, string? Label, string? AttributesJson, bool Locked);

    public sealed record Page(IReadOnlyList<Line> Rows, int Matching, int Number);

    [Needs(Permission.ViewProject)]
    public async Task<Facts?> Handle(string projectId, int number, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var version = await db.Versions.AsNoTracking().SingleOrDefaultAsync(v => v.ProjectId == projectId && v.Number == number, cancel);
        if (version is null) return null;
        var by = await db.Users.Where(u => u.Id == version.CreatedById).Select(u => u.DisplayName).SingleOrDefaultAsync(cancel) ?? "someone who left";
        var source = await db.Imports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == version.ImportId, cancel);
        var parent = await db.Versions.AsNoTracking().SingleOrDefaultAsync(v => v.Id == version.ParentId, cancel);
        var locked = await db.VersionRows.CountAsync(r => r.VersionId == version.Id && Locked(db, projectId).Contains(r.RowId), cancel);
        return new(version, by, LabelCount.FromJson(version.LabelsJson), source, parent, parent is null ? null : await Compare(db, version, parent, cancel), locked)
        {
            SayNone = pass.Project.Task == TextTask.QuestionAnswering ? await db.VersionRows.CountAsync(r => r.VersionId == version.Id && r.Label == QuestionAnswers.None, cancel) : 0,
            Numbers = pass.Project.Task == TextTask.Regression
                ? NumberOverview.Of((await db.VersionRows.Where(r => r.VersionId == version.Id && r.Label != null && !Locked(db, projectId).Contains(r.RowId)).Select(r => r.Label!).ToListAsync(cancel)).Select(NumberAnswers.Value)) : null,
        };
    }

    /// Rows in the version's order. A label filter never tells about a locked row.
    [Needs(Permission.ViewProject)]
    public async Task<Page> Rows(string projectId, int number, Filter filter, int page = 1, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        var filtered = Answers.Of(pass.Project.Task).Holding(filter.Label ?? "");
        await using var db = await databases.CreateDbContextAsync(cancel);
        var locked = Locked(db, projectId);
        var rows = from v in db.Versions
                   where v.ProjectId == projectId && v.Number == number
                   join p in db.VersionRows on v.Id equals p.VersionId
                   join r in db.Rows on p.RowId equals r.Id
                   select new { r.Id, p.Position, r.Text, p.Label, r.AttributesJson, Locked = locked.Contains(r.Id) };
        if (filter.Unlabeled) rows = rows.Where(r => r.Label == null);
        else if (!string.IsNullOrEmpty(filter.Label)) rows = filtered.IsWhole ? rows.Where(r => r.Label == filtered.Text && !r.Locked) : rows.Where(r => r.Label!.Contains(filtered.Text) && !r.Locked);
        if (!string.IsNullOrWhiteSpace(filter.Search))
        {
            var pattern = $"%{filter.Search.Trim().Replace("\\", "\\\\").Replace("%", "\\%").Replace("_", "\\_")}%";
            rows = rows.Where(r => EF.Functions.Like(r.Text, pattern, "\\"));
        }
        var matching = await rows.CountAsync(cancel);
        page = Math.Clamp(page, 1, Math.Max(1, (matching + PageRows - 1) / PageRows));
        var lines = await rows.OrderBy(r => r.Position).Skip((page - 1) * PageRows).Take(PageRows)
            .Select(r => new Line(r.Id, r.Position, r.Text, r.Locked ? null : r.Label, r.AttributesJson, r.Locked)).ToListAsync(cancel);
        return new(lines, matching, page);
    }

    /// Rows of the test part of a split whose report is not built. The one look ahead of this slice, hence in SQL: data comes before splits and reports.
    private static IQueryable<long> Locked(StudioDb db, string projectId) => db.Database.SqlQuery<long>($"""
        SELECT t.RowId AS Value FROM SplitRows t JOIN Splits s ON s.Id = t.SplitId
        WHERE s.ProjectId = {projectId} AND t.Part = 'Test' AND NOT EXISTS
          (SELECT 1 FROM Reports p JOIN Runs u ON u.Id = p.RunId WHERE u.SplitId = s.Id AND p.State IN ('Ready', 'Approved', 'Rejected'))
        """);

    private static async Task<Difference> Compare(StudioDb db, DatasetVersion version, DatasetVersion parent, CancellationToken cancel)
    {
        var pairs = from old in db.VersionRows
                    where old.VersionId == parent.Id
                    join now in db.VersionRows.Where(r => r.VersionId == version.Id) on old.RowId equals now.RowId
                    where old.Label != now.Label
                    select new { Old = old.Label, Now = now.Label };
        return new(
            await pairs.CountAsync(p => p.Old != null && p.Now != null, cancel),
            await pairs.CountAsync(p => p.Old == null, cancel),
            await pairs.CountAsync(p => p.Now == null, cancel),
            await db.VersionRows.CountAsync(old => old.VersionId == parent.Id && !db.VersionRows.Any(now => now.VersionId == version.Id && now.RowId == old.RowId), cancel));
    }
}
