using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Review;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Shell;

public enum StopState { Done, Next, Open, Blocked, Stale }

/// One stop of a project's road: what is true there, and what is missing. Again is where to make anew what is stale.
public sealed record Stop(string Name, string Href, StopState State, string Says, string? ApprovedModel = null, string? Again = null)
{
    /// What is to be done at it: the words and the right go with where it leads.
    public NextStep Step => (Again ?? Href) switch
    {
        var to when to.EndsWith("/data") => new("Bring data", to, Permission.UploadData),
        var to when to.Contains("/review/") => new("Review labels", to, Permission.ReviewLabels),
        var to when to.EndsWith("/split") => new("Make a split", to, Permission.MakeSplit),
        var to when to.EndsWith("/base-models") => new("Choose a base model", to, Permission.ImportBaseModel),
        var to when to.EndsWith("/runs/new") => new("Configure a run", to, Permission.LaunchRun),
        var to when to.Contains("/runs/") => new("Open the run", to, Permission.LaunchRun),
        var to when to.Contains("/reports?run=") => new("Build the report", to, Permission.BuildReport),
        var to => new("Open the report", to, Permission.ViewProject),
    };
}

/// Data → Review → Split → Run → Report → Sign-off, as the tables have it now.
public sealed class Road(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder)
{
    [Needs(Permission.ViewProject)]
    public async Task<IReadOnlyList<Stop>> Of(string projectId, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var at = $"/p/{projectId}";
        var answers = Answers.Of(pass.Project.Task);
        var version = await db.Versions.AsNoTracking().Where(v => v.ProjectId == projectId).OrderByDescending(v => v.Number).FirstOrDefaultAsync(cancel);
        var split = await db.Splits.AsNoTracking().Where(s => s.ProjectId == projectId).OrderByDescending(s => s.Number).FirstOrDefaultAsync(cancel);
        var splitVersion = split is null ? null : await db.Versions.AsNoTracking().SingleAsync(v => v.Id == split.VersionId, cancel);
        var runs = await db.Runs.AsNoTracking().Where(r => r.ProjectId == projectId).OrderByDescending(r => r.Number).ToListAsync(cancel);
        var canTrain = (await db.BaseModels.AsNoTracking().Where(b => b.ProjectId == projectId && b.CanTrain).ToListAsync(cancel)).Any(b => b.Fits(pass.Project.Task));
        var report = await db.Reports.AsNoTracking().Where(r => r.ProjectId == projectId && r.State != ReportState.Failed).OrderByDescending(r => r.Number).FirstOrDefaultAsync(cancel);
        var signed = report is null ? null : await db.SignOffs.AsNoTracking().SingleOrDefaultAsync(s => s.ReportId == report.Id, cancel);
        var changed = signed is { Approved: true } && report!.BodyJson is not null ? (await FindReportChanges.Find(db, folder, pass.Project, report, cancel, readWeights: false)).FirstOrDefault() : null;
        var decided = version is null ? 0 : await db.Decisions.Where(d => d.VersionId == version.Id && d.Kind == DecisionKind.Label).Select(d => d.RowId).Distinct().CountAsync(cancel);

        var done = runs.FirstOrDefault(r => r.HasModel);
        var active = runs.FirstOrDefault(r => r.State is RunState.Running or RunState.Queued or RunState.Interrupted);
        var looks = split is null ? 0 : await db.Reports.CountAsync(r => r.State != ReportState.Building && r.State != ReportState.Failed && db.Runs.Any(x => x.Id == r.RunId && x.SplitId == split.Id), cancel);
        var reportRun = report is null ? null : runs.SingleOrDefault(r => r.Id == report.RunId);
        var stops = new List<Stop>
        {
            version is null
                ? new("Data", $"{at}/data", StopState.Next, $"Nothing uploaded yet: bring a CSV, TSV or JSONL file with {answers.TextRole.ToLowerInvariant()}s and {answers.Many}.")
                : new("Data", $"{at}/data", StopState.Done, $"Version {version.Number}: {Say.Count(version.RowCount, "row")}, {Say.Count(version.LabeledCount)} {(answers.IsLabel ? "labelled" : $"with {answers.One}")}."),
            ReviewStop(at, version, decided),
            version is null ? new("Split", $"{at}/split", StopState.Blocked, "Needs data first.")
                : split is null ? new("Split", $"{at}/split", StopState.Next, "Divide the rows into train, validation and a locked test part.")
                : split.VersionId != version.Id ? new("Split", $"{at}/split", StopState.Stale, $"Split {split.Number} rests on version {splitVersion!.Number}; the newest is version {version.Number}.")
                : new("Split", $"{at}/split", StopState.Done, $"Split {split.Number}, seed {split.Seed}: test part {(looks == 0 ? "locked" : looks == 1 ? "read by one report" : $"read by {looks} reports")}."),
            split is null ? new("Run", $"{at}/runs", StopState.Blocked, "Needs a split first.")
                : active is not null ? new("Run", $"{at}/runs/{active.Number}", StopState.Next, active.State switch { RunState.Running => $"Run {active.Number} is training.", RunState.Queued => $"Run {active.Number} waits in the queue.", _ => $"Run {active.Number} was interrupted; it can go on from its last checkpoint." })
                : done is not null ? new("Run", $"{at}/runs/{done.Number}", done.SplitId == split.Id ? StopState.Done : StopState.Stale, done.SplitId == split.Id ? $"Run {done.Number} has a model." : $"Run {done.Number} used an older split; the newest is split {split.Number}.", Again: canTrain ? $"{at}/runs/new" : null)
                : !canTrain ? new("Run", $"{at}/base-models", StopState.Next, "Choose a base model to start from, then launch a run.")
                : new("Run", $"{at}/runs/new", StopState.Next, runs.Count == 0 ? "Configure and launch the first run." : "No run has a model yet; launch another."),
            done is null ? new("Report", $"{at}/reports", StopState.Blocked, "Needs a finished run first.")
                : report is null ? new("Report", $"{at}/reports?run={done.Number}", StopState.Next, $"Measure run {done.Number} on the locked test part.")
                : reportRun?.Number < done.Number ? new("Report", $"{at}/reports/{report.Number}", StopState.Stale, $"Report {report.Number} is about run {reportRun!.Number}; run {done.Number} is newer.", Again: $"{at}/reports?run={done.Number}")
                : new("Report", $"{at}/reports/{report.Number}", report.State == ReportState.Building ? StopState.Next : StopState.Done, report.State == ReportState.Building ? $"Report {report.Number} is being built." : $"Report {report.Number} is built."),
            report is null or { State: ReportState.Building } ? new("Sign-off", $"{at}/reports", StopState.Blocked, "Needs a report first.")
                : await SignOff(),
        };
        if (!Answers.Of(pass.Project.Task).HasReview) stops.RemoveAll(s => s.Name == "Review");
        // One thing to do next: later stops that could also be done now stay open.
        var first = stops.FindIndex(s => s.State == StopState.Next);
        return [.. stops.Select((s, i) => s.State == StopState.Next && i > first ? s with { State = StopState.Open } : s)];

        async Task<Stop> SignOff()
        {
            var (href, isOlder) = ($"{at}/reports/{report.Number}", reportRun?.Number < done?.Number);
            var (anew, model) = (isOlder ? $"{at}/reports?run={done!.Number}" : canTrain ? $"{at}/runs/new" : null, $"{at}/model/{reportRun?.Number}");
            if (signed is null) return new("Sign-off", href, isOlder ? StopState.Open : StopState.Next, await WhoSigns(db, projectId, report.BuiltById, reportRun?.LaunchedById, cancel) + (isOlder ? $" Report {report.Number} is about run {reportRun!.Number}, which is no longer the newest." : ""));
            if (!signed.Approved) return new("Sign-off", href, StopState.Stale, $"Report {report.Number} was rejected: {signed.Reason}", Again: anew);
            if (changed is not null) return new("Sign-off", href, StopState.Stale, $"Report {report.Number} is approved and out of date: {changed.Sentence}", model, $"{at}/reports?run={reportRun!.Number}");
            return new("Sign-off", href, StopState.Done, $"Report {report.Number} is approved.", model);
        }
    }

