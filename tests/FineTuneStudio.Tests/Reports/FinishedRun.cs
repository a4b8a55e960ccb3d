using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.FewShot;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Reports;

/// A project with a finished run on disk and in the tables, as the slices before would have left it: 180 rows in three labels,
/// split 120/30/30, and the untrained practice model as its "best" checkpoint.
public sealed record FinishedRun(StudioFixture App, Project Project, Person Engineer, int RunId, int VersionId, int SplitId)
{
    public static readonly string[] Labels = ["negative", "neutral", "positive"];

    public string Weights => Path.Combine(App.Folder, "runs", RunId.ToString(), "best", "model.safetensors");

    public static async Task<FinishedRun> Make(StudioFixture app, string name = "Report project", RunRecipe? recipe = null, RunState state = RunState.Finished)
    {
        var engineer = await app.NewPerson("Ada Engineer");
        var project = await app.NewProject(engineer, name);
        recipe ??= new RunRecipe { LearningRate = 1e-3, Epochs = 4 };
        await using var db = app.Db;
        var now = DateTime.UtcNow;
        var version = new DatasetVersion
        {
            ProjectId = project.Id, Number = 1, Kind = VersionKind.Import, Note = "", RowCount = 180, LabeledCount = 180, ContentHash = new string('a', 64), CreatedById = engineer.Id, CreatedAt = now,
            LabelsJson = JsonSerializer.Serialize(Labels.Select(l => new { Name = l, Count = 60 })),
        };
        db.Versions.Add(version);
        await db.SaveChangesAsync();
        var split = new Split
        {
            ProjectId = project.Id, Number = 1, VersionId = version.Id, Seed = 1, TrainShare = 2 / 3.0, ValidationShare = 1 / 6.0, TestShare = 1 / 6.0, Hash = new string('b', 64), CreatedById = engineer.Id, CreatedAt = now,
            CountsJson = JsonSerializer.Serialize(Labels.Select(l => new { Name = l, Train = 40, Validation = 10, Test = 10 })),
        };
        var model = new BaseModel
        {
            ProjectId = project.Id, Number = 1, Name = "Practice model", StoredAs = "practice", Source = "shipped with the sample", Origin = ModelOrigin.Random, Architecture = "BertForSequenceClassification",
            Parameters = 200_000, VocabularySize = 2000, HiddenSize = 64, Blocks = 2, MaxPositions = 128, WeightsHash = new string('c', 64), CanTrain = true, CreatedById = engineer.Id, CreatedAt = now,
        };
        var files = app.Services.GetRequiredService<StudioFolder>().BaseModel(model.StoredAs);
        Directory.CreateDirectory(files);
        foreach (var file in Directory.GetFiles(PracticeModel.Folder)) File.Copy(file, Path.Combine(files, Path.GetFileName(file)), overwrite: true);
        db.AddRange(split, model);
        var rows = Enumerable.Range(0, 180).Select(i => new DataRow { ProjectId = project.Id, Text = $"the parcel number {i} was {Labels[i % 3]} for me", TextKey = $"{project.Id}-{i}" }).ToList();
        db.Rows.AddRange(rows);
        await db.SaveChangesAsync();
        db.VersionRows.AddRange(rows.Select((r, i) => new VersionRow { VersionId = version.Id, RowId = r.Id, Position = i, Label = Labels[i % 3] }));
        db.SplitRows.AddRange(rows.Select((r, i) => new SplitRow { SplitId = split.Id, RowId = r.Id, Part = i < 120 ? SplitPart.Train : i < 150 ? SplitPart.Validation : SplitPart.Test }));
        var run = new Run { ProjectId = project.Id, Number = 1, SplitId = split.Id, BaseModelId = model.Id, RecipeJson = recipe.ToJson(), RecipeHash = recipe.Sha256(), LaunchedById = engineer.Id, QueuedAt = now, BestStep = 30, BestMetric = 0.6, StepsDone = 32, TotalSteps = 32, BackboneShare = 1 };
        if (state != RunState.Queued) run.Start(now);
        if (state is not (RunState.Queued or RunState.Running)) run.End(state, now);
        db.Runs.Add(run);
        await db.SaveChangesAsync();
        for (var e = 1; e <= 8; e++)
            db.RunEvaluations.Add(new RunEvaluation { RunId = run.Id, Step = e * 4, Epoch = e / 2.0, ValidationLoss = 1.1 - e * 0.05, ScoresJson = JsonSerializer.Serialize(new { MacroF1 = 0.28 + e * 0.04, Accuracy = 0.3 + e * 0.04 }), TrainSampleLoss = 1.1 - e * 0.055, TrainSampleMetric = 0.29 + e * 0.04, IsBest = true });
        await db.SaveChangesAsync();
        var finished = new FinishedRun(app, project, engineer, run.Id, version.Id, split.Id);
        Directory.CreateDirectory(Path.GetDirectoryName(finished.Weights)!);
        foreach (var file in Directory.GetFiles(PracticeModel.Folder).Where(f => !f.EndsWith("README.md")))
            File.Copy(file, Path.Combine(Path.GetDirectoryName(finished.Weights)!, Path.GetFileName(file)));
        return finished;
    }

