using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.FewShot;
using FineTuneStudio.Models;
using FineTuneStudio.Reports;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Reports;

[Collection("training")]
public sealed class ReportCurveTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    [Fact]
    public async Task A_report_holds_the_learning_curve_of_its_split_with_intervals_and_what_more_rows_bring()
    {
        var run = await FinishedRun.Make(app, "With a curve");
        await run.Curve();
        var view = await Read(run);
        var curve = Assert.Single(view.Body!.Curves!.Shown);
        Assert.Equal([FewShotMethod.Full, FewShotMethod.Centroid], curve.Lines.Select(l => l.Method));
        Assert.Equal([1, 2, 4, 8], curve.Lines[0].Means.Select(m => m.K));
        // Two draws, 0.45 and 0.46 with four examples a label: t(0.975, 1) = 12.706 times 0.005.
        Assert.Equal([0.6, 0.61], curve.Lines[0].Means[2].Values, (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal(0.605 - 12.7062 * 0.005, curve.Lines[0].Means[2].Interval!.Low, 1e-6);
        Assert.Equal((1 / 6.0, 0, true, true), (curve.Majority, view.Body.Curves.Others, curve.SameBase, curve.SameSplit));
        Assert.Equal("Learning curve 1, of 4 May 2026 13:30 UTC: 16 points. Its examples were drawn 2 times anew from 120 train rows and measured on 30 validation rows. What trains took 200 steps or more, at a learning rate of 2e-5 for full fine-tuning: a recipe of its own, not that of this run.", curve.How());
        Assert.Equal("It started from this run’s base model, “Practice model”, on this run’s split; no test row was read.", curve.Of(view.Body));
        Assert.All(curve.Advice, a => Assert.Contains(" of macro-F1 over now (", a.Sentence));
        // 120 rows are more than four times the largest number measured, 24.
        Assert.All(curve.Advice, a => Assert.Contains("(24 rows)", a.Sentence));
        Assert.Equal(view.Report.BodyJson, view.Body.ToJson());
        Assert.Equal(ReportBody.Sha256(view.Report.BodyJson!), view.Report.Hash);

        // What is measured afterwards does not change what was signed for.
        await run.Curve();
        Assert.Equal(view.Report.BodyJson, (await run.Engineer.Do<ReadReport, ReadReport.View?>(r => r.Handle(run.Project.Id, view.Report.Number)))!.Report.BodyJson);
    }

    [Fact]
    public async Task The_card_of_the_exported_model_holds_the_curve_too()
    {
        var run = await FinishedRun.Make(app, "Curve in the card");
        await run.Curve();
        await run.Report();
        var card = await Card(run);
        Assert.Contains("\n## What more rows would bring\n\nLearning curve 1, of 4 May 2026 13:30 UTC: 16 points.", card);
        Assert.Contains("\n| examples a label | rows | full fine-tuning | nearest centroid |\n|---|---|---|---|\n| 1 | 3 | 0.255 (0.191 to 0.319) | 0.255 (0.191 to 0.319) |\n", card);
        Assert.Contains("\n- full fine-tuning: ", card);
    }

    [Fact]
    public async Task Without_a_curve_a_report_says_so_and_one_from_before_still_opens()
    {
        var run = await FinishedRun.Make(app, "No curve");
        await run.Curve(draws: 0);
        var view = await Read(run);
        Assert.Equal((0, 0), (view.Body!.Curves!.Shown.Count, view.Body.Curves.Others));
        Assert.DoesNotContain("What more rows would bring", await Card(run));
        var before = (view.Body with { Curves = null }).ToJson();
        Assert.DoesNotContain("Curves", before);
        Assert.Equal((null, before), (ReportBody.FromJson(before).Curves, ReportBody.FromJson(before).ToJson()));
    }

    [Fact]
    public async Task A_curve_of_another_base_model_or_split_says_so_and_counts_the_test_rows_that_it_read()
    {
        var run = await FinishedRun.Make(app, "Other curves");
        int other, split;
        await using (var db = app.Db)
        {
            var model = new BaseModel
            {
                ProjectId = run.Project.Id, Number = 2, Name = "Another", StoredAs = "another", Source = "nowhere", Origin = ModelOrigin.Pretrained, Architecture = "BertModel",
                Parameters = 1, VocabularySize = 2, HiddenSize = 64, Blocks = 2, MaxPositions = 128, WeightsHash = new string('d', 64), CanTrain = true, CreatedById = run.Engineer.Id, CreatedAt = DateTime.UtcNow,
            };
            var second = new Split { ProjectId = run.Project.Id, Number = 2, VersionId = run.VersionId, Seed = 2, TrainShare = .8, ValidationShare = .1, TestShare = .1, CountsJson = "[]", Hash = new string('e', 64), CreatedById = run.Engineer.Id, CreatedAt = DateTime.UtcNow };
            db.AddRange(model, second);
            await db.SaveChangesAsync();
            (other, split) = (model.Id, second.Id);
            // Of the 30 test rows of split 1 this one has 10 in each part.
            var rows = await db.SplitRows.Where(r => r.SplitId == run.SplitId && r.Part == SplitPart.Test).OrderBy(r => r.RowId).Select(r => r.RowId).ToListAsync();
            db.SplitRows.AddRange(rows.Select((row, i) => new SplitRow { SplitId = split, RowId = row, Part = (SplitPart)(i % 3) }));
            await db.SaveChangesAsync();
        }
        await run.Curve(split: split);
        var view = await Read(run);
        var stray = Assert.Single(view.Body!.Curves!.Shown);
        Assert.Equal("It started from this run’s base model, “Practice model”, on other rows: split 2 of the same data version instead of split 1. Of this report’s 30 test rows, 20 are among those that it drew from or measured on.", stray.Of(view.Body));

        // One of the run's own split takes its place, also of another base model and stopped; the run's base model comes first.
        await run.Curve(model: other, state: CurveState.Stopped, draws: 1);
        var foreign = Assert.Single((view = await Read(run)).Body!.Curves!.Shown);
        Assert.Equal("It started from another base model: “Another” instead of “Practice model”, on this run’s split; no test row was read.", foreign.Of(view.Body!));
        Assert.StartsWith("Learning curve 2, of 4 May 2026 13:30 UTC: 8 of 16 points, because it did not come to its end. ", foreign.How());
        Assert.All(foreign.Lines.SelectMany(l => l.Means), m => Assert.Null(m.Interval));
        for (var i = 0; i < 3; i++) await run.Curve();
        view = await Read(run);
        Assert.Equal([5, 4, 3], view.Body!.Curves!.Shown.Select(c => c.Number));
        Assert.Equal(1, view.Body.Curves.Others);
    }

    [Fact]
    public async Task Test_rows_that_a_curve_read_under_the_ids_of_another_import_are_counted_by_their_texts()
    {
        var run = await FinishedRun.Make(app, "Imported again");
        int split;
        await using (var db = app.Db)
        {
            var version = new DatasetVersion { ProjectId = run.Project.Id, Number = 2, Kind = VersionKind.Import, Note = "", RowCount = 30, LabeledCount = 30, ContentHash = new string('f', 64), LabelsJson = "[]", CreatedById = run.Engineer.Id, CreatedAt = DateTime.UtcNow };
            db.Versions.Add(version);
            await db.SaveChangesAsync();
            var second = new Split { ProjectId = run.Project.Id, Number = 2, VersionId = version.Id, Seed = 2, TrainShare = .8, ValidationShare = .1, TestShare = .1, CountsJson = "[]", Hash = new string('e', 64), CreatedById = run.Engineer.Id, CreatedAt = DateTime.UtcNow };
            // The texts of the 30 test rows of split 1, ten in each part.
            var texts = await (from s in db.SplitRows join row in db.Rows on s.RowId equals row.Id where s.SplitId == run.SplitId && s.Part == SplitPart.Test orderby row.Id select row).AsNoTracking().ToListAsync();
            var rows = texts.Select(t => new DataRow { ProjectId = run.Project.Id, Text = t.Text, TextKey = t.TextKey }).ToList();
            db.Add(second);
            db.Rows.AddRange(rows);
            await db.SaveChangesAsync();
            db.SplitRows.AddRange(rows.Select((row, i) => new SplitRow { SplitId = second.Id, RowId = row.Id, Part = (SplitPart)(i % 3) }));
            await db.SaveChangesAsync();
            split = second.Id;
        }
        await run.Curve(split: split);
        var view = await Read(run);
        Assert.Equal("It started from this run’s base model, “Practice model”, on other rows: split 2 of data version 2 instead of split 1 of version 1. Of this report’s 30 test rows, 20 are among those that it drew from or measured on.", Assert.Single(view.Body!.Curves!.Shown).Of(view.Body));
    }

    [Fact]
    public async Task A_task_of_which_no_curve_is_made_has_none_in_its_report()
    {
        var run = await FinishedRun.Make(app, "Numbers");
        await run.Curve();
        await using var db = app.Db;
        var split = await db.Splits.SingleAsync(s => s.Id == run.SplitId);
        var project = await db.Projects.AsNoTracking().SingleAsync(p => p.Id == run.Project.Id);
        await db.Projects.Where(p => p.Id == run.Project.Id).ExecuteUpdateAsync(u => u.SetProperty(p => p.Task, TextTask.Regression));
        var regression = await db.Projects.AsNoTracking().SingleAsync(p => p.Id == run.Project.Id);
        var (theRun, folder) = (await db.Runs.SingleAsync(r => r.Id == run.RunId), app.Services.GetRequiredService<StudioFolder>());
        Assert.NotNull(await ReportCurve.Of(db, folder, project, theRun, split, default));
        Assert.Null(await ReportCurve.Of(db, folder, regression, theRun, split, default));
    }

    private static async Task<ReadReport.View> Read(FinishedRun run) => (await run.Engineer.Do<ReadReport, ReadReport.View?>(async r => await r.Handle(run.Project.Id, await run.Report())))!;

    private static async Task<string> Card(FinishedRun run)
    {
        var zip = (await run.Engineer.Do<DownloadModel, (string Name, Func<Stream, CancellationToken, Task> Write)?>(d => d.Handle(run.Project.Id, 1)))!.Value;
        using var buffer = new MemoryStream();
        await zip.Write(buffer, default);
        using var archive = new System.IO.Compression.ZipArchive(new MemoryStream(buffer.ToArray()));
        using var card = new StreamReader(archive.GetEntry("README.md")!.Open());
        return await card.ReadToEndAsync();
    }
}
