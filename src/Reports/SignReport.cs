using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

/// An approver who neither launched the run nor built the report approves or rejects it; after that it is frozen.
public sealed class SignReport(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, TimeProvider clock)
{
    public const int ShortestReason = 10, LongestReason = 4000;

    public static string? Fault(string reason) => reason.Trim().Length is < ShortestReason or > LongestReason
        ? $"The reason has {reason.Trim().Length} characters; give it {ShortestReason} to {LongestReason:N0}." : null;

    /// hashSeen: the hash of the report as it stood on the page of the person who signs.
    [Needs(Permission.SignReport)]
    public async Task Handle(string projectId, int reportNumber, bool approve, string reason, string hashSeen, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.SignReport, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var report = await db.Reports.SingleOrDefaultAsync(r => r.ProjectId == pass.Project.Id && r.Number == reportNumber, cancel)
            ?? throw new ReportRefused($"There is no report {reportNumber} in this project.");
        var run = await db.Runs.AsNoTracking().SingleAsync(r => r.Id == report.RunId, cancel);
        if (WhyNot(pass, report, run) is { } refusal) throw new ReportRefused(refusal);
        if (Fault(reason) is { } fault) throw new ReportRefused(fault);
        if (report.Hash != hashSeen) throw new ReportRefused($"The report changed while you read it: you saw the hash {Start(hashSeen)}, it is now {Start(report.Hash!)}. Load the page again and read it before you sign.");
        if ((await FindReportChanges.Find(db, folder, pass.Project, report, cancel)).Where(c => c.Breaks).Select(c => c.Sentence).FirstOrDefault() is { } broken)
            throw new ReportRefused($"{broken} It cannot be signed; build a new report.");
        var now = clock.GetUtcNow().UtcDateTime;
        report.State = approve ? ReportState.Approved : ReportState.Rejected;
        db.SignOffs.Add(new SignOff { ReportId = report.Id, Approved = approve, Reason = reason.Trim(), ReportHash = hashSeen, UserId = pass.UserId, At = now });
        db.Events.Add(new ProjectEvent { ProjectId = pass.Project.Id, UserId = pass.UserId, At = now, Text = $"{(approve ? "approved" : "rejected")} report {report.Number} of run {run.Number}", Href = $"/p/{pass.Project.Id}/reports/{report.Number}" });
        try { await db.SaveChangesAsync(cancel); }
        catch (DbUpdateException) when (db.SignOffs.AsNoTracking().Any(s => s.ReportId == report.Id)) { throw new ReportRefused($"Report {report.Number} was signed by someone else a moment ago."); }
    }

    /// Why this person may not sign this report and what to do about it, or null.
    internal static string? WhyNot(ProjectPass pass, Report report, Run run)
    {
        var invite = pass.May(Permission.ManageTeam) ? " Hand out a one-time approver invitation on the Team page." : " An owner of the project can hand out a one-time approver invitation.";
        return report.State switch
        {
            ReportState.Building => $"Report {report.Number} is still being built.",
            ReportState.Failed => $"Report {report.Number} could not be built; there is nothing to sign.",
            ReportState.Approved or ReportState.Rejected => $"Report {report.Number} is signed already and frozen.",
            _ when run.LaunchedById == pass.UserId => $"You launched run {run.Number}, so someone else has to sign.{invite}",
            _ when report.BuiltById == pass.UserId => $"You built this report, so someone else has to sign.{invite}",
            _ when !pass.May(Permission.SignReport) => $"Signing needs the role Approver.{invite}",
            _ => null,
        };
    }

    private static string Start(string hash) => hash[..Math.Min(12, hash.Length)] + "…";
}
