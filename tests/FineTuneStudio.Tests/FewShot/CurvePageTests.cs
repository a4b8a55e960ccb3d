using FineTuneStudio.Projects;
using FineTuneStudio.Tests.Runs;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.FewShot;

[Trait("Cost", "Slow")]
[Collection("training")]
public sealed class CurvePageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_curve_is_chosen_started_and_watched_until_its_chart_its_numbers_and_its_advice_are_there()
    {
        var scene = await Scene.Make(app, "Few examples");
        var page = await browser.Open(app.Url);
        var errors = new List<string>();
        page.Console += (_, m) => { if (m.Type == "error") errors.Add(m.Text); };
        await page.SignIn(scene.Engineer.Mail);
        ILocator Field(string label) => page.GetByLabel(label, new() { Exact = true });
        await page.GotoAsync($"/p/{scene.Project.Id}/runs");
        await page.GetByRole(AriaRole.Link, new() { Name = "Few-shot learning curves", Exact = true }).ClickAsync();
        await page.ComesTo("/few-shot$");
        await Assertions.Expect(page.GetByText("its test rows are never read")).ToBeVisibleAsync();
        await Assertions.Expect(page.Locator("[data-points='72']")).ToBeVisibleAsync();
        await Shell.Look.At(page, "few-shot-new");
        Assert.Empty(await Shell.PageFaults.Find(page));
        await page.GetByRole(AriaRole.Checkbox, new() { Name = "full fine-tuning" }).UncheckAsync();
        await page.GetByRole(AriaRole.Checkbox, new() { Name = "LoRA" }).UncheckAsync();
        await Field("Examples a label").FillAsync("1, two");
        await Assertions.Expect(page.GetByText("A number of examples a label is “two”; expected a whole number.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Button, new() { Name = "Start the curve" })).ToBeDisabledAsync();
        await Field("Examples a label").FillAsync("1, 2");
        await Field("Draws").FillAsync("2");
        await Field("Steps of a point that trains").FillAsync("20");
        await Assertions.Expect(page.Locator("[data-points='8']")).ToContainTextAsync("8 points, of which 4 train for 20 steps or more.");
        await page.GetByRole(AriaRole.Button, new() { Name = "Measure how long it will take", Exact = true }).ClickAsync();
        await Assertions.Expect(page.Locator("[data-estimate]")).ToContainTextAsync("About a minute or less on this machine", new() { Timeout = 60_000 });
        await Field("Draws").FillAsync("3");
        await Assertions.Expect(page.GetByText("Settings were changed after this was measured, so it is out of date; measure again.")).ToBeVisibleAsync();
        await Field("Draws").FillAsync("2");
        await Assertions.Expect(page.GetByText("so it is out of date")).ToHaveCountAsync(0);
        await page.GetByRole(AriaRole.Button, new() { Name = "Start the curve" }).ClickAsync();
        await page.ComesTo("/few-shot/1$");
        await Assertions.Expect(page.GetByText("Measured: 8 of 8 points.")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await page.WaitForFunctionAsync("() => document.querySelector('[data-chart=curve]')?.data?.length === 3 && document.querySelector('[data-chart=curve]').data[1].error_y.array.length === 2");
        Assert.Equal(["head only", "nearest centroid", "always “billing”"], await page.EvaluateAsync<string[]>("() => document.querySelector('[data-chart=curve]').data.map(d => d.name)"));
        await Assertions.Expect(page.Locator("[data-advice]")).ToHaveTextAsync("Only two numbers of rows were measured; what more rows would bring can be foreseen from at least three.");
        await Assertions.Expect(page.GetByText("Always saying “billing”, the most frequent label of the train rows")).ToBeVisibleAsync();
        await Assertions.Expect(page.Locator("table.grid tbody tr")).ToHaveCountAsync(2);

        // With a third number of examples it can foresee.
        await page.GetByRole(AriaRole.Link, new() { Name = "All curves", Exact = true }).ClickAsync();
        await Field("Examples a label").FillAsync("1, 2, 4, 8");
        await Field("Draws").FillAsync("3");
        await Field("Steps of a point that trains").FillAsync("20");
        await Assertions.Expect(page.Locator("[data-points='48']")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Start the curve" }).ClickAsync();
        await page.ComesTo("/few-shot/2$");
        await Assertions.Expect(page.GetByText("Measured: 48 of 48 points.")).ToBeVisibleAsync(new() { Timeout = 120_000 });
        await Field("Method").SelectOptionAsync("Centroid");
        await Field("Gain wanted, in points of macro-F1").FillAsync("zero");
        await Assertions.Expect(page.GetByText("The gain is “zero”; expected a number of points above 0 and below 100.")).ToBeVisibleAsync();
        await Field("Gain wanted, in points of macro-F1").FillAsync("3");
        await Assertions.Expect(page.Locator("[data-advice]")).ToContainTextAsync("now (24 rows)");
        await Field("Compared with").SelectOptionAsync("all");
        await Assertions.Expect(page.Locator("[data-advice]")).ToContainTextAsync("96");
        await Field("Measured by").SelectOptionAsync("Accuracy");
        await Assertions.Expect(page.GetByText("Accuracy on the validation rows over examples a label")).ToBeVisibleAsync();
        await Shell.Look.At(page, "few-shot-curve");
        Assert.Empty(await Shell.PageFaults.Find(page));
        await page.SetViewportSizeAsync(390, 900);
        await page.WaitForTimeoutAsync(300);
        Assert.Empty(await Shell.PageFaults.Find(page));
        Assert.Empty(errors);

        var viewer = await app.NewPerson("Viewer");
        await app.Grant(scene.Project, viewer, Role.Viewer);
        var theirs = await browser.Open(app.Url);
        await theirs.SignIn(viewer.Mail);
        await theirs.GotoAsync($"/p/{scene.Project.Id}/few-shot");
        await Assertions.Expect(theirs.GetByRole(AriaRole.Link, new() { Name = "Curve 2", Exact = true })).ToBeVisibleAsync();
        await Assertions.Expect(theirs.GetByRole(AriaRole.Button, new() { Name = "Start the curve" })).ToHaveCountAsync(0);
    }
}
