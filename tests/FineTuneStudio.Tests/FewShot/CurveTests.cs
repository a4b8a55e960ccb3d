using System.Text.Json;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.FewShot;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using FineTuneStudio.Tests.Runs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.FewShot;

[Collection("training")]
public sealed class CurveTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static readonly CurveSettings Quick = new([FewShotMethod.HeadOnly, FewShotMethod.Centroid], [1, 2, 4], Draws: 2, Steps: 20, LearningRate: 1e-3, MaxLength: 32);

    private static readonly CurveSettings Long = Quick with { Methods = [FewShotMethod.Full], Ks = [1, 2], Steps = 150 };

    [Fact]
    public async Task A_started_curve_is_measured_to_its_end_and_says_what_more_rows_bring()
    {
        var scene = await Scene.Make(app, "Measured");
        var number = await Start(scene, Quick);
        var view = await Until(scene, number, v => v.Run.IsOver);

        Assert.Equal((CurveState.Finished, (string?)null), (view.Run.State, view.Run.Failure));
        Assert.Equal((12, 12, 12), (view.Curve.Points.Count, view.Run.PointsDone, view.Run.PointsTotal));
        Assert.Equal([FewShotMethod.HeadOnly, FewShotMethod.Centroid], view.Curve.Lines(Metric.Accuracy).Select(l => l.Method));
        Assert.All(view.Curve.Lines(Metric.MacroF1).SelectMany(l => l.Means), m => Assert.NotNull(m.Interval));
        // Three labels, four validation rows of each.
        Assert.Equal(("billing", 12, 96), (view.Run.MajorityLabel, view.Run.MeasuredRows, view.Run.PoolRows));
        Assert.Equal(1 / 3.0, view.Run.MajorityAccuracy, 12);
        Assert.NotEqual(MoreRowsKind.TooFew, view.Curve.MoreRows(FewShotMethod.Centroid, Metric.Accuracy).Answer(0.02).Kind);
        var line = Assert.Single(await scene.Engineer.Do<ListCurves, IReadOnlyList<CurveLine>>(l => l.Handle(scene.Project.Id)));
        Assert.Equal((12, "Practice model", 1, "Engineer"), (line.PointsDone, line.BaseModel, line.Split, line.StartedBy));
        await using var db = app.Db;
        Assert.Equal(["started learning curve 1 on “Practice model”", "learning curve 1 is measured: 12 points"],
            await db.Events.Where(e => e.ProjectId == scene.Project.Id && e.Text.Contains("learning curve")).OrderBy(e => e.Id).Select(e => e.Text).ToListAsync());
        var over = await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<StopCurve>(s => s.Handle(scene.Project.Id, 1)));
        Assert.Equal("Learning curve 1 is over already; there is nothing to stop.", over.Message);
        var ended = await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<ContinueCurve>(s => s.Handle(scene.Project.Id, 1)));
        Assert.Equal("Learning curve 1 is measured to its end; there is nothing to go on with.", ended.Message);
    }

    [Fact]
    public async Task A_curve_draws_from_train_and_measures_on_validation_and_never_gets_a_test_row()
    {
        var scene = await Scene.Make(app, "Locked");
        await using var db = app.Db;
        var job = StartCurve.Job(Quick, "", await TrainingRows.Read(db, scene.Split), "");
        async Task<long[]> Of(SplitPart part) => [.. (await db.SplitRows.Where(r => r.SplitId == scene.Split.Id && r.Part == part).OrderBy(r => r.RowId).Select(r => r.RowId).ToListAsync()).Select(id => (long)id)];
        Assert.Equal(await Of(SplitPart.Train), job.Pool.Select(r => r.RowId).Order());
        Assert.Equal(await Of(SplitPart.Validation), job.Measured.Select(r => r.RowId).Order());
        Assert.Empty((await Of(SplitPart.Test)).Intersect(job.Pool.Concat(job.Measured).Select(r => r.RowId)));
    }

    [Fact]
    public async Task A_stopped_curve_keeps_its_points_and_goes_on_from_them()
    {
        var scene = await Scene.Make(app, "Stops");
        var number = await Start(scene, Long with { Draws = 3 });
        await Until(scene, number, v => v.Curve.Points.Count > 0);
        await scene.Engineer.Do<StopCurve>(s => s.Handle(scene.Project.Id, number));
        var stopped = await Until(scene, number, v => v.Run.IsOver);
        Assert.Equal(CurveState.Stopped, stopped.Run.State);
        Assert.InRange(stopped.Curve.Points.Count, 1, 5);

        await scene.Engineer.Do<ContinueCurve>(c => c.Handle(scene.Project.Id, number));
        var whole = await Until(scene, number, v => v.Run.IsOver);
        Assert.Equal((CurveState.Finished, 6), (whole.Run.State, whole.Curve.Points.Count));
        Assert.Equal(stopped.Curve.Points, whole.Curve.Points.Take(stopped.Curve.Points.Count));
    }

    [Fact]
    public async Task How_long_a_curve_will_take_is_measured_before_it_starts()
    {
        var scene = await Scene.Make(app, "Estimated");
        var shares = new List<double>();
        var estimate = await scene.Engineer.Do<MeasureCurve, CurveEstimate>(m => m.Handle(scene.Project.Id, 1, 1, Quick, shares.Add));
        Assert.True(estimate.Seconds > 0 && estimate.PeakMemoryBytes > 0 && estimate.Fits, $"{estimate}");
        Assert.Equal(1, shares[^1]);
        Assert.Equal("Draws is 0; expected a whole number from 1 to 100.", (await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<MeasureCurve, CurveEstimate>(m => m.Handle(scene.Project.Id, 1, 1, Quick with { Draws = 0 })))).Message);
        await using var db = app.Db;
        Assert.Empty(await db.LearningCurves.Where(c => c.ProjectId == scene.Project.Id).ToListAsync());
        Assert.Equal(["a minute or less", "2 minutes", "89 minutes", "1.5 hours", "100 hours"], new[] { 3.0, 100, 5350, 5400, 360_000 }.Select(CurveCost.Minutes));
    }

    [Fact]
    public async Task A_curve_that_the_server_went_down_with_before_a_point_was_finished_waits_for_a_person_and_another_goes_on()
    {
        var scene = await Scene.Make(app, "Cut off");
        async Task<int> CutOff(int number, bool finishedOne)
        {
            await using var db = app.Db;
            var curve = new LearningCurveRun
            {
                ProjectId = scene.Project.Id, Number = number, SplitId = scene.Split.Id, BaseModelId = scene.Model.Id, StartedById = scene.Engineer.Id, QueuedAt = DateTime.UtcNow, PointsTotal = 4, PoolRows = 96, MeasuredRows = 12,
                SettingsJson = JsonSerializer.Serialize(Quick with { Methods = [FewShotMethod.Centroid], Ks = [1, 2] }), MajorityLabel = "billing", MajorityAccuracy = 1 / 3.0, MajorityMacroF1 = 1 / 6.0,
            };
            curve.Start(DateTime.UtcNow);
            db.LearningCurves.Add(curve);
            await db.SaveChangesAsync();
            if (!finishedOne) return curve.Id;
            var job = StartCurve.Job(curve.Settings, app.Services.GetRequiredService<StudioFolder>().BaseModel(scene.Model.StoredAs), await TrainingRows.Read(db, scene.Split), app.Services.GetRequiredService<StudioFolder>().Curve(curve.Id));
            var asked = StopRequest.None;
            LearningCurve.Run(job, e => { if (e is CurvePointDone) asked = StopRequest.Stop; }, () => asked, default);
            return curve.Id;
        }
        await CutOff(1, finishedOne: false);
        await CutOff(2, finishedOne: true);
        using (var started = ActivatorUtilities.CreateInstance<CurveTrainer>(app.Services))
        {
            await started.StartAsync(default);
            var failed = await Until(scene, 1, v => v.Run.IsOver);
            Assert.Equal((CurveState.Failed, CurveTrainer.NoPointSince), (failed.Run.State, failed.Run.Failure));
            Assert.Equal($"{CurveTrainer.NoPointSince} 0 of 4 points measured; it can go on from there.", CurvePage.Sentence(failed));
            Assert.Equal((CurveState.Finished, 4), await Until(scene, 2, v => v.Run.IsOver) is var whole ? (whole.Run.State, whole.Run.PointsDone) : default);
            await started.StopAsync(default);
        }
        await scene.Engineer.Do<ContinueCurve>(c => c.Handle(scene.Project.Id, 1));
        Assert.Equal(CurveState.Finished, (await Until(scene, 1, v => v.Run.IsOver)).Run.State);
    }

    [Fact]
    public async Task A_run_waits_for_a_curve_and_a_waiting_curve_is_stopped_at_once()
    {
        var scene = await Scene.Make(app, "In turn");
        var first = await Start(scene, Long with { Steps = 100_000 });
        await Until(scene, first, v => v.Standing is not null);
        var measuring = await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<MeasureStep, MeasuredStep>(m => m.Handle(scene.Project.Id, 1, 1, new() { LearningRate = 1e-3, MaxLength = 32 })));
        Assert.Equal("A learning curve is being measured on this server, so a step measured now would come out slower than it is; measure when the curve is over or stopped.", measuring.Message);
        var waiting = await Start(scene, Quick);
        var run = await scene.Engineer.Do<LaunchRun, int>(l => l.Handle(scene.Project.Id, 1, 1, new() { Epochs = 1, LearningRate = 1e-3, BatchSize = 8, MaxLength = 32 }));
        var queued = (await scene.Engineer.Do<ShowRun, RunView?>(s => s.Handle(scene.Project.Id, run)))!;
        Assert.Equal(RunState.Queued, queued.Run.State);
        Assert.Equal("Waiting for a learning curve to end.", RunVerdict.Sentence(queued));
        Assert.Equal("Waiting until what trains before it has ended; 0 of 12 points measured.", CurvePage.Sentence((await Show(scene, waiting))!));
        await scene.Engineer.Do<StopCurve>(s => s.Handle(scene.Project.Id, waiting));
        Assert.Equal(CurveState.Stopped, (await Show(scene, waiting))!.Run.State);
        await scene.Engineer.Do<StopCurve>(s => s.Handle(scene.Project.Id, first));
        Assert.Equal(RunState.Finished, (await app.Ended(scene.Project, run)).State);
        Assert.Equal((CurveState.Stopped, 0), ((await Show(scene, first))!.Run.State, (await Show(scene, first))!.Curve.Points.Count));
    }

    [Fact]
    public async Task What_is_in_the_way_of_a_curve_is_said_in_a_sentence()
    {
        var scene = await Scene.Make(app, "Refused");
        async Task<string> Refused(CurveSettings settings, int split = 1, int model = 1, string? project = null) =>
            (await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<StartCurve, int>(s => s.Handle(project ?? scene.Project.Id, split, model, settings)))).Message;
        Assert.Equal("There is no split 9 in this project; choose one of the frozen splits.", await Refused(Quick, split: 9));
        Assert.Equal("There is no base model 9 in this project; choose one from the catalogue.", await Refused(Quick, model: 9));
        Assert.Equal("Draws is 0; expected a whole number from 1 to 100.", await Refused(Quick with { Draws = 0 }));
        Assert.Equal("No number of examples a label is given; expected some, such as 1, 2, 4.", await Refused(Quick with { Ks = [] }));
        Assert.Equal("2 examples a label are asked for twice.", await Refused(Quick with { Ks = [2, 2] }));
        Assert.Equal("Max length is 512 tokens but the base model has only 128 positions; set it to 128 or less.", await Refused(Quick with { MaxLength = 512 }));
        var spans = await app.NewProject(scene.Engineer, "Spans", TextTask.TokenClassification);
        Assert.Equal("Learning curves are made for projects in which each text has one label; this project's task is another.", await Refused(Quick, project: spans.Id));

        await using var db = app.Db;
        await db.VersionRows.Where(v => v.VersionId == scene.Split.VersionId && v.Label != "billing").ExecuteUpdateAsync(s => s.SetProperty(v => v.Label, (string?)null));
        Assert.Equal("All train rows have the label \"billing\"; a learning curve needs rows of at least two labels.", await Refused(Quick));
        await db.SplitRows.Where(r => r.SplitId == scene.Split.Id && r.Part == SplitPart.Validation).ExecuteUpdateAsync(s => s.SetProperty(r => r.Part, SplitPart.Test));
        Assert.Equal("There are no validation rows to measure on; give validation a share of the split.", await Refused(Quick));
        Assert.Empty(await db.LearningCurves.Where(c => c.ProjectId == scene.Project.Id).ToListAsync());
    }

    [Fact]
    public async Task Every_member_may_look_but_only_an_owner_or_engineer_starts_and_stops_and_a_stranger_sees_nothing()
    {
        var scene = await Scene.Make(app, "Curve roles");
        var number = await Start(scene, Quick);
        var (reviewer, stranger) = (await app.NewPerson("Reviewer"), await app.NewPerson("Stranger"));
        await app.Grant(scene.Project, reviewer, Role.Reviewer);
        Assert.Single(await reviewer.Do<ListCurves, IReadOnlyList<CurveLine>>(l => l.Handle(scene.Project.Id)));
        Assert.NotNull(await reviewer.Do<ShowCurve, CurveView?>(s => s.Handle(scene.Project.Id, number)));
        foreach (var (who, denial) in new[] { (reviewer, Denial.RoleMissing), (stranger, Denial.NoSuchProject) })
        {
            Assert.Equal(denial, (await Assert.ThrowsAsync<AccessDenied>(() => who.Do<StartCurve, int>(s => s.Handle(scene.Project.Id, 1, 1, Quick)))).Denial);
            Assert.Equal(denial, (await Assert.ThrowsAsync<AccessDenied>(() => who.Do<StopCurve>(s => s.Handle(scene.Project.Id, number)))).Denial);
            Assert.Equal(denial, (await Assert.ThrowsAsync<AccessDenied>(() => who.Do<ContinueCurve>(s => s.Handle(scene.Project.Id, number)))).Denial);
        }
        Assert.Equal(Denial.NoSuchProject, (await Assert.ThrowsAsync<AccessDenied>(() => stranger.Do<ShowCurve, CurveView?>(s => s.Handle(scene.Project.Id, number)))).Denial);
        await Until(scene, number, v => v.Run.IsOver);
    }

    [Fact]
    public void Ks_that_no_label_has_rows_for_make_no_points()
    {
        Assert.Equal(12, Quick.Points(largest: 100));
        Assert.Equal(8, Quick.Points(largest: 2));
        Assert.Equal(0, (Quick with { Ks = [] }).Points(largest: 100));
    }

    private static Task<int> Start(Scene scene, CurveSettings settings) => scene.Engineer.Do<StartCurve, int>(s => s.Handle(scene.Project.Id, 1, scene.Model.Number, settings));

    private static Task<CurveView?> Show(Scene scene, int number) => scene.Engineer.Do<ShowCurve, CurveView?>(s => s.Handle(scene.Project.Id, number));

    private static async Task<CurveView> Until(Scene scene, int number, Func<CurveView, bool> so)
    {
        for (var i = 0; i < 900; i++)
        {
            var view = (await Show(scene, number))!;
            if (so(view)) return view;
            if (view.Run.IsOver) throw new InvalidOperationException($"The curve is over: {view.Run.State} {view.Run.Failure}");
            await Task.Delay(100);
        }
        throw new TimeoutException($"Curve {number} did not get there in 90 s.");
    }
}
