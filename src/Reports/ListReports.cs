using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

public sealed class ListReports(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    public sealed record Line(int Number, int Run, ReportState State, string BuiltBy, DateTime BuiltAt, string? Answer, string? Failure, string? SignedBy);

    public sealed record RunLine(int Number, string? WhyNot, int Reports);

    public sealed record Page(IReadOnlyList<Line> Reports, IReadOnlyList<RunLine> Runs);

    [Needs(Permission.ViewProject)]
    public async Task<Page> Handle(string projectId, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var runs = await db.Runs.AsNoTracking().Where(r => r.ProjectId == pass.Project.Id).OrderByDescending(r => r.Number).ToListAsync(cancel);
        var reports = await (from r in db.Reports.AsNoTracking()
                             where r.ProjectId == pass.Project.Id
                             join builder in db.Users on r.BuiltById equals builder.Id
                             orderby r.Number descending
                             select new { Report = r, builder.DisplayName, Signer = (from s in db.SignOffs join u in db.Users on s.UserId equals u.Id where s.ReportId == r.Id select u.DisplayName).FirstOrDefault() }).ToListAsync(cancel);
        return new(
            [.. reports.Select(r => new Line(r.Report.Number, runs.Single(run => run.Id == r.Report.RunId).Number, r.Report.State, r.DisplayName, r.Report.BuiltAt,
                r.Report.BodyJson is { } json ? Short(ReportBody.FromJson(json)) : null, r.Report.Failure, r.Signer))],
            [.. runs.Select(run => new RunLine(run.Number, BuildReport.WhyNot(run), reports.Count(r => r.Report.RunId == run.Id)))]);
    }

    private static string Short(ReportBody body) =>
        $"{body.Metric.Name()} {Ui.Say.Score(body.Measured)} ({ReportSentences.Interval(body.Model.Of(body.Metric))}), goal {Ui.Say.Score(body.Goal)} {(body.GoalReached ? "reached" : "not reached")}";
}
