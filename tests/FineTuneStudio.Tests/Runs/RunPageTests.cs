using FineTuneStudio.Engine.Training;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Runs;

[Trait("Cost", "Slow")]
[Collection("training")]
public sealed class RunPageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_run_is_configured_launched_and_watched_live_and_a_late_page_shows_the_same_curve()
    {
        var scene = await Scene.Make(app, "Watched", rows: 900);
        var page = await browser.Open(app.Url);
        var errors = new List<string>();
        page.Console += (_, m) => { if (m.Type == "error") errors.Add(m.Text); };
        await page.SignIn(scene.Engineer.Mail);
        await page.GotoAsync($"/p/{scene.Project.Id}/runs/new");
        await page.GetByLabel("Learning rate", new() { Exact = true }).FillAsync("fast");
        await Assertions.Expect(page.GetByText("Learning rate is \"fast\"; expected a number from").First).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" })).ToBeDisabledAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "as this base model suggests" }).ClickAsync();
        await page.GetByLabel("Max length", new() { Exact = true }).FillAsync("48");
        await page.GetByLabel("Epochs", new() { Exact = true }).FillAsync("16");
        await Assertions.Expect(page.GetByRole(AriaRole.Button, new() { Name = "Reset to 3", Exact = true })).ToBeVisibleAsync();
        await Snap(page, "new-run");
        // Enter belongs to the button: in a field, or on a choice, it launches nothing. Reset is seen after it, so the server has heard it by then.
        await page.GetByLabel("Base model", new() { Exact = true }).PressAsync("Enter");
        await page.GetByLabel("Epochs", new() { Exact = true }).PressAsync("Enter");
        await page.GetByLabel("Batch size", new() { Exact = true }).FillAsync("8");
        await page.GetByRole(AriaRole.Button, new() { Name = "Reset to 16", Exact = true }).ClickAsync();
        await Assertions.Expect(page.GetByLabel("Batch size", new() { Exact = true })).ToHaveValueAsync("16");
        await using (var before = app.Db) Assert.Equal(0, await before.Runs.CountAsync(r => r.ProjectId == scene.Project.Id));
        await page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" }).PressAsync("Enter");
        await page.ComesTo("/runs/1$");
        await page.WaitForFunctionAsync("() => +document.querySelector('.run-charts')?.dataset.livePoints >= 50", null, new() { Timeout = 60_000 });
        await Snap(page, "run-live");
        await Assertions.Expect(page.Locator("[data-state=Finished]").First).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Assertions.Expect(page.Locator(".verdict")).ToContainTextAsync("Best macro-F1");
        await Assertions.Expect(page.GetByRole(AriaRole.Link, new() { Name = "Run, done: Run 1 has a model." })).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("100 % of the backbone loaded from the file; origin: random, not pretrained")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Link, new() { Name = "Build the report" })).ToHaveAttributeAsync("href", $"/p/{scene.Project.Id}/reports?run=1");
        var seen = await Points(page);
        await Snap(page, "run-finished");

        await using (var probed = app.Db) await probed.Runs.Where(r => r.ProjectId == scene.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(r => r.ProbeLoss, 0.75).SetProperty(r => r.ReinitialisedProbeLoss, 1.0));
        var late = await browser.Open(app.Url, 390, 844);
        await late.SignIn(scene.Engineer.Mail);
        await late.GotoAsync($"/p/{scene.Project.Id}/runs/1");
        await Assertions.Expect(late.GetByText("not pretrained; probe gain +25.0 % over random weights")).ToBeVisibleAsync();
        await late.WaitForFunctionAsync("() => document.querySelector('[data-chart=loss]')?.data?.[0]?.x?.length > 0");
        Assert.Equal(seen, await Points(late));
        await using var db = app.Db;
        var id = (await db.Runs.SingleAsync(r => r.ProjectId == scene.Project.Id)).Id;
        var stored = await db.RunSteps.Where(s => s.RunId == id).OrderBy(s => s.Step).Select(s => s.TrainLoss).ToListAsync();
        Assert.Equal(stored.Select(l => Math.Round(l, 6)), seen.Select(l => Math.Round(l, 6)));
        Assert.False(await late.EvaluateAsync<bool>("() => document.documentElement.scrollWidth > innerWidth"));
        await late.Locator("#dark").ClickAsync();
        await late.WaitForTimeoutAsync(900);
        await Snap(late, "run-late-dark-390");
        await late.GotoAsync($"/p/{scene.Project.Id}/runs");
        await Assertions.Expect(late.GetByRole(AriaRole.Link, new() { Name = "Run 1", Exact = true })).ToBeVisibleAsync();
        await Snap(late, "runs-390");
        Assert.Empty(errors);
    }

    [Fact]
    public async Task Advanced_settings_are_folded_until_wanted_checked_before_the_launch_and_stored_with_the_run()
    {
        var scene = await Scene.Make(app, "Advanced");
        var page = await browser.Open(app.Url);
        await page.SignIn(scene.Engineer.Mail);
        await page.GotoAsync($"/p/{scene.Project.Id}/runs/new");
        ILocator Field(string label) => page.GetByLabel(label, new() { Exact = true });
        await Assertions.Expect(page.GetByText("Advanced · 10 settings, all at their default")).ToBeVisibleAsync();
        await Assertions.Expect(Field("Label smoothing")).ToBeHiddenAsync();
        await page.GetByText("Advanced ·").ClickAsync();
        await Field("Label smoothing").FillAsync("0.1");
        await Field("Focal loss gamma").FillAsync("2");
        await Assertions.Expect(page.Locator("[data-finding=contradiction]")).ToContainTextAsync("set one of the two to 0");
        await Assertions.Expect(page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" })).ToBeDisabledAsync();
        await page.Locator("[data-field=FocalGamma]").GetByRole(AriaRole.Button, new() { Name = "Reset to 0", Exact = true }).ClickAsync();
        await Field("Class weights").SelectOptionAsync("Balanced");
        await Assertions.Expect(page.Locator("[data-finding=class-weights-inert]")).ToContainTextAsync("every label has");
        await Field("Class weights").SelectOptionAsync("None");
        await Field("Accumulated batches").FillAsync("2");
        await Field("Optimizer").SelectOptionAsync("Adafactor");
        await Assertions.Expect(page.Locator(".facts").Filter(new() { HasText = "Rows a step" })).ToContainTextAsync("32, in 2 batches");
        await Assertions.Expect(page.GetByText("Advanced · 3 of 10 settings changed")).ToBeVisibleAsync();
        await Assertions.Expect(page.Locator(".changes").First).ToContainTextAsync("Optimizer: AdamW → Adafactor");
        foreach (var width in new[] { 1280, 390 })
        {
            await page.SetViewportSizeAsync(width, 900);
            await page.WaitForTimeoutAsync(300);
            await Snap(page, $"new-run-advanced-{width}");
            Assert.Empty(await Shell.PageFaults.Find(page));
        }
        await page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" }).ClickAsync();
        await page.ComesTo("/runs/1$");
        await Assertions.Expect(page.Locator("[data-state=Finished]").First).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await using var db = app.Db;
        var recipe = RunRecipe.FromJson((await db.Runs.SingleAsync(r => r.ProjectId == scene.Project.Id)).RecipeJson);
        Assert.Equal(new() { LearningRate = 1e-3, LabelSmoothing = 0.1, GradientAccumulation = 2, Optimizer = OptimizerKind.Adafactor }, recipe);

        await Shell.Look.At(page, "run-page");
        await page.GetByRole(AriaRole.Link, new() { Name = "Run again with these settings", Exact = true }).ClickAsync();
        await page.ComesTo("/runs/new\\?from=1$");
        await Assertions.Expect(page.GetByText("These are the settings of run 1")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("Advanced · 3 of 10 settings changed")).ToBeVisibleAsync();
        await Assertions.Expect(Field("Label smoothing")).ToHaveValueAsync("0.1");
        await Assertions.Expect(Field("Optimizer")).ToHaveValueAsync("Adafactor");
        await Shell.Look.At(page, "run-again");
        Assert.Empty(await Shell.PageFaults.Find(page));
        // A number that this project has no run for is said, and the form is as it always is.
        await page.GotoAsync($"/p/{scene.Project.Id}/runs/new?from=7");
        await Assertions.Expect(page.GetByText("This project has no run 7 whose settings could be taken; these are the defaults.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("Advanced · 10 settings, all at their default")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task An_empty_project_says_what_is_missing_before_a_run()
    {
        var owner = await app.NewPerson("Owner");
        var project = await app.NewProject(owner, "Nothing yet");
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        await page.GotoAsync($"/p/{project.Id}/runs");
        await Assertions.Expect(page.GetByText("First it needs a split")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("Then it needs a base model")).ToBeVisibleAsync();
        await page.GotoAsync($"/p/{project.Id}/runs/new");
        await Assertions.Expect(page.GetByText("A run needs rows that are divided")).ToBeVisibleAsync();
    }

    private static async Task<double[]> Points(IPage page)
    {
        await page.WaitForTimeoutAsync(800);
        return await page.EvaluateAsync<double[]>("() => document.querySelector('[data-chart=loss]').data[0].y");
    }

    private static async Task Snap(IPage page, string name) =>
        await page.ScreenshotAsync(new() { Path = Path.Combine(ContentRoot.Find([]), "artifacts", "screenshots", name + ".png"), FullPage = true, Timeout = 60_000 });
}
