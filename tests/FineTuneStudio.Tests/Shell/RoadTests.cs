using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Runs;
using FineTuneStudio.Shell;
using FineTuneStudio.Tests.Reports;
using FineTuneStudio.Tests.Runs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Shell;

/// The road above every page of a project, and the button to its next stop.
[Trait("Cost", "Slow")]
public sealed class RoadTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_step_that_is_done_moves_the_road_at_once_and_opens_the_button_to_the_next()
    {
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer, "On its way");
        await using (var db = app.Db) await Scene.FreezeRows(db, project.Id, engineer.Id, 120);
        var page = await browser.Open(app.Url);
        await page.SignIn(engineer.Mail);
        await page.GotoAsync($"/p/{project.Id}/base-models");
        var road = page.GetByRole(AriaRole.Navigation, new() { Name = "Road of the project" });
        await Expect(road.GetByRole(AriaRole.Link, new() { Name = "Run, next: Choose a base model to start from, then launch a run." })).ToBeVisibleAsync();
        await page.GetByLabel("Zip of the folder").SetInputFilesAsync(new FilePayload { Name = "model.zip", MimeType = "application/zip", Buffer = BaseModels.ImportBaseModelTests.Zip(BaseModels.ImportBaseModelTests.Files("")) });
        await page.GetByLabel("Name").FillAsync("Our BERT");
        await page.GetByLabel("Source").FillAsync("From a colleague");
        await page.GetByLabel("Random: it has learned nothing yet").CheckAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Import the model" }).ClickAsync();
        await Expect(road.GetByRole(AriaRole.Link, new() { Name = "Run, next: Configure and launch the first run." })).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Configure a run", Exact = true })).ToHaveAttributeAsync("href", $"/p/{project.Id}/runs/new");
        await Look.At(page, "base-models-next");
        Assert.Empty(await PageFaults.Find(page));
    }

    [Fact]
    public async Task What_another_person_or_the_server_does_is_seen_without_a_step_of_ones_own()
    {
        var run = await FinishedRun.Make(app, "Watched from home");
        var page = await browser.Open(app.Url);
        await page.SignIn(run.Engineer.Mail);
        await page.GotoAsync($"/p/{run.Project.Id}");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Build the report", Exact = true })).ToBeVisibleAsync();
        var second = await app.NewPerson("Second");
        await app.Grant(run.Project, second, Role.Engineer);
        await run.Report(second);
        var road = page.GetByRole(AriaRole.Navigation, new() { Name = "Road of the project" });
        await Expect(road.GetByRole(AriaRole.Link, new() { Name = "Report, done: Report 1 is built." })).ToBeVisibleAsync();
        await Expect(page.GetByText("got report 1 of run 1")).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Open the report", Exact = true })).ToBeVisibleAsync();
        await page.GotoAsync($"/p/{run.Project.Id}/data/1");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Open the report", Exact = true })).ToBeVisibleAsync();
    }

    [Fact]
    public async Task After_a_rejection_the_way_goes_over_another_run_and_its_own_report()
    {
        var run = await FinishedRun.Make(app, "Rejected once");
        var number = await run.Report();
        var approver = await app.NewPerson("Grace Approver");
        await app.Grant(run.Project, approver, Role.Approver);
        Task<IReadOnlyList<Stop>> Stops() => run.Engineer.Do<Road, IReadOnlyList<Stop>>(r => r.Of(run.Project.Id));
        Assert.Equal(("Sign-off", StopState.Next, "Waits for Grace Approver."), Last(await Stops()));
        Assert.EndsWith("test part read by one report.", (await Stops()).Single(s => s.Name == "Split").Says);

        // A newer run: the report that waits is no longer of the model that would be used.
        await using (var db = app.Db)
        {
            var first = await db.Runs.AsNoTracking().SingleAsync(r => r.Id == run.RunId);
            var second = new Run { ProjectId = first.ProjectId, Number = 2, SplitId = first.SplitId, BaseModelId = first.BaseModelId, RecipeJson = first.RecipeJson, RecipeHash = first.RecipeHash, LaunchedById = first.LaunchedById, QueuedAt = first.QueuedAt, BestStep = 30, BestMetric = 0.6, StepsDone = 32, TotalSteps = 32, BackboneShare = 1 };
            second.Start(first.QueuedAt);
            second.End(RunState.Finished, first.QueuedAt);
            db.Runs.Add(second);
            await db.SaveChangesAsync();
        }
        Assert.Equal(("Sign-off", StopState.Open, "Waits for Grace Approver. Report 1 is about run 1, which is no longer the newest."), Last(await Stops()));
        Assert.Equal(("Build the report", $"/p/{run.Project.Id}/reports?run=2"), Waiting(await Stops()));
        await using (var db = app.Db) await db.Runs.Where(r => r.ProjectId == run.Project.Id && r.Number == 2).ExecuteDeleteAsync();

        var hash = (await approver.Do<ReadReport, ReadReport.View?>(r => r.Handle(run.Project.Id, number)))!.Report.Hash!;
        await approver.Do<SignReport>(s => s.Handle(run.Project.Id, number, false, "The rare label is wrong too often.", hash));
        Assert.Equal(("Sign-off", StopState.Stale, "Report 1 was rejected: The rare label is wrong too often."), Last(await Stops()));
        Assert.Equal(("Configure a run", $"/p/{run.Project.Id}/runs/new"), Waiting(await Stops()));
        var page = await browser.Open(app.Url);
        await page.SignIn(run.Engineer.Mail);
        await page.GotoAsync($"/p/{run.Project.Id}");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Configure a run", Exact = true })).ToBeVisibleAsync();
        await Look.At(page, "home-rejected");
        Assert.Empty(await PageFaults.Find(page));

        static (string, StopState, string) Last(IReadOnlyList<Stop> stops) => (stops[^1].Name, stops[^1].State, stops[^1].Says);
        static (string?, string?) Waiting(IReadOnlyList<Stop> stops) => (Road.Waiting(stops)?.Step.Says, Road.Waiting(stops)?.Step.Href);
    }
}
