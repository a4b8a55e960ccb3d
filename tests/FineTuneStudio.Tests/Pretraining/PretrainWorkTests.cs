using FineTuneStudio.Engine.Training;
using FineTuneStudio.Pretraining;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Tests.Runs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using static FineTuneStudio.Tests.Pretraining.PretrainingTests;

namespace FineTuneStudio.Tests.Pretraining;

[Collection("training")]
public sealed class PretrainWorkTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static readonly FineTuneResult Worked = new(FineTuneOutcome.Finished, 1, 0.5, 1, null);

    private StudioFolder Folder => app.Services.GetRequiredService<StudioFolder>();

    [Fact]
    public void A_stop_before_the_first_step_ends_a_fresh_pretraining_at_once_and_one_with_a_checkpoint_after_its_work()
    {
        Assert.Equal(FineTuneOutcome.StoppedByPerson, Ends(StopRequest.Stop, goesOn: false, seconds: 60).Outcome);
        Assert.Equal(FineTuneOutcome.Cancelled, Ends(StopRequest.Cancel, goesOn: false, seconds: 60).Outcome);
        Assert.Equal(FineTuneOutcome.Cancelled, Ends(StopRequest.Cancel, goesOn: true, seconds: 60).Outcome);
        Assert.Same(Worked, Ends(StopRequest.Stop, goesOn: true, seconds: 1));

        static FineTuneResult Ends(StopRequest asked, bool goesOn, int seconds) => PretrainWork.Unless(Asking(() => asked), goesOn, stretch =>
        {
            stretch.Cancel.WaitHandle.WaitOne(TimeSpan.FromSeconds(seconds));
            stretch.Cancel.ThrowIfCancellationRequested();
            return Worked;
        });
    }

    [Fact]
    public void The_work_is_not_over_while_a_look_for_a_stop_is_under_way()
    {
        using ManualResetEventSlim looking = new(), go = new();
        var looked = false;
        PretrainWork.Unless(Asking(() => { looking.Set(); go.Wait(); looked = true; return StopRequest.Cancel; }), false, stretch =>
        {
            looking.Wait();
            _ = Task.Delay(300).ContinueWith(_ => go.Set());
            return Worked;
        });
        Assert.True(looked);
    }

    private static Stretch Asking(Func<StopRequest> stop) => new(1, _ => { }, stop, Resume: true, CancellationToken.None);

    [Fact]
    public async Task An_error_after_the_first_checkpoint_interrupts_it_and_a_stop_then_keeps_its_best_model()
    {
        var scene = await Scene.Make(app, "Full disk");
        var text = await Upload(scene, "messages.txt", Messages());
        var number = await Start(scene, From(scene.Model, text.Id), Quick with { Epochs = 100 });
        var home = Folder.Run((await Until(scene, number, v => v.Checkpoint && v.Evaluations.Any(e => e.IsBest))).Run.Id);
        // Where the next state would be written, nothing can be: as on a full disk.
        var inTheWay = Path.Combine(home, "last", "state.json.tmp");
        while (true)
            try { Directory.CreateDirectory(inTheWay); break; }
            catch (IOException) { await Task.Delay(1); }
        var failed = await Until(scene, number, v => v.Run.State == RunState.Interrupted);
        Assert.StartsWith("The run stopped on an error that nobody foresaw: ", failed.Run.Failure);
        Assert.EndsWith(" It can go on from its last checkpoint.", failed.Sentence);
        Assert.True(File.Exists(Path.Combine(home, "best", "model.safetensors")));

        Directory.Delete(inTheWay);
        await scene.Engineer.Do<StopPretraining>(s => s.Stop(scene.Project.Id, number));
        var stopped = await Until(scene, number, v => v.Run.IsOver);
        Assert.Equal((RunState.StoppedByPerson, "Our model"), (stopped.Run.State, stopped.Made?.Name));
        Assert.StartsWith("Stopped by a person. Perplexity on the held-out text went from ", stopped.Sentence);
        Assert.False(Directory.Exists(home));
    }

    [Fact]
    public async Task One_that_was_killed_after_its_model_had_come_into_the_catalogue_is_finished_and_cannot_be_cancelled()
    {
        var scene = await Scene.Make(app, "Killed at its end");
        var text = await Upload(scene, "messages.txt", Messages());
        var number = await Start(scene, From(scene.Model, text.Id) with { Steps = 4 });
        var made = (await Until(scene, number, v => v.Run.IsOver)).Made!;

        await Killed("Interrupted", null);
        Assert.Equal("Pretraining 1 had come to its end when the server stopped: “Our model” is a base model of the project, so there is nothing to cancel.", await Refusal(scene.Engineer.Do<StopPretraining>(s => s.Cancel(scene.Project.Id, number))));
        await IsFinished();
        await Killed("Interrupted", null);
        await scene.Engineer.Do<StopPretraining>(s => s.Restart(scene.Project.Id, number));
        await IsFinished();
        await Killed("Running", "cancel");
        app.Services.GetServices<IHostedService>().OfType<Trainer>().Single().Sweep(null, _ => "It is interrupted.");
        await IsFinished();

        async Task Killed(string state, string? asked)
        {
            await using var db = app.Db;
            var id = await db.PretrainRuns.Where(r => r.ProjectId == scene.Project.Id).Select(r => r.Id).SingleAsync();
            await db.Database.ExecuteSqlAsync($"UPDATE Runs SET State = {state}, Asked = {asked}, FinishedAt = NULL, WeightsHash = NULL WHERE Id = {id}");
            Directory.CreateDirectory(Path.Combine(Folder.Run(id), "best"));
        }

        async Task IsFinished()
        {
            var view = await Until(scene, number, v => v.Run.IsOver);
            Assert.Equal((RunState.Finished, made.Id, made.WeightsHash), (view.Run.State, view.Made?.Id, view.Run.WeightsHash));
            Assert.Contains(view.Log, l => l.Text == "It had come to its end when the server stopped: “Our model” is a base model of the project.");
            for (var i = 0; i < 600 && Directory.Exists(Folder.Run(view.Run.Id)); i++) await Task.Delay(100);
            Assert.False(Directory.Exists(Folder.Run(view.Run.Id)));
        }
    }

    [Fact]
    public async Task The_model_of_someone_who_has_lost_the_role_comes_into_the_catalogue_when_someone_who_has_it_restarts()
    {
        var scene = await Scene.Make(app, "Lost role");
        var text = await Upload(scene, "messages.txt", Messages());
        var other = await app.NewPerson("Other");
        await app.Grant(scene.Project, other, Role.Engineer);
        var theirs = scene with { Engineer = other };
        var number = await Start(scene, From(scene.Model, text.Id) with { Steps = 4 });
        await using (var db = app.Db) await db.Memberships.Where(m => m.ProjectId == scene.Project.Id && m.UserId == scene.Engineer.Id).ExecuteDeleteAsync();
        var refused = await Until(theirs, number, v => v.Run.State == RunState.Interrupted);
        Assert.StartsWith("Whoever launched this pretraining may not launch one in this project any more, so its model is kept but not in the catalogue.", refused.Run.Failure);
        Assert.Null(refused.Made);

        await other.Do<StopPretraining>(s => s.Restart(scene.Project.Id, number));
        var finished = await Until(theirs, number, v => v.Run.IsOver);
        Assert.Equal((RunState.Finished, other.Id, "Other"), (finished.Run.State, finished.Made?.CreatedById, finished.LaunchedBy));
        Assert.Contains(finished.Log, l => l.Text == "Whoever launched it may not any more; from here on it runs in the name of who restarts it.");
    }
}
