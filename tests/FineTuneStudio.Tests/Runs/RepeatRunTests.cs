using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using FineTuneStudio.Tests.Reports;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Runs;

public sealed class RepeatRunTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static readonly RunRecipe Recipe = new() { LearningRate = 3e-4, Epochs = 7, LabelSmoothing = 0.1 };

    private static Task<RunToRepeat?> Repeat(Person who, FinishedRun run, int number = 1) => who.Do<RepeatRun, RunToRepeat?>(r => r.Handle(run.Project.Id, number));

    [Theory, InlineData(RunState.Finished), InlineData(RunState.Failed), InlineData(RunState.StoppedByPerson), InlineData(RunState.Cancelled)]
    public async Task A_repeat_begins_with_the_recipe_the_split_and_the_base_model_of_the_run_however_it_ended(RunState state)
    {
        var run = await FinishedRun.Make(app, $"Repeated {state}", Recipe, state);
        await using var db = app.Db;
        var old = await db.Splits.AsNoTracking().SingleAsync(s => s.Id == run.SplitId);
        db.Splits.Add(new Split { ProjectId = run.Project.Id, Number = 2, VersionId = old.VersionId, Seed = 2, TrainShare = .8, ValidationShare = .1, TestShare = .1, Hash = new string('d', 64), CreatedById = old.CreatedById, CreatedAt = old.CreatedAt, CountsJson = old.CountsJson });
        await db.SaveChangesAsync();
        var again = await Repeat(run.Engineer, run);
        Assert.Equal((1, Recipe, 1, 1), (again!.Number, again.Recipe, again.Split, again.Model));
        Assert.Empty(again.Gone);
    }

    [Fact]
    public async Task What_is_gone_or_cannot_be_trained_any_more_is_said_and_left_to_the_form()
    {
        var run = await FinishedRun.Make(app, "Gone", Recipe);
        await using var db = app.Db;
        await db.BaseModels.Where(m => m.ProjectId == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(m => m.CanTrain, false).SetProperty(m => m.WhyNot, "Its weights are quantized."));
        var again = await Repeat(run.Engineer, run);
        Assert.Equal((1, (int?)null), (again!.Split, again.Model));
        Assert.Equal(["“Practice model” cannot be trained here: Its weights are quantized. Another one is chosen instead."], again.Gone);

        await db.BaseModels.Where(m => m.ProjectId == run.Project.Id).ExecuteDeleteAsync();
        await db.Splits.Where(s => s.Id == run.SplitId).ExecuteDeleteAsync();
        again = await Repeat(run.Engineer, run);
        Assert.Equal((Recipe, (int?)null, (int?)null), (again!.Recipe, again.Split, again.Model));
        Assert.Equal(["The split of run 1 is no longer in this project; the newest one is chosen instead.", "The base model of run 1 is no longer in this project; another one is chosen instead."], again.Gone);
    }

    [Fact]
    public async Task Only_who_may_launch_here_may_ask_and_another_projects_run_is_none_of_this_one()
    {
        var run = await FinishedRun.Make(app, "Private", Recipe);
        var (stranger, viewer) = (await app.NewPerson("Stranger"), await app.NewPerson("Viewer"));
        await app.Grant(run.Project, viewer, Role.Viewer);
        Assert.Equal(Denial.NoSuchProject, (await Assert.ThrowsAsync<AccessDenied>(() => Repeat(stranger, run))).Denial);
        Assert.Equal(Denial.RoleMissing, (await Assert.ThrowsAsync<AccessDenied>(() => Repeat(viewer, run))).Denial);
        Assert.Null(await Repeat(run.Engineer, run, number: 2));
        var theirs = await app.NewProject(stranger, "Theirs");
        Assert.Null(await stranger.Do<RepeatRun, RunToRepeat?>(r => r.Handle(theirs.Id, 1)));
    }
}
