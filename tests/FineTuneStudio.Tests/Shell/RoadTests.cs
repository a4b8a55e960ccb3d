using FineTuneStudio.Projects;
using FineTuneStudio.Tests.Reports;
using FineTuneStudio.Tests.Runs;
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
        await page.GetByRole(AriaRole.Button, new() { Name = "Add the practice model" }).ClickAsync();
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
}