    /// A ready report; its number.
    public async Task<int> Report(Person? by = null)
    {
        var number = await (by ?? Engineer).Do<BuildReport, int>(b => b.Handle(Project.Id, 1));
        for (var i = 0; i < 300; i++)
        {
            await using var db = App.Db;
            var report = db.Reports.Single(r => r.ProjectId == Project.Id && r.Number == number);
            if (report.State == ReportState.Failed) Assert.Fail(report.Failure);
            if (report.State != ReportState.Building) return number;
            await Task.Delay(100);
        }
        throw new TimeoutException("The report was not built in 30 seconds.");
    }

    /// A learning curve of two methods as a measured one leaves it: its row, and its points on disk.
    public async Task<int> Curve(int? split = null, int? model = null, CurveState state = CurveState.Finished, int draws = 2)
    {
        await using var db = App.Db;
        var number = 1 + await db.LearningCurves.CountAsync(c => c.ProjectId == Project.Id);
        FewShotMethod[] methods = [FewShotMethod.Full, FewShotMethod.Centroid];
        int[] ks = [1, 2, 4, 8];
        var curve = new LearningCurveRun
        {
            ProjectId = Project.Id, Number = number, SplitId = split ?? SplitId, BaseModelId = model ?? await db.BaseModels.Where(m => m.ProjectId == Project.Id).Select(m => m.Id).FirstAsync(), StartedById = Engineer.Id, QueuedAt = DateTime.UtcNow,
            PointsTotal = 16, PoolRows = 120, MeasuredRows = 30, MajorityLabel = "negative", MajorityAccuracy = 1 / 3.0, MajorityMacroF1 = 1 / 6.0, NotesJson = """["Every label has rows."]""",
            SettingsJson = JsonSerializer.Serialize(new CurveSettings(methods, ks, 2, 200, 2e-5, 64)),
        };
        curve.Start(DateTime.UtcNow);
        curve.End(state, new DateTime(2026, 5, 4, 13, 30, 0, DateTimeKind.Utc));
        db.LearningCurves.Add(curve);
        await db.SaveChangesAsync();
        var folder = App.Services.GetRequiredService<StudioFolder>().Curve(curve.Id);
        Directory.CreateDirectory(folder);
        var points = from method in methods from k in ks from draw in Enumerable.Range(0, draws)
                     select new { point = new { method, k, draw, rows = 3 * k, accuracy = 1 - 0.7 / Math.Sqrt(k) + 0.01 * draw, macroF1 = 0.95 - 0.7 / Math.Sqrt(k) + 0.01 * draw, seconds = 1.0 }, of = "x" };
        await File.WriteAllLinesAsync(Path.Combine(folder, KeptPoints.FileName), points.Select(p => JsonSerializer.Serialize(p)));
        return number;
    }

    public async Task<Person> Approver(string name = "Grace Approver")
    {
        var person = await App.NewPerson(name);
        await App.Grant(Project, person, Role.Approver);
        return person;
    }
}
