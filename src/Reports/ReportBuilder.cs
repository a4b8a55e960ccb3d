using System.Security.Cryptography;
using System.Threading.Channels;
using FineTuneStudio.Checklists;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Splits;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

/// Builds reports one at a time, off the request threads. A report found unfinished at start is built again from the beginning.
public sealed class ReportBuilder(IDbContextFactory<StudioDb> databases, StudioFolder folder, TimeProvider clock, ILogger<ReportBuilder> log) : BackgroundService
{
    private readonly Channel<int> queue = Channel.CreateUnbounded<int>();
    private volatile Step? now;

    private sealed record Step(int ReportId, string Says);

    internal void Enqueue(int reportId) => queue.Writer.TryWrite(reportId);

    /// What is being done for a report at this moment.
    internal string Progress(int reportId) => now is { } step && step.ReportId == reportId ? step.Says : "Waiting for its turn.";

    internal static string Best(StudioFolder folder, int runId) => Path.Combine(folder.Run(runId), "best");

    internal static string Weights(StudioFolder folder, int runId) => Path.Combine(Best(folder, runId), "model.safetensors");

    internal static async Task<string> HashOf(string path, CancellationToken cancel)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 1 << 20, useAsync: true);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await DatabaseWaits.Insist(Recover, log, "finding the reports that were cut off", stoppingToken);
        await foreach (var id in queue.Reader.ReadAllAsync(stoppingToken))
            // Whatever happens to one report, the server and the next one go on.
            try { await Build(id, stoppingToken); }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested) { log.LogError(e, "Report {Report} could not be saved; the next start of the server builds it again", id); }

        async Task Recover()
        {
            await using var db = await databases.CreateDbContextAsync(stoppingToken);
            foreach (var id in await db.Reports.Where(r => r.State == ReportState.Building).OrderBy(r => r.Id).Select(r => r.Id).ToListAsync(stoppingToken)) Enqueue(id);
        }
    }

    internal async Task Build(int reportId, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var report = await db.Reports.SingleAsync(r => r.Id == reportId, cancel);
        if (report.State != ReportState.Building) return;
        try
        {
            var body = await Task.Factory.StartNew(() => Measure(db, report, cancel), cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();
            report.BodyJson = body.ToJson();
            report.Hash = ReportBody.Sha256(report.BodyJson);
            report.State = ReportState.Ready;
            db.Events.Add(new Projects.ProjectEvent { ProjectId = report.ProjectId, UserId = report.BuiltById, At = clock.GetUtcNow().UtcDateTime, Text = $"got report {report.Number} of run {body.Run}: {body.Metric.Name()} {Say.Score(body.Measured)}", Href = $"/p/{report.ProjectId}/reports/{report.Number}" });
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested) { return; }
        catch (Exception fault)
        {
            log.LogError(fault, "Report {Number} of {Project} could not be built", report.Number, report.ProjectId);
            (report.State, report.Failure) = (ReportState.Failed, fault is ReportRefused or WeightFileException or TokenizerFileException
                ? fault.Message : "Something went wrong on the server while this report was built; it is in the server's log. Build it again.");
            db.Events.Add(new Projects.ProjectEvent { ProjectId = report.ProjectId, UserId = report.BuiltById, At = clock.GetUtcNow().UtcDateTime, Text = $"did not get report {report.Number}: it could not be built", Href = $"/p/{report.ProjectId}/reports/{report.Number}" });
        }
        finally { now = null; }
        await DatabaseWaits.Insist(() => db.SaveChangesAsync(CancellationToken.None), log, $"report {report.Number} of {report.ProjectId}", cancel);
    }

    private async Task<ReportBody> Measure(StudioDb db, Report report, CancellationToken cancel)
    {
        void Says(string sentence) => now = new(report.Id, sentence);
        var project = await db.Projects.AsNoTracking().SingleAsync(p => p.Id == report.ProjectId, cancel);
        var run = await db.Runs.AsNoTracking().SingleAsync(r => r.Id == report.RunId, cancel);
        var split = await db.Splits.AsNoTracking().SingleAsync(s => s.Id == run.SplitId, cancel);
        var version = await db.Versions.AsNoTracking().SingleAsync(v => v.Id == split.VersionId, cancel);
        var recipe = RunRecipe.FromJson(run.RecipeJson);
        if (!File.Exists(Weights(folder, run.Id))) throw new ReportRefused($"The best checkpoint of run {run.Number} is no longer on the server's disk. Launch the run again.");
        Says("Hashing the weights.");
        var weights = await HashOf(Weights(folder, run.Id), cancel);
        if (run.WeightsHash is { } saved && saved != weights)
            throw new ReportRefused($"The weights on disk (SHA-256 {weights[..12]}…) are not the ones that run {run.Number} saved ({saved[..12]}…). They were changed afterwards; launch the run again.");

        var labels = LabelCount.FromJson(version.LabelsJson).Select(l => l.Name).ToList();
        var test = await PartRow.Read(db, split, SplitPart.Test, cancel);
        var train = await PartRow.Read(db, split, SplitPart.Train, cancel);
        if (test.Count == 0) throw new ReportRefused($"Split {split.Number} has no test rows, so there is nothing to report on. Freeze a split with a test part and launch a run on it.");

        var origin = await db.BaseModels.AsNoTracking().SingleAsync(m => m.Id == run.BaseModelId, cancel);
        var numbers = MeasureTestPart.Of(project.Task).Handle(new(project.Task, project.Metric, run.Number, Best(folder, run.Id), folder.BaseModel(origin.StoredAs), recipe, labels, train, test, Says, cancel));
        var looks = 1 + await db.Reports.CountAsync(r => r.BodyJson != null && db.Runs.Any(x => x.Id == r.RunId && x.SplitId == split.Id), cancel);

        Says("Measuring the do's and don'ts.");
        var subject = await ChecklistSubject.Find(db, project, run.Number, cancel);
        double? validation = recipe.Metric == Metric.ValidationLoss ? null : run.BestMetric;
        var checklist = MeasureTestPart.WithTestFacts(await MeasureChecklist.Measure(db, project, run.Number, cancel), numbers.Model, numbers.Baselines, project.Metric,
            validation, numbers.Model.Of(recipe.Metric == Metric.ValidationLoss ? project.Metric : recipe.Metric).Value, looks);
        Says("Reading the learning curves.");
        var curves = await ReportCurve.Of(db, folder, project, run, split, cancel);
        var begun = await db.PretrainRuns.Where(p => p.ProjectId == project.Id && p.Number == origin.PretrainingNumber).Select(p => p.StartedAt).SingleOrDefaultAsync(cancel);
        var names = await db.Users.Where(u => u.Id == run.LaunchedById || u.Id == report.BuiltById).ToDictionaryAsync(u => u.Id, u => u.DisplayName, cancel);
        return new(project.Name, project.Purpose, project.Metric, project.Goal, run.Number, names[run.LaunchedById], names[report.BuiltById],
            new(version.Number, version.Id, version.RowCount, version.LabeledCount, split.Number, split.Id, split.Seed, train.Count, subject.ValidationRows, test.Count),
            new(origin.Number, origin.Name, origin.Source, origin.Origin, origin.Architecture, origin.Parameters, origin.License, run.BackboneShare) { Starter = origin.IsStarter, Pretraining = origin.PretrainingNumber, BeforeSplit = begun < split.CreatedAt },
            run.RecipeJson, run.BestStep ?? 0, labels, numbers.Model, numbers.Confusion, numbers.Baselines, numbers.Mistakes, numbers.MistakeCount, FitVerdict.Of(subject), checklist, looks,
            new(version.ContentHash, split.Hash, run.RecipeHash, origin.WeightsHash, weights), project.Task, numbers.Spans, numbers.LabelSets, numbers.NumberErrors) { Samples = numbers.Samples, WrittenRows = numbers.WrittenRows, WrittenSeed = numbers.WrittenSeed, CutPrompts = numbers.CutPrompts, Lengths = numbers.Lengths, Answers = numbers.Answers, Curves = curves };
    }
}
