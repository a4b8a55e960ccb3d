using FineTuneStudio.Projects;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

/// What changed beneath a report since it was built, one sentence each: computed on every look, never stored.
public sealed class FindReportChanges(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder)
{
    /// Breaks the signature: what would be signed is not what was measured.
    public sealed record Change(string Sentence, bool Breaks);

    [Needs(Permission.ViewProject)]
    public async Task<IReadOnlyList<Change>> Handle(string projectId, int reportNumber, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var report = await db.Reports.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == pass.Project.Id && r.Number == reportNumber, cancel);
        return report?.BodyJson is null ? [] : await Find(db, folder, pass.Project, report, cancel);
    }

    /// Reading the weights takes as long as they are large; a list of projects goes without.
    internal static async Task<IReadOnlyList<Change>> Find(StudioDb db, StudioFolder folder, Project project, Report report, CancellationToken cancel, bool readWeights = true)
    {
        var changes = new List<Change>();
        var body = ReportBody.FromJson(report.BodyJson!);
        if (ReportBody.Sha256(report.BodyJson!) != report.Hash) changes.Add(new("The stored report no longer has the hash it was built with: it was altered in the database.", true));

        var weights = ReportBuilder.Weights(folder, report.RunId);
        if (!File.Exists(weights)) changes.Add(new($"The weights of run {body.Run} are no longer on the server's disk.", true));
        else if (readWeights && await ReportBuilder.HashOf(weights, cancel) is var hash && hash != body.Fingerprints.Weights)
            changes.Add(new($"The weights of run {body.Run} on disk were changed: SHA-256 {hash[..12]}… instead of {body.Fingerprints.Weights[..12]}….", true));

        var versions = await db.Versions.AsNoTracking().Where(v => v.ProjectId == project.Id).OrderBy(v => v.Id).Select(v => new { v.Id, v.Number, v.ParentId }).ToListAsync(cancel);
        var line = new HashSet<int> { body.Data.VersionId };
        foreach (var version in versions.Where(v => v.ParentId is { } parent && line.Contains(parent)))
        {
            line.Add(version.Id);
            changes.Add(new($"Data version {version.Number} was made from version {body.Data.Version} after it.", false));
        }
        foreach (var split in await db.Splits.AsNoTracking().Where(s => s.ProjectId == project.Id && s.Id > body.Data.SplitId && line.Contains(s.VersionId)).OrderBy(s => s.Number).Select(s => s.Number).ToListAsync(cancel))
            changes.Add(new($"Split {split} is newer than split {body.Data.Split}, which this report measured on.", false));

        var last = body.Checklist.LastAnswerId;
        if (await db.ChecklistAnswers.CountAsync(a => a.ProjectId == project.Id && a.Id > last, cancel) is > 0 and var answers)
            changes.Add(new($"{Say.Count(answers, "checklist answer")} {(answers == 1 ? "was" : "were")} given after it was built.", false));
        if (project.Metric != body.Metric || project.Goal != body.Goal)
            changes.Add(new($"The project's goal is now {project.Metric.Name()} {Say.Score(project.Goal)}; it was {body.Metric.Name()} {Say.Score(body.Goal)}.", false));
        return changes;
    }
}
