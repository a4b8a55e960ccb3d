using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

public sealed class ReadReport(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, ReportBuilder builder)
{
    public sealed record Signature(bool Approved, string Reason, string By, DateTime At, string ReportHash);

    /// Body is null while it is built and when it failed. WhyNotSign is null for whoever may sign it now.
    public sealed record View(Report Report, int Run, ReportBody? Body, string BuiltBy, string? Progress, Signature? Signature, string? WhyNotSign, IReadOnlyList<FindReportChanges.Change> Changes, int LooksByNow)
    {
        /// Of the rows that the report shows, their numbers in the data version, from 1.
        public IReadOnlyDictionary<long, int> RowNumbers { get; init; } = new Dictionary<long, int>();
    }

    /// Null where there is no such report in the project.
    [Needs(Permission.ViewProject)]
    public async Task<View?> Handle(string projectId, int reportNumber, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var report = await db.Reports.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == pass.Project.Id && r.Number == reportNumber, cancel);
        if (report is null) return null;
        var run = await db.Runs.AsNoTracking().SingleAsync(r => r.Id == report.RunId, cancel);
        var by = await db.Users.Where(u => u.Id == report.BuiltById).Select(u => u.DisplayName).SingleAsync(cancel);
        var body = report.BodyJson is { } json ? ReportBody.FromJson(json) : null;
        var signature = await (from s in db.SignOffs.AsNoTracking() where s.ReportId == report.Id join u in db.Users on s.UserId equals u.Id select new Signature(s.Approved, s.Reason, u.DisplayName, s.At, s.ReportHash)).SingleOrDefaultAsync(cancel);
        var looks = await db.Reports.CountAsync(r => r.BodyJson != null && db.Runs.Any(x => x.Id == r.RunId && x.SplitId == run.SplitId), cancel);
        return new(report, run.Number, body, by, report.State == ReportState.Building ? builder.Progress(report.Id) : null, signature,
            SignReport.WhyNot(pass, report, run), body is null ? [] : await FindReportChanges.Find(db, folder, pass.Project, report, cancel), looks)
        {
            RowNumbers = body is null ? new Dictionary<long, int>() : await Numbers(db, body, cancel),
        };
    }

    private static async Task<Dictionary<long, int>> Numbers(StudioDb db, ReportBody body, CancellationToken cancel)
    {
        long[] shown = [.. body.Mistakes.Select(m => m.RowId), .. (body.Samples ?? []).Select(s => s.RowId), .. (body.LabelSets?.Worst ?? []).Select(w => w.RowId), .. (body.NumberErrors?.Worst ?? []).Select(w => w.RowId),
            .. body.Spans is { } spans ? spans.Wrong.Concat(spans.Right).Select(s => s.RowId) : [], .. body.Answers is { } answers ? answers.Wrong.Concat(answers.Correct).Select(a => a.RowId) : []];
        return await db.VersionRows.AsNoTracking().Where(r => r.VersionId == body.Data.VersionId && shown.Contains(r.RowId)).ToDictionaryAsync(r => r.RowId, r => r.Position + 1, cancel);
    }
}
