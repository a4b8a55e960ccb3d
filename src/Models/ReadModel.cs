using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Models;

/// The model of a run: what it knows, what its report says, who signed it.
public sealed class ReadModel(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder)
{
    public sealed record Signed(bool Approved, string By, DateTime At, string Reason);

    /// Report is the newest signed one, else the newest that is ready. WhyNot says why there is no model to use.
    /// Changed: the weights on disk are no longer the ones the report measured.
    public sealed record View(Project Project, Run Run, BaseModel Base, IReadOnlyList<LabelCount> Labels, int Version, int LabelledRows, string Folder, string? WhyNot, int? ReportNumber, string? ReportHash, ReportBody? Report, Signed? Signature, bool Changed)
    {
        /// Whether the run trained adapters, which stand beside the whole model.
        public bool HasAdapter => Directory.Exists(AdapterFolder);

        public string AdapterFolder => Path.Combine(Folder, "adapter");

        /// Where the model stands, in one sentence.
        public string Standing => Report is null ? "No report was built of this model yet: nobody knows how good it is on the test part."
            : Changed ? $"The weights on disk are not the ones that report {ReportNumber} measured; do not rely on it."
            : Signature is not { } s ? $"Report {ReportNumber} is ready and not signed yet."
            : s.Approved ? $"Approved by {s.By} in report {ReportNumber}: {s.Reason}" : $"Rejected by {s.By} in report {ReportNumber}: {s.Reason}";
    }

    /// Null where there is no such run in the project.
    [Needs(Permission.UseModel)]
    public async Task<View?> Handle(string projectId, int runNumber, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await Find(db, folder, pass.Project, runNumber, cancel);
    }

    internal static async Task<View?> Find(StudioDb db, StudioFolder folder, Project project, int runNumber, CancellationToken cancel)
    {
        if (await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == project.Id && r.Number == runNumber, cancel) is not { } run) return null;
        var version = await db.Versions.AsNoTracking().SingleAsync(v => db.Splits.Any(s => s.Id == run.SplitId && s.VersionId == v.Id), cancel);
        var origin = await db.BaseModels.AsNoTracking().SingleAsync(b => b.Id == run.BaseModelId, cancel);
        var reports = await db.Reports.AsNoTracking().Where(r => r.RunId == run.Id && r.BodyJson != null).OrderByDescending(r => r.Number).ToListAsync(cancel);
        var report = reports.FirstOrDefault(r => r.State is ReportState.Approved or ReportState.Rejected) ?? reports.FirstOrDefault();
        var signature = report is null ? null : await (from s in db.SignOffs.AsNoTracking() where s.ReportId == report.Id join u in db.Users on s.UserId equals u.Id select new Signed(s.Approved, u.DisplayName, s.At, s.Reason)).SingleOrDefaultAsync(cancel);
        var weights = ReportBuilder.Weights(folder, run.Id);
        var whyNot = !run.HasModel ? $"Run {runNumber} has no model ({run.State.ToString().ToLowerInvariant()}). It can be used when the run has finished."
            : !File.Exists(weights) ? $"The model of run {runNumber} is no longer on the server's disk. Launch the run again." : null;
        var body = report is null ? null : ReportBody.FromJson(report.BodyJson!);
        var changed = whyNot is null && body is not null && await ReportBuilder.HashOf(weights, cancel) != body.Fingerprints.Weights;
        return new(project, run, origin, LabelCount.FromJson(version.LabelsJson), version.Number, version.LabeledCount, ReportBuilder.Best(folder, run.Id), whyNot, report?.Number, report?.Hash, body, signature, changed);
    }
}

/// A model or a file that cannot be used as asked; the message is for the person.
public sealed class ModelRefused(string message) : Exception(message);