    /// The first that waits to be done, or to be done anew; null where all is done.
    public static Stop? Waiting(IReadOnlyList<Stop> stops) => stops.FirstOrDefault(s => s.State is StopState.Next or StopState.Stale);

    private static Stop ReviewStop(string at, DatasetVersion? version, int decided)
    {
        if (version is null) return new("Review", $"{at}/review", StopState.Blocked, "Needs data first.");
        var href = $"{at}/review/{version.Number}";
        var unlabelled = version.RowCount - version.LabeledCount;
        if (version.LabeledCount == 0) return new("Review", href, StopState.Next, $"No row has a label yet: {version.RowCount:N0} wait for one.");
        if (version.Kind == VersionKind.Review && decided == 0) return new("Review", href, StopState.Done, unlabelled == 0 ? "Reviewed and frozen." : $"Reviewed and frozen; {Say.Count(unlabelled, "row stays", "rows stay")} without a label.");
        if (decided > 0) return new("Review", href, StopState.Open, $"{Say.Count(decided)} of {Say.Count(version.RowCount, "row")} looked at; freeze them into a version when you are done.");
        return new("Review", href, StopState.Open, unlabelled == 0 ? "Recommended: look through the labels before they are trusted." : $"Recommended: {Say.Count(unlabelled, "row has", "rows have")} no label, and nobody has looked through the others.");
    }

    private static async Task<string> WhoSigns(StudioDb db, string projectId, string builtBy, string? launchedBy, CancellationToken cancel)
    {
        var approvers = await db.Memberships.Where(m => m.ProjectId == projectId && m.Role == Role.Approver && m.UserId != builtBy && m.UserId != launchedBy)
            .Join(db.Users, m => m.UserId, u => u.Id, (m, u) => u.DisplayName).OrderBy(n => n).ToListAsync(cancel);
        return approvers.Count > 0 ? $"Waits for {string.Join(" or ", approvers)}." : "Nobody here may sign yet: invite an approver who did not do the work.";
    }
}
