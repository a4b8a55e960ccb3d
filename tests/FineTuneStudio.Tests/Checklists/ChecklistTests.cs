using FineTuneStudio.BaseModels;
using FineTuneStudio.Checklists;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using FineTuneStudio.Tests.Reports;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Checklists;

public sealed class ChecklistTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static Fact Fact(MeasuredChecklist list, string key, string id) => list.Lines.Single(l => l.Key == key).Facts.Single(f => f.Id == id);

    private static Task<MeasuredChecklist> Measure(Person person, Project project) => person.Do<MeasureChecklist, MeasuredChecklist>(m => m.Handle(project.Id));

    [Fact]
    public async Task An_empty_project_has_nothing_measured_and_every_line_says_how_to_measure_it()
    {
        var owner = await app.NewPerson("Owner");
        var list = await Measure(owner, await app.NewProject(owner, "Empty"));
        Assert.Equal(10, list.Lines.Count);
        Assert.All(list.Lines, l => Assert.Equal(FactState.NotMeasured, l.State));
        Assert.All(list.Lines.SelectMany(l => l.Facts), f => Assert.False(string.IsNullOrEmpty(f.HowToMeasure)));
    }

    [Fact]
    public async Task A_finished_run_fills_the_lines_with_what_was_measured()
    {
        var run = await FinishedRun.Make(app);
        var list = await Measure(run.Engineer, run.Project);
        Assert.Equal((1, 1, 1), (list.Version, list.Split, list.Run));
        Assert.Equal(("100 % of the backbone loaded from the file; origin: random, not pretrained", FactState.Warn), (Fact(list, DosAndDonts.Pretrained, "P1").Value, Fact(list, DosAndDonts.Pretrained, "P1").State));
        Assert.Equal($"2 of {FineTuneStudio.Engine.Training.RunRecipe.Fields.Count}: Epochs 4 (default 3); Learning rate 0.001 (default 5e-5)", Fact(list, DosAndDonts.NoDefaults, "H7").Value);
        Assert.Equal(FactState.Pass, Fact(list, DosAndDonts.NoPoorLabels, "D3").State);
        Assert.Equal("8 evaluations on 30 validation rows in run 1, 2 an epoch", Fact(list, DosAndDonts.Validate, "V3").Value);
        Assert.Equal(FactState.Pass, Fact(list, DosAndDonts.NoSkippedValidation, "V5").State);
    }

    [Fact]
    public async Task What_a_probe_of_the_base_model_measured_is_told_with_both_losses_and_what_was_not_measured_says_how_to_get_it()
    {
        var run = await FinishedRun.Make(app, "Probed");
        async Task<Fact> Probe(ModelOrigin origin, double? loss = null, double? drawn = null)
        {
            await using (var db = app.Db)
            {
                await db.BaseModels.Where(m => m.ProjectId == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(m => m.Origin, origin));
                await db.Runs.Where(r => r.Id == run.RunId).ExecuteUpdateAsync(s => s.SetProperty(r => r.ProbeLoss, loss).SetProperty(r => r.ReinitialisedProbeLoss, drawn));
            }
            return Fact(await Measure(run.Engineer, run.Project), DosAndDonts.Pretrained, "P2");
        }
        var pass = await Probe(ModelOrigin.Pretrained, 0.75, 1.5);
        Assert.Equal((FactState.Pass, "Pretrained (declared), 100 % of the backbone loaded, probe gain +50.0 %: a linear head’s validation loss after one epoch is 0.75 on this backbone and 1.5 on the same with random weights"), (pass.State, pass.Value));
        Assert.Equal(("pass where the loss is at least 5 % lower, warn where it is not", "linear probes, Alain and Bengio 2016; limit our own"), (pass.Threshold, pass.Source));
        Assert.Equal(FactState.Pass, (await Probe(ModelOrigin.Pretrained, 0.949, 1)).State);
        var warn = await Probe(ModelOrigin.Pretrained, 0.96, 1);
        Assert.Equal((FactState.Warn, "Pretrained (declared), 100 % of the backbone loaded, probe gain +4.0 %: a linear head’s validation loss after one epoch is 0.96 on this backbone and 1 on the same with random weights"), (warn.State, warn.Value));
        Assert.Contains("probe gain −10.0 %", (await Probe(ModelOrigin.Pretrained, 1.1, 1)).Value);

        var old = await Probe(ModelOrigin.Pretrained);
        Assert.Equal((FactState.NotMeasured, "Run 1 has not measured it; where it tried, its log says what kept it from it. Launch another run: it measures it before its first step."), (old.State, old.HowToMeasure));
        Assert.Equal("Only a model that is pretrained, or said to be, is measured; the origin of Practice model is random, not pretrained.", (await Probe(ModelOrigin.Random)).HowToMeasure);
        Assert.Equal("Only a model that is pretrained, or said to be, is measured; the origin of Practice model is unknown, which does not count as pretrained.", (await Probe(ModelOrigin.Unknown)).HowToMeasure);

        await using (var db = app.Db) await db.Projects.Where(p => p.Id == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(p => p.Task, TextTask.Generation));
        Assert.EndsWith("probe gain +50.0 %: before any training its validation loss is 3 and with random weights 6", (await Probe(ModelOrigin.Pretrained, 3, 6)).Value);
        await using (var db = app.Db) await db.Projects.Where(p => p.Id == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(p => p.Task, TextTask.QuestionAnswering));
        var asked = await Probe(ModelOrigin.Pretrained);
        Assert.Equal((FactState.DoesNotApply, "where an answer begins and ends cannot be read off frozen features by a linear head, so its loss would say little of the backbone"), (asked.State, asked.Value));
        await using (var db = app.Db)
        {
            await db.Projects.Where(p => p.Id == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(p => p.Task, TextTask.Regression));
            await db.VersionRows.Where(r => r.VersionId == run.VersionId).ExecuteUpdateAsync(s => s.SetProperty(r => r.Label, "1.5"));
        }
        Assert.Equal("a linear head’s loss on numbers differs as much between two draws of random weights as between random and pretrained ones", (await Probe(ModelOrigin.Pretrained)).Value);
    }

    [Fact]
    public async Task Duplicates_contradictions_and_leaks_are_counted()
    {
        var run = await FinishedRun.Make(app, "Faulty");
        await using (var db = app.Db)
        {
            // Row 0 (train, negative) and row 150 (test) share a text; row 150 becomes positive.
            var rows = db.VersionRows.Where(r => r.VersionId == run.VersionId).OrderBy(r => r.Position).ToList();
            var key = db.Rows.Single(r => r.Id == rows[0].RowId).TextKey;
            db.Entry(db.Rows.Single(r => r.Id == rows[150].RowId)).Property(r => r.TextKey).CurrentValue = key;
            db.Entry(rows[150]).Property(r => r.Label).CurrentValue = "positive";
            // Rows 2 and 4, both to train on, share one too, with different labels.
            var other = db.Rows.Single(r => r.Id == rows[2].RowId).TextKey;
            db.Entry(db.Rows.Single(r => r.Id == rows[4].RowId)).Property(r => r.TextKey).CurrentValue = other;
            foreach (var (row, label) in new[] { (rows[2], "positive"), (rows[4], "negative") }) db.Entry(row).Property(r => r.Label).CurrentValue = label;
            await db.SaveChangesAsync();
        }
        var list = await Measure(run.Engineer, run.Project);
        Assert.StartsWith("2 of 180 rows (1.1 %) repeat", Fact(list, DosAndDonts.QualityData, "D6").Value);
        Assert.Equal("2 rows (1.1 %) share their text with a row that is labelled otherwise, not counting texts of a locked test part", Fact(list, DosAndDonts.QualityData, "D7").Value);
        Assert.Equal(FactState.Block, Fact(list, DosAndDonts.NoSkippedValidation, "V5").State);
    }

    [Fact]
    public async Task Shares_of_several_labels_are_of_rows_and_not_of_labels()
    {
        var owner = await app.NewPerson("Owner");
        var project = await app.NewProject(owner, "Several labels", TextTask.MultiLabel);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 100).Select(i => ($"text {i}", (string?)(i < 50 ? """["a","b","c"]""" : """["a","b"]""")))]);
        await using (var db = app.Db) await db.Versions.Where(v => v.Id == version.Id).ExecuteUpdateAsync(s => s.SetProperty(v => v.LabelsJson, """[{"Name":"a","Count":100},{"Name":"b","Count":100},{"Name":"c","Count":50}]"""));
        Assert.Equal("50 % of the labelled rows; an even share of 3 labels would be 83.3 %", Fact(await Measure(owner, project), DosAndDonts.NoPoorLabels, "D3b").Value);
    }

    [Fact]
    public async Task What_has_no_meaning_for_numbers_is_not_measured_and_says_why()
    {
        var owner = await app.NewPerson("Owner");
        var project = await app.NewProject(owner, "Numbers", TextTask.Regression);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 300).Select(i => ($"text {i}", (string?)$"{i % 7}"))]);
        await owner.Do<FreezeSplit, Split>(f => f.Handle(project.Id, new() { VersionNumber = version.Number }));
        var list = await Measure(owner, project);
        Assert.Equal(("Rows with a number", "300 of 300 rows in version 1 carry a number; 0 do not"), (Fact(list, DosAndDonts.QualityData, "D5").Name, Fact(list, DosAndDonts.QualityData, "D5").Value));
        Assert.Equal("Same text, different numbers", Fact(list, DosAndDonts.QualityData, "D7").Name);
        Assert.Equal("30 test rows; its metrics are no shares of rows, so how well they are known is in the intervals of the report", Fact(list, DosAndDonts.NoSkippedValidation, "V2").Value);
        Assert.Equal("Low and high numbers are spread alike over train and test", Fact(list, DosAndDonts.NoSkippedValidation, "V9").Name);
        Assert.Equal((FactState.DoesNotApply, "a number need not have been in the train rows for the model to answer it"), (Fact(list, DosAndDonts.NoSkippedValidation, "V10").State, Fact(list, DosAndDonts.NoSkippedValidation, "V10").Value));
        Assert.Equal(FactState.DoesNotApply, Fact(list, DosAndDonts.NoPoorLabels, "D3").State);
        Assert.Equal(FactState.Pass, list.Lines.Single(l => l.Key == DosAndDonts.NoPoorLabels).State);
    }

    [Theory]
    [InlineData(TextTask.SingleLabel)]
    [InlineData(TextTask.MultiLabel)]
    [InlineData(TextTask.Regression)]
    [InlineData(TextTask.TokenClassification)]
    [InlineData(TextTask.QuestionAnswering)]
    [InlineData(TextTask.Generation)]
    public async Task Whatever_is_measured_says_what_it_means(TextTask task)
    {
        var owner = await app.NewPerson("Owner");
        var project = await app.NewProject(owner, $"Meanings of {task}", task);
        Assert.All((await Measure(owner, project)).Lines.SelectMany(l => l.Facts), f => Assert.NotEqual("", CheckMeanings.Of(f)));
    }

    [Fact]
    public async Task Answers_need_a_reason_and_keep_their_history()
    {
        var run = await FinishedRun.Make(app, "Answers");
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => run.Engineer.Do<AnswerChecklist>(a => a.Handle(run.Project.Id, DosAndDonts.Validate, Verdict.Kept, "yes")));
        Assert.Equal("The reason has 3 characters; give it 10 to 2,000, so that an approver can follow it.", refused.Message);
        await run.Engineer.Do<AnswerChecklist>(a => a.Handle(run.Project.Id, DosAndDonts.Validate, Verdict.NotKept, "Only one evaluation so far."));
        await run.Engineer.Do<AnswerChecklist>(a => a.Handle(run.Project.Id, DosAndDonts.Validate, Verdict.Kept, "Eight evaluations by now."));
        var line = (await Measure(run.Engineer, run.Project)).Lines.Single(l => l.Key == DosAndDonts.Validate);
        Assert.Equal([Verdict.Kept, Verdict.NotKept], line.Answers.Select(a => a.Verdict));
    }

    [Theory, InlineData(1e-3, FactState.Pass), InlineData(5e-5, FactState.Warn), InlineData(5e-2, FactState.Block)]
    public async Task Random_weights_have_a_band_of_learning_rates_of_their_own(double rate, FactState state)
    {
        var run = await FinishedRun.Make(app, $"Rate {rate}", new() { LearningRate = rate, Epochs = 4 });
        Assert.Equal(state, Fact(await Measure(run.Engineer, run.Project), DosAndDonts.NoScratch, "P5").State);
    }

    [Fact]
    public async Task An_answer_of_kept_on_what_was_measured_as_not_kept_is_told_apart_and_the_runs_that_can_be_measured_are_named()
    {
        var run = await FinishedRun.Make(app, "Against");
        Assert.Equal([1], await run.Engineer.Do<MeasureChecklist, IReadOnlyList<int>>(m => m.Runs(run.Project.Id)));
        await run.Engineer.Do<AnswerChecklist>(a => a.Handle(run.Project.Id, DosAndDonts.Experiment, Verdict.Kept, "One recipe is enough for us."));
        await run.Engineer.Do<AnswerChecklist>(a => a.Handle(run.Project.Id, DosAndDonts.Validate, Verdict.Kept, "Eight evaluations by now."));
        var lines = (await Measure(run.Engineer, run.Project)).Lines;
        Assert.Equal([DosAndDonts.Experiment], lines.Where(l => l.IsAgainst).Select(l => l.Key));
    }

    [Fact]
    public void Rising_validation_loss_under_falling_train_loss_is_over_fitting_from_the_step_where_it_turned()
    {
        var verdict = FitVerdict.Of([.. Curve([1.0, 0.8, 0.82, 0.9, 1.0], [1.0, 0.7, 0.5, 0.3, 0.2])], Metric.Accuracy, 0.1)!;
        Assert.Equal((FactState.Block, 20, 3), (verdict.State, verdict.Step, verdict.RisingStrip));
        Assert.StartsWith("Over-fitting since step 20:", verdict.Sentence);
    }

    [Fact]
    public void A_validation_loss_that_reaches_a_new_lowest_takes_an_earlier_rise_back()
    {
        var verdict = FitVerdict.Of([.. Curve([2.0, 1.5, 1.6, 1.0, 0.8, 0.7], [2.0, 1.4, 1.2, 0.9, 0.7, 0.6])], Metric.Accuracy, 0.1)!;
        Assert.DoesNotContain("Over-fitting", verdict.Sentence);
        Assert.NotEqual(FactState.Block, verdict.State);
    }

    [Fact]
    public void Curves_that_level_off_together_are_healthy() =>
        Assert.Equal(FactState.Pass, FitVerdict.Of([.. Curve([1.0, 0.6, 0.5, 0.48, 0.48], [1.0, 0.55, 0.45, 0.43, 0.43])], Metric.Accuracy, 0.1)!.State);

    [Fact]
    public void A_rise_of_the_validation_loss_in_a_model_that_has_learned_nothing_is_no_call_for_fewer_epochs() =>
        Assert.Equal("The validation loss has stood above its lowest since step 20, and still the model is barely better than guessing on the train part: more epochs of this will not help. Try another learning rate, or a base model that knows more.",
            FitVerdict.Of([.. Curve([1.0, 0.8, 0.82, 0.9, 1.0], [1.0, 0.7, 0.5, 0.3, 0.2], train => 0.12)], Metric.Accuracy, 0.1)!.Sentence);

    [Theory, InlineData(0.702, FactState.Warn, "Not over-fitting by its losses, but the gap between train and validation is wide."), InlineData(0.72, FactState.Warn, "Over-fitting since step 20:")]
    public void A_widening_gap_is_over_fitting_only_where_the_validation_loss_stands_clearly_above_its_lowest(double last, FactState state, string sentence)
    {
        var verdict = FitVerdict.Of([.. Curve([1.0, 0.7, 0.701, last], [1.0, 0.7, 0.7, 0.69], i => 0.92 + 0.05 * i)], Metric.Accuracy, 0.1)!;
        Assert.Equal(state, verdict.State);
        Assert.StartsWith(sentence, verdict.Sentence);
    }

    private static IEnumerable<RunEvaluation> Curve(double[] validation, double[] train, Func<int, double>? score = null) =>
        validation.Select((loss, i) => new RunEvaluation { RunId = 1, Step = 10 * (i + 1), Epoch = i + 1, ValidationLoss = loss, TrainSampleLoss = train[i], ScoresJson = """{"MacroF1":0.9,"Accuracy":0.9}""", TrainSampleMetric = score?.Invoke(i) ?? 0.92, IsBest = i == 0 });
}
