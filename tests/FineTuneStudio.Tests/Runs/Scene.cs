using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Runs;

/// A project with short messages in three labels, frozen in a split, and the practice model: all that a run needs.
public sealed record Scene(StudioFixture App, Project Project, Person Engineer, Split Split, BaseModel Model)
{
    private static readonly string[] Labels = ["billing", "delivery", "returns"];
    private static readonly string[][] Words =
    [
        ["invoice", "charged", "payment", "card", "refund of the bill", "price"],
        ["parcel", "courier", "late", "tracking", "address", "arrive"],
        ["send it back", "exchange", "size", "broken", "return label", "swap"],
    ];

    public static async Task<Scene> Make(StudioFixture app, string name = "Messages", int rows = 120)
    {
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer, name);
        Split split;
        await using (var db = app.Db) split = await FreezeRows(db, project.Id, engineer.Id, rows);
        var model = await engineer.AddPracticeModel(project.Id);
        await using (var db = app.Db) await db.BaseModels.Where(m => m.Id == model.Id).ExecuteUpdateAsync(s => s.SetProperty(m => m.SuggestedLearningRate, 1e-3));
        return new(app, project, engineer, split, model);
    }

    public static async Task<Split> FreezeRows(StudioDb db, string projectId, string whoId, int count)
    {
        var random = new Random(7);
        var now = DateTime.UtcNow;
        var rows = Enumerable.Range(0, count).Select(i =>
        {
            var words = Words[i % 3];
            var text = $"{words[random.Next(6)]} and {words[random.Next(6)]}, message {i}";
            return new DataRow { ProjectId = projectId, Text = text, TextKey = text };
        }).ToList();
        db.Rows.AddRange(rows);
        var version = new DatasetVersion
        {
            ProjectId = projectId, Number = 1, Kind = VersionKind.Import, Note = "test rows", RowCount = count, LabeledCount = count, ContentHash = new string('0', 64), CreatedById = whoId, CreatedAt = now,
            LabelsJson = JsonSerializer.Serialize(Labels.Select((l, k) => new { Name = l, Count = Enumerable.Range(0, count).Count(i => i % 3 == k) })),
        };
        db.Versions.Add(version);
        await db.SaveChangesAsync();
        SplitPart Part(int i) => (i / 3 % 10) switch { 8 => SplitPart.Validation, 9 => SplitPart.Test, _ => SplitPart.Train };
        int Of(int label, SplitPart part) => Enumerable.Range(0, count).Count(i => i % 3 == label && Part(i) == part);
        db.VersionRows.AddRange(rows.Select((r, i) => new VersionRow { VersionId = version.Id, RowId = r.Id, Position = i, Label = Labels[i % 3] }));
        var split = new Split
        {
            ProjectId = projectId, Number = 1, VersionId = version.Id, Seed = 1, TrainShare = .8, ValidationShare = .1, TestShare = .1, Hash = new string('1', 64), CreatedById = whoId, CreatedAt = now,
            CountsJson = JsonSerializer.Serialize(Labels.Select((l, k) => new { Name = l, Train = Of(k, SplitPart.Train), Validation = Of(k, SplitPart.Validation), Test = Of(k, SplitPart.Test) })),
        };
        db.Splits.Add(split);
        await db.SaveChangesAsync();
        db.SplitRows.AddRange(rows.Select((r, i) => new SplitRow { SplitId = split.Id, RowId = r.Id, Part = Part(i) }));
        await db.SaveChangesAsync();
        return split;
    }
}

public static class RunWaiting
{
    public static Task<Run> Ended(this StudioFixture app, Project project, int number) => app.Until(project, number, r => r.IsOver);

    public static async Task<Run> Until(this StudioFixture app, Project project, int number, Func<Run, bool> so)
    {
        for (var i = 0; i < 900; i++)
        {
            await using var db = app.Db;
            var run = await db.Runs.AsNoTracking().SingleAsync(r => r.ProjectId == project.Id && r.Number == number);
            if (so(run)) return run;
            if (run.IsOver) throw new InvalidOperationException($"The run is over: {run.State} {run.Failure}");
            await Task.Delay(100);
        }
        throw new TimeoutException($"Run {number} did not get there in 90 s.");
    }
}
