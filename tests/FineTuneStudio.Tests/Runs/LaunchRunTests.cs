using FineTuneStudio.BaseModels;
using FineTuneStudio.Checklists;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Tests.BaseModels;
using FineTuneStudio.Tests.Reports;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace FineTuneStudio.Tests.Runs;

[Collection("training")]
public sealed class LaunchRunTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static readonly RunRecipe Quick = new() { Epochs = 2, LearningRate = 1e-3, BatchSize = 8, MaxLength = 32 };

    [Fact]
    public async Task A_launched_run_trains_to_its_end_and_leaves_its_numbers_and_a_model()
    {
        var scene = await Scene.Make(app, "Trains");
        var (news, began) = (app.Services.GetRequiredService<ProjectNews>(), false);
        void Hear(string project)
        {
            using var told = app.Db;
            if (project == scene.Project.Id && told.Runs.Any(r => r.ProjectId == project && r.State == RunState.Running)) began = true;
        }
        news.Happened += Hear;
        var number = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, scene.Model.Number, Quick));
        var run = await app.Ended(scene.Project, number);
        news.Happened -= Hear;
        await using var db = app.Db;
        Assert.True(began, "Open pages of the project were not told that the run began.");

        Assert.Equal((RunState.Finished, (string?)null), (run.State, run.Failure));
        var steps = await db.RunSteps.Where(s => s.RunId == run.Id).OrderBy(s => s.Step).Select(s => s.Step).ToListAsync();
        Assert.Equal(Enumerable.Range(1, run.TotalSteps), steps);
        Assert.Equal(4, await db.RunEvaluations.CountAsync(e => e.RunId == run.Id));
        Assert.Equal(1, run.BackboneShare);
        Assert.Equal(64, run.WeightsHash!.Length);
        Assert.True(File.Exists(Path.Combine(app.Folder, "runs", run.Id.ToString(), "best", "model.safetensors")));
        Assert.Contains(await db.RunLog.Where(l => l.RunId == run.Id).Select(l => l.Text).ToListAsync(), l => l.StartsWith("100 % of the backbone loaded from the file"));
    }

    [Fact]
    public async Task A_base_model_that_is_declared_pretrained_is_probed_before_the_first_run_of_a_split_and_the_checklist_says_what_came_of_it()
    {
        var scene = await Scene.Make(app, "Probed", rows: 600);
        async Task<(Run Run, Fact Fact, string[] Probe)> Ran(int model)
        {
            var number = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, model, Quick));
            var run = await app.Ended(scene.Project, number);
            Assert.Equal((RunState.Finished, (string?)null), (run.State, run.Failure));
            var list = await scene.Engineer.Do<MeasureChecklist, MeasuredChecklist>(m => m.Handle(scene.Project.Id, number));
            await using var db = app.Db;
            return (run, list.Lines.Single(l => l.Key == DosAndDonts.Pretrained).Facts.Single(f => f.Id == "P2"), await db.RunLog.Where(l => l.RunId == run.Id && l.Text.Contains("robe")).OrderBy(l => l.Id).Select(l => l.Text).ToArrayAsync());
        }
        Task<BaseModel> Import(string name, string folder) => scene.Engineer.Do<ImportBaseModel, BaseModel>(i => i.FromZip(scene.Project.Id, new() { Name = name, Source = "this test", Origin = ModelOrigin.Pretrained },
            new MemoryStream(ImportBaseModelTests.Zip([.. Directory.GetFiles(folder).Select(f => (Path.GetFileName(f), File.ReadAllBytes(f)))]))));

        var random = await Ran(scene.Model.Number);
        Assert.Equal((null, FactState.NotMeasured, 0), (random.Run.ProbeLoss, random.Fact.State, random.Probe.Length));

        var knows = await Import("Knows the messages", Path.Combine(app.Folder, "runs", random.Run.Id.ToString(), "best"));
        var first = await Ran(knows.Number);
        Assert.True(first.Fact.State == FactState.Pass && first.Run.ProbeGain >= 0.05, first.Fact.Value);
        Assert.StartsWith("Pretrained (declared), 100 % of the backbone loaded, probe gain +", first.Fact.Value);
        Assert.Matches(@"^Probe of the base model, gain \+[0-9.]+ %: after one epoch of a linear head on 480 train rows, the loss on 60 validation rows is [0-9.]+ with the loaded weights and [0-9.]+ with random ones, drawn by the seed [0-9]+\.$", Assert.Single(first.Probe));
        var second = await Ran(knows.Number);
        Assert.Equal((first.Run.ProbeLoss, first.Run.ReinitialisedProbeLoss, first.Fact), (second.Run.ProbeLoss, second.Run.ReinitialisedProbeLoss, second.Fact));
        Assert.Equal($"Probe of the base model, gain {ProbeBackbone.Gain(first.Run.ProbeGain!.Value)}, as run {first.Run.Number} measured it on the same split.", Assert.Single(second.Probe));

        var wrong = await Ran((await Import("Says it knows", Path.Combine(app.Services.GetRequiredService<StudioFolder>().BaseModel(scene.Model.StoredAs)))).Number);
        Assert.True(wrong.Fact.State == FactState.Warn && wrong.Run.ProbeGain < 0.05, wrong.Fact.Value);
    }

    [Fact]
    public async Task A_probe_that_cannot_be_measured_or_is_ended_by_a_person_fails_no_run()
    {
        var run = await FinishedRun.Make(app, "Not probed");
        await using (var change = app.Db) await change.BaseModels.Where(m => m.ProjectId == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(m => m.Origin, ModelOrigin.Pretrained));
        List<TrainingExample> rows = [new LabeledText(1, "late", 0), new LabeledText(2, "early", 1)];
        void Probe(string model, StopRequest asked) => ProbeBackbone.For(run.RunId, new(Quick, model, ["a", "b"], rows, rows, ""), app.Services.GetRequiredService<IDbContextFactory<StudioDb>>(), () => asked, TimeProvider.System, NullLogger.Instance, default);
        Probe(Path.Combine(app.Folder, "gone"), StopRequest.None);
        Probe(PracticeModel.Folder, StopRequest.Stop);
        await using var db = app.Db;
        Assert.Null((await db.Runs.SingleAsync(r => r.Id == run.RunId)).ProbeLoss);
        const string begins = "The base model is declared pretrained; before the first step it is measured once for this split whether it knows more than random weights.";
        Assert.Equal([begins, "Whether the base model knows more than random weights could not be measured: The model folder has no config.json; choose a complete Hugging Face model folder.", begins],
            await db.RunLog.Where(l => l.RunId == run.RunId).OrderBy(l => l.Id).Select(l => l.Text).ToListAsync());
    }

    [Fact]
    public async Task Weights_that_changed_after_their_import_are_not_trained()
    {
        var scene = await Scene.Make(app, "Changed weights");
        var weights = Path.Combine(app.Services.GetRequiredService<StudioFolder>().BaseModel(scene.Model.StoredAs), "model.safetensors");
        var bytes = await File.ReadAllBytesAsync(weights);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(weights, bytes);
        var number = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, scene.Model.Number, Quick));
        var run = await app.Ended(scene.Project, number);
        Assert.Equal(RunState.Failed, run.State);
        Assert.Matches("^The weights of the base model “Practice model” are not those that were imported: their SHA-256 begins with [0-9a-f]{12}, at the import it began with [0-9a-f]{12}. Import the model again and launch a run from it.$", run.Failure);
    }

    [Fact]
    public async Task A_blocked_recipe_is_not_launched_and_says_why()
    {
        var scene = await Scene.Make(app, "Blocked");
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, 1, Quick with { MaxLength = 512 })));
        Assert.StartsWith("Max length is 512 tokens but the base model has only 128 positions", refused.Message);
        refused = await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 9, 1, Quick)));
        Assert.Equal("There is no split 9 in this project; choose one of the frozen splits.", refused.Message);
    }

    [Fact]
    public async Task A_viewer_can_look_but_not_launch_and_a_stranger_sees_nothing()
    {
        var scene = await Scene.Make(app, "Roles");
        var viewer = await app.NewPerson("Viewer");
        await app.Grant(scene.Project, viewer, Role.Viewer);
        Assert.Empty((await viewer.Do<ListRuns, RunList>(list => list.Handle(scene.Project.Id))).Runs);
        Assert.Equal(Denial.RoleMissing, (await Assert.ThrowsAsync<AccessDenied>(() => viewer.Do<LaunchRun, int>(l => l.Handle(scene.Project.Id, 1, 1, Quick)))).Denial);
        var stranger = await app.NewPerson("Stranger");
        Assert.Equal(Denial.NoSuchProject, (await Assert.ThrowsAsync<AccessDenied>(() => stranger.Do<ListRuns, RunList>(l => l.Handle(scene.Project.Id)))).Denial);
    }

    [Fact]
    public async Task Stopping_keeps_the_best_checkpoint_and_cancelling_keeps_nothing()
    {
        var scene = await Scene.Make(app, "Stops", rows: 600);
        var longRun = Quick with { Epochs = 100, EarlyStoppingPatience = 0 };
        var number = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, 1, longRun));
        await app.Until(scene.Project, number, r => r.BestStep is not null);
        await scene.Engineer.Do<StopRun>(s => s.Stop(scene.Project.Id, number));
        var stopped = await app.Ended(scene.Project, number);
        Assert.Equal((RunState.StoppedByPerson, true), (stopped.State, stopped.HasModel));
        Assert.True(stopped.StepsDone < stopped.TotalSteps);

        number = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, 1, longRun));
        var waiting = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, 1, longRun));
        await app.Until(scene.Project, number, r => r.BestStep is not null);
        await scene.Engineer.Do<StopRun>(s => s.Cancel(scene.Project.Id, waiting));
        await scene.Engineer.Do<StopRun>(s => s.Cancel(scene.Project.Id, number));
        var cancelled = await app.Ended(scene.Project, number);
        Assert.Equal((RunState.Cancelled, false), (cancelled.State, cancelled.HasModel));
        Assert.Equal(RunState.Cancelled, (await app.Ended(scene.Project, waiting)).State);
        await Task.Delay(300);
        Assert.False(Directory.Exists(Path.Combine(app.Folder, "runs", cancelled.Id.ToString())));
        var over = await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<StopRun>(s => s.Cancel(scene.Project.Id, number)));
        Assert.Equal($"Run {number} is over already; there is nothing to cancel.", over.Message);
    }
}
