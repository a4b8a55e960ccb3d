using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

/// Asks for the validation report of a run; the server builds it in the background, also across a restart.
public sealed class BuildReport(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, ReportBuilder builder, TimeProvider clock)
{
    /// Returns the number of the new report.
    [Needs(Permission.BuildReport)]
    public async Task<int> Handle(string projectId, int runNumber, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.BuildReport, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var run = await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == pass.Project.Id && r.Number == runNumber, cancel)
            ?? throw new ReportRefused($"There is no run {runNumber} in this project.");
        if (WhyNot(run) is { } reason) throw new ReportRefused(reason);
        if (!File.Exists(ReportBuilder.Weights(folder, run.Id)))
            throw new ReportRefused($"The best checkpoint of run {runNumber} is no longer on the server's disk. Launch the run again.");
        if (await db.Reports.Where(r => r.RunId == run.Id && r.State == ReportState.Building).Select(r => (int?)r.Number).FirstOrDefaultAsync(cancel) is { } building)
            throw new ReportRefused($"Report {building} of run {runNumber} is being built already.");
        var now = clock.GetUtcNow().UtcDateTime;
        var report = new Report { ProjectId = pass.Project.Id, Number = 1 + (await db.Reports.Where(r => r.ProjectId == pass.Project.Id).MaxAsync(r => (int?)r.Number, cancel) ?? 0), RunId = run.Id, BuiltById = pass.UserId, BuiltAt = now };
        db.Reports.Add(report);
        db.Events.Add(new ProjectEvent { ProjectId = pass.Project.Id, UserId = pass.UserId, At = now, Text = $"asked for report {report.Number} of run {runNumber}", Href = $"/p/{pass.Project.Id}/reports/{report.Number}" });
        await db.SaveChangesAsync(cancel);
        builder.Enqueue(report.Id);
        return report.Number;
    }

    /// Why no report can be built of this run, in a sentence, or null.
    internal static string? WhyNot(Run run) => run.HasModel && run.BestStep is not null ? null
        : run.State switch
        {
            RunState.Failed => $"Run {run.Number} failed; it has no model to report on.",
            RunState.Cancelled => $"Run {run.Number} was cancelled; it kept no model.",
            RunState.Finished or RunState.StoppedByPerson => $"Run {run.Number} ended without an evaluation, so it has no best checkpoint.",
            _ => $"Run {run.Number} is not over yet ({run.State.ToString().ToLowerInvariant()}); its report can be built when it has finished.",
        };
}

/// A report that cannot be built, read or signed as asked; the message is for the person.
public sealed class ReportRefused(string message) : Exception(message);
