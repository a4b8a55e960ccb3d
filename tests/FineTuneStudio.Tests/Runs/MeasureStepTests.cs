using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Runs;

[Collection("training")]
public sealed class MeasureStepTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static readonly RunRecipe Quick = new() { Epochs = 2, LearningRate = 1e-3, BatchSize = 8, MaxLength = 32 };

    private static Task<MeasuredStep> Measure(Scene scene, Person? who = null, RunRecipe? recipe = null, Action<double>? progress = null, CancellationToken cancel = default) =>
        (who ?? scene.Engineer).Do<MeasureStep, MeasuredStep>(m => m.Handle(scene.Project.Id, 1, scene.Model.Number, recipe ?? Quick, progress, cancel));

    [Fact]
    public async Task A_measured_step_says_what_the_run_will_take_of_this_machine_and_leaves_nothing()
    {
        var scene = await Scene.Make(app, "Measured");
        var shares = new List<double>();
        var measured = await Measure(scene, progress: shares.Add);
        Assert.True(measured.Cost is { MedianStepSeconds: > 0, RunSeconds: > 0, EvaluationSeconds: > 0, PeakMemoryBytes: > 0 }, $"{measured}");
        Assert.True(measured is { FreeMemoryBytes: > 0, FreeDiskBytes: > 0 }, $"{measured}");
        Assert.Equal(1, shares[^1]);
        await using var db = app.Db;
        Assert.False(await db.Runs.AnyAsync(r => r.ProjectId == scene.Project.Id));
    }

    [Fact]
    public async Task A_viewer_may_not_measure_and_a_stranger_sees_no_project()
    {
        var scene = await Scene.Make(app, "Who measures");
        var viewer = await app.NewPerson("Viewer");
        await app.Grant(scene.Project, viewer, Role.Viewer);
        Assert.Equal(Denial.RoleMissing, (await Assert.ThrowsAsync<AccessDenied>(() => Measure(scene, viewer))).Denial);
        var stranger = await app.NewPerson("Stranger");
        Assert.Equal(Denial.NoSuchProject, (await Assert.ThrowsAsync<AccessDenied>(() => Measure(scene, stranger))).Denial);
    }

    [Fact]
    public async Task Nothing_is_measured_on_a_busy_machine_or_of_a_recipe_that_cannot_run()
    {
        var scene = await Scene.Make(app, "Busy", rows: 600);
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => Measure(scene, recipe: Quick with { MaxLength = 512 }));
        Assert.StartsWith("Max length is 512 tokens but the base model has only 128 positions", refused.Message);

        var number = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, 1, Quick with { Epochs = 100, EarlyStoppingPatience = 0 }));
        await app.Until(scene.Project, number, r => r.StepsDone > 0);
        refused = await Assert.ThrowsAsync<ArgumentException>(() => Measure(scene));
        Assert.Equal("A run is training on this server, so a step measured now would come out slower than it is; measure when the run is over.", refused.Message);
        await scene.Engineer.Do<StopRun>(s => s.Cancel(scene.Project.Id, number));
        await app.Ended(scene.Project, number);
    }

    [Fact]
    public async Task Two_are_not_measured_at_once_and_a_cancelled_one_makes_room()
    {
        var scene = await Scene.Make(app, "Two at once");
        using var stop = new CancellationTokenSource();
        var (begun, held) = (new TaskCompletionSource(), new ManualResetEventSlim());
        var first = Measure(scene, progress: _ => { begun.TrySetResult(); held.Wait(); }, cancel: stop.Token);
        await begun.Task.WaitAsync(TimeSpan.FromSeconds(60));
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => Measure(scene));
        Assert.Equal("A step is being measured on this server already, and two at once would slow each other down; try again in a few seconds.", refused.Message);
        stop.Cancel();
        held.Set();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.True((await Measure(scene)).Cost.RunSeconds > 0);
    }

    [Fact]
    public async Task A_run_that_is_launched_meanwhile_goes_first()
    {
        var scene = await Scene.Make(app, "Run first");
        var (begun, held) = (new TaskCompletionSource(), new ManualResetEventSlim());
        var measuring = Measure(scene, progress: _ => { begun.TrySetResult(); held.Wait(); });
        await begun.Task.WaitAsync(TimeSpan.FromSeconds(60));
        var number = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, 1, Quick));
        using var trains = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!app.Services.GetRequiredService<TrainerSignals>().RunWants) await Task.Delay(20, trains.Token);
        held.Set();
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => measuring);
        Assert.Equal("A run began to train, so the measuring was stopped; measure when the run is over.", refused.Message);
        Assert.Equal(RunState.Finished, (await app.Ended(scene.Project, number)).State);
    }

    [Fact]
    public void What_does_not_fit_says_what_to_change()
    {
        var cost = new DryRunResult(1, 2, 64, 1, 100, PeakMemoryBytes: 8L << 30, BestCheckpointBytes: 1L << 30, LastCheckpointBytes: 3L << 30, MeasuredRows: 4);
        Assert.Empty(WhatFits.Advice(Quick, new(cost, 16L << 30, 16L << 30), TextTask.SingleLabel));
        Assert.Equal([
            "Halve the batch size to 4 and double the accumulated batches to 2: each step still learns from 8 rows, in about half the memory of a batch.",
            "Turn on activation checkpointing: each block is computed again for its gradients instead of being kept, the same run in less memory with slower steps.",
            "Set max length to 32: the longest batch has 64 tokens. A longer text is then cut at its end.",
            "Train fewer layers, or adapters by LoRA: gradients and the optimizer's state are kept only for those that train.",
        ], WhatFits.Advice(Quick, new(cost, 4L << 30, 16L << 30), TextTask.SingleLabel));
        Assert.Equal(["Free 2 GiB on the server's disk, for example by removing the folders of old runs' models that nobody uses."],
            WhatFits.Advice(Quick with { TrainableLayers = TrainableLayers.HeadOnly }, new(cost, null, 5L << 30), TextTask.SingleLabel));
        Assert.DoesNotContain(WhatFits.Advice(Quick with { Method = TrainingMethod.Lora }, new(cost, 4L << 30, 16L << 30), TextTask.SingleLabel), a => a.StartsWith("Train fewer layers"));
    }

    [Theory]
    [InlineData(TextTask.Generation, "the beginning of the prompt is then cut")]
    [InlineData(TextTask.QuestionAnswering, "is then read in more windows")]
    [InlineData(TextTask.TokenClassification, "only the beginning is then learned")]
    [InlineData(TextTask.Regression, "of a pair, the longer text loses its end first")]
    public void A_shorter_max_length_is_advised_with_what_it_does_to_the_texts_of_the_task(TextTask task, string happens)
    {
        var cost = new DryRunResult(1, 2, 64, 1, 100, PeakMemoryBytes: 8L << 30, BestCheckpointBytes: 1L << 30, LastCheckpointBytes: 3L << 30, MeasuredRows: 4);
        Assert.Contains(happens, Assert.Single(WhatFits.Advice(Quick, new(cost, 4L << 30, 16L << 30), task), a => a.StartsWith("Set max length to 32: ")));
    }
}
