using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Checklists;
using FineTuneStudio.Datasets;
using FineTuneStudio.Pretraining;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Reports;

[Collection("training")]
public sealed class ReportTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private const string Reason = "Good enough for practice, and the weak spots are known.";

    [Fact]
    public void A_report_from_when_there_was_one_task_still_says_its_numbers()
    {
        var scores = JsonSerializer.Deserialize<Scores>("""{"Rows":30,"Accuracy":{"Value":0.5,"Low":0.4,"High":0.6},"MacroF1":{"Value":0.25,"Low":0.125,"High":0.375},"WeightedF1":0.5,"PerLabel":[]}""")!;
        Assert.Equal((new Measured(0.5, 0.4, 0.6), new Measured(0.25, 0.125, 0.375)), (scores.Of(Metric.Accuracy), scores.Of(Metric.MacroF1)));
    }

    [Fact]
    public void A_baseline_that_leaves_words_out_says_so()
    {
        Assert.Equal("", MeasureTestPart.WordsUsed((900, 900)));
        Assert.Equal(" Of the 31,000 different words there, only the 2,000 most frequent are used, so that its weights fit in memory; with all of them it could be better.", MeasureTestPart.WordsUsed((2000, 31_000)));
    }

    [Fact]
    public async Task A_report_measures_the_model_beside_two_baselines_on_the_same_test_rows()
    {
        var run = await FinishedRun.Make(app);
        var number = await run.Report();
        var view = (await run.Engineer.Do<ReadReport, ReadReport.View?>(r => r.Handle(run.Project.Id, number)))!;
        var body = view.Body!;
        Assert.Equal(30, body.Model.Rows);
        Assert.Equal(30, body.Confusion.Sum(row => row.Sum()));
        Assert.All(body.Baselines, b => Assert.Equal(30, b.Scores.Rows));
        Assert.Equal(1.0 / 3, body.Baselines[0].Scores.Of(Metric.Accuracy).Value, 6);
        Assert.Equal(1.0, body.Baselines[1].Scores.Of(Metric.Accuracy).Value, 6);
        Assert.Equal("Words weighted by TF-IDF, logistic regression (C = 1), trained on the same train rows.", body.Baselines[1].How);
        Assert.InRange(body.Model.Of(Metric.MacroF1).Value, body.Model.Of(Metric.MacroF1).Low, body.Model.Of(Metric.MacroF1).High);
        Assert.Equal(body.MistakeCount, 30 - Enumerable.Range(0, 3).Sum(i => body.Confusion[i][i]));
        Assert.True(body.Mistakes.Zip(body.Mistakes.Skip(1)).All(p => p.First.Confidence >= p.Second.Confidence));
        Assert.Equal(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(await File.ReadAllBytesAsync(run.Weights))), body.Fingerprints.Weights);
        Assert.Equal(ReportBody.Sha256(view.Report.BodyJson!), view.Report.Hash);
        Assert.Equal(view.Report.BodyJson, ReportBody.FromJson(view.Report.BodyJson!).ToJson());
        Assert.Empty(view.Changes);
        Assert.Contains(body.Checklist.Lines.Single(l => l.Key == DosAndDonts.Pretrained).Facts, f => f.Value == "100 % of the backbone loaded from the file; origin: random, not pretrained");
    }

    [Fact]
    public async Task Fewer_than_thirty_test_rows_are_said_to_be_too_few()
    {
        var run = await FinishedRun.Make(app, "Few rows");
        var body = (await run.Engineer.Do<ReadReport, ReadReport.View?>(async r => await r.Handle(run.Project.Id, await run.Report())))!.Body!;
        Assert.DoesNotContain("too few", ReportSentences.Answer(body));
        Assert.EndsWith("on 29 test rows; the goal was 0.800. 29 test rows are too few to tell: an interval drawn from them says little about other texts.", ReportSentences.Answer(body with { Model = body.Model with { Rows = 29 } }));
    }

    [Fact]
    public async Task A_base_model_that_was_pretrained_here_before_the_split_was_frozen_may_have_read_its_test_part_and_the_report_says_so()
    {
        var run = await FinishedRun.Make(app, "Pretrained before");
        await using (var db = app.Db)
        {
            await db.BaseModels.Where(m => m.ProjectId == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(m => m.Origin, ModelOrigin.Pretrained).SetProperty(m => m.PretrainingNumber, 1));
            var made = new PretrainRun { ProjectId = run.Project.Id, Number = 1, ChoiceJson = "{}", FromModelId = null, TextNames = "messages.txt", RecipeJson = "{}", RecipeHash = new string('e', 64), LaunchedById = run.Engineer.Id, QueuedAt = DateTime.UtcNow };
            made.Start(DateTime.UtcNow.AddHours(-2));
            made.End(RunState.Finished, DateTime.UtcNow.AddHours(-1));
            db.PretrainRuns.Add(made);
            await db.SaveChangesAsync();
        }
        var body = (await run.Engineer.Do<ReadReport, ReadReport.View?>(async r => await r.Handle(run.Project.Id, await run.Report())))!.Body!;
        Assert.Equal((1, true), (body.Base.Pretraining, body.Base.BeforeSplit));
        Assert.Contains(body.Checklist.Lines.Single(l => l.Key == DosAndDonts.Pretrained).Facts, f => f.Value == "100 % of the backbone loaded from the file; origin: pretrained here, by pretraining 1");
        await using var later = app.Db;
        await later.PretrainRuns.Where(p => p.ProjectId == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(p => p.StartedAt, DateTime.UtcNow));
        Assert.False((await run.Engineer.Do<ReadReport, ReadReport.View?>(async r => await r.Handle(run.Project.Id, await run.Report())))!.Body!.Base.BeforeSplit);
    }

    [Fact]
    public async Task A_row_is_shown_with_its_number_in_the_data_version()
    {
        // Rows of another project come first, so that a row's id is not its number.
        await FinishedRun.Make(app, "Other rows");
        var run = await FinishedRun.Make(app, "Row numbers");
        var view = (await run.Engineer.Do<ReadReport, ReadReport.View?>(async r => await r.Handle(run.Project.Id, await run.Report())))!;
        Assert.NotEmpty(view.Body!.Mistakes);
        Assert.All(view.Body.Mistakes, m => Assert.Contains($" number {view.RowNumbers[m.RowId] - 1} was ", m.Text));
    }

    [Fact]
    public void A_model_that_foresees_better_and_writes_worse_is_said_to_do_so()
    {
        Measured At(double value) => new(value, value, value);
        Scores Of(double perplexity, double exact, double rouge, double chrf) => new(30, new Dictionary<Metric, Measured> { [Metric.Perplexity] = At(perplexity), [Metric.ExactMatch] = At(exact), [Metric.RougeL] = At(rouge), [Metric.Chrf] = At(chrf) }, null, []);
        string Said(Scores ours, Scores theirs, double difference)
        {
            Baseline before = new("Base model before fine-tuning", "", theirs, At(difference));
            return ReportSentences.Against(new("", "", Metric.Perplexity, 5, 1, "", "", new(1, 1, 1, 1, 1, 1, 1, 1, 1, 1), new(1, "", "", default, "", 1, null, null), "", 1, [], ours, [], [before], [], 0, null, new(1, 1, 1, []), 1, new("", "", "", "", "")) { WrittenRows = 30 }, before);
        }
        Assert.Equal("In perplexity the fine-tuned model does better than the base model before fine-tuning on this test part: 4.000 against 9.000, perplexity −5.000 for the fine-tuned model (95 % interval −5.000 to −5.000). In what it writes, on 30 answered test rows, the fine-tuned model is worse in ROUGE-L (0.1 against 0.2) and chrF (10 against 20), and better in exact match (0.05 against 0).",
            Said(Of(4, 0.05, 0.1, 10), Of(9, 0, 0.2, 20), -5));
        Assert.StartsWith("In perplexity the base model before fine-tuning does better than the fine-tuned model on this test part: 4.000 against 9.000,", Said(Of(9, 0.05, 0.1, 10), Of(4, 0, 0.2, 20), 5));
        Assert.StartsWith("The fine-tuned model does better than the base model before fine-tuning on this test part:", Said(Of(4, 0, 0.2, 20), Of(9, 0, 0.1, 10), -5));
    }

    [Fact]
    public async Task Each_report_on_the_same_test_part_counts_as_a_look()
    {
        var run = await FinishedRun.Make(app, "Looks");
        await run.Report();
        var second = await run.Report();
        var view = (await run.Engineer.Do<ReadReport, ReadReport.View?>(r => r.Handle(run.Project.Id, second)))!;
        Assert.Equal(2, view.Body!.TestLooks);
        Assert.Equal(FactState.Warn, view.Body.Checklist.Lines.Single(l => l.Key == DosAndDonts.NoSkippedValidation).Facts.Single(f => f.Id == "V11").State);
    }

    [Fact]
    public async Task Only_an_approver_who_had_no_part_in_it_signs()
    {
        var run = await FinishedRun.Make(app, "Signing");
        await app.Grant(run.Project, run.Engineer, Role.Approver);
        var builder = await app.NewPerson("Second Engineer");
        await app.Grant(run.Project, builder, Role.Engineer, Role.Approver);
        var number = await run.Report(builder);
        var hash = await Hash(run, number);

        Assert.Equal("You launched run 1, so someone else has to sign. Hand out a one-time approver invitation on the Team page.", (await Refused(run.Engineer, run, number, hash)).Message);
        Assert.Equal("You built this report, so someone else has to sign. An owner of the project can hand out a one-time approver invitation.", (await Refused(builder, run, number, hash)).Message);
        var viewer = await app.NewPerson("Viewer");
        await app.Grant(run.Project, viewer, Role.Viewer);
        await Assert.ThrowsAsync<AccessDenied>(() => viewer.Do<SignReport>(s => s.Handle(run.Project.Id, number, true, Reason, hash)));

        var approver = await run.Approver();
        Assert.Equal("The reason has 4 characters; give it 10 to 4,000.", (await Refused(approver, run, number, hash, "fine")).Message);
        Assert.StartsWith("The report changed while you read it", (await Refused(approver, run, number, new string('0', 64))).Message);
        await approver.Do<SignReport>(s => s.Handle(run.Project.Id, number, true, Reason, hash));
        Assert.Equal("Report 1 is signed already and frozen.", (await Refused(await run.Approver("Late Approver"), run, number, hash)).Message);
        var view = (await approver.Do<ReadReport, ReadReport.View?>(r => r.Handle(run.Project.Id, number)))!;
        Assert.Equal((ReportState.Approved, "Grace Approver", hash), (view.Report.State, view.Signature!.By, view.Signature.ReportHash));
    }

    [Fact]
    public async Task What_changed_beneath_a_report_is_named()
    {
        var run = await FinishedRun.Make(app, "Stale");
        var number = await run.Report();
        await using (var db = app.Db)
        {
            var newer = new DatasetVersion { ProjectId = run.Project.Id, Number = 2, Kind = VersionKind.Review, ParentId = run.VersionId, Note = "", RowCount = 180, LabeledCount = 180, LabelsJson = "[]", ContentHash = new string('d', 64), CreatedById = run.Engineer.Id, CreatedAt = DateTime.UtcNow };
            db.Versions.Add(newer);
            await db.SaveChangesAsync();
            db.Splits.Add(new Split { ProjectId = run.Project.Id, Number = 2, VersionId = newer.Id, Seed = 1, TrainShare = .8, ValidationShare = .1, TestShare = .1, CountsJson = "[]", Hash = new string('e', 64), CreatedById = run.Engineer.Id, CreatedAt = DateTime.UtcNow });
            await db.SaveChangesAsync();
        }
        await run.Engineer.Do<AnswerChecklist>(a => a.Handle(run.Project.Id, DosAndDonts.Monitor, Verdict.Kept, "Both curves were watched."));
        await File.AppendAllTextAsync(run.Weights, " ");
        var changes = await run.Engineer.Do<FindReportChanges, IReadOnlyList<FindReportChanges.Change>>(f => f.Handle(run.Project.Id, number));
        Assert.Equal(4, changes.Count);
        Assert.Contains(changes, c => c.Breaks && c.Sentence.StartsWith("The weights of run 1 on disk were changed"));
        Assert.Contains(changes, c => c.Sentence == "Data version 2 was made from version 1 after it.");
        Assert.Contains(changes, c => c.Sentence == "Split 2 is newer than split 1, which this report measured on.");
        Assert.Contains(changes, c => c.Sentence == "1 checklist answer was given after it was built.");

        var hash = await Hash(run, number);
        Assert.EndsWith("It cannot be signed; build a new report.", (await Refused(await run.Approver(), run, number, hash)).Message);
    }

    [Fact]
    public async Task A_run_that_is_not_over_gets_no_report_and_the_reason_is_said()
    {
        var run = await FinishedRun.Make(app, "Early", state: RunState.Running);
        var refused = await Assert.ThrowsAsync<ReportRefused>(() => run.Engineer.Do<BuildReport, int>(b => b.Handle(run.Project.Id, 1)));
        Assert.Equal("Run 1 is not over yet (running); its report can be built when it has finished.", refused.Message);
    }

    [Fact]
    public async Task A_report_left_unfinished_is_built_at_the_next_start_and_a_lost_model_fails_it_with_a_sentence()
    {
        var run = await FinishedRun.Make(app, "Restart");
        int id;
        await using (var db = app.Db)
        {
            var report = new Report { ProjectId = run.Project.Id, Number = 1, RunId = run.RunId, BuiltById = run.Engineer.Id, BuiltAt = DateTime.UtcNow };
            db.Reports.Add(report);
            await db.SaveChangesAsync();
            id = report.Id;
        }
        File.Delete(run.Weights);
        var again = ActivatorUtilities.CreateInstance<ReportBuilder>(app.Services);
        await again.StartAsync(default);
        for (var i = 0; i < 100 && app.Db.Reports.Any(r => r.Id == id && r.State == ReportState.Building); i++) await Task.Delay(50);
        await again.StopAsync(default);
        Assert.Equal("The best checkpoint of run 1 is no longer on the server's disk. Launch the run again.", (await app.Db.Reports.SingleAsync(r => r.Id == id)).Failure);
        Assert.Equal("did not get report 1: it could not be built", (await app.Db.Events.Where(e => e.ProjectId == run.Project.Id).OrderBy(e => e.Id).LastAsync()).Text);
    }

    private async Task<string> Hash(FinishedRun run, int number)
    {
        await using var db = app.Db;
        return (await db.Reports.SingleAsync(r => r.ProjectId == run.Project.Id && r.Number == number)).Hash!;
    }

    private static Task<ReportRefused> Refused(Person who, FinishedRun run, int number, string hash, string reason = Reason) =>
        Assert.ThrowsAsync<ReportRefused>(() => who.Do<SignReport>(s => s.Handle(run.Project.Id, number, true, reason, hash)));
}
