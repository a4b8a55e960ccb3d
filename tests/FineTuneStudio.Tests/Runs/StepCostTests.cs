using FineTuneStudio.Tests.Shell;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Runs;

[Trait("Cost", "Slow")]
[Collection("training")]
public sealed class StepCostTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_step_is_measured_in_the_browser_and_goes_stale_when_a_setting_changes()
    {
        var scene = await Scene.Make(app, "Cost", rows: 900);
        var page = await browser.Open(app.Url);
        var errors = new List<string>();
        page.Console += (_, m) => { if (m.Type == "error") errors.Add(m.Text); };
        await page.SignIn(scene.Engineer.Mail);
        await page.GotoAsync($"/p/{scene.Project.Id}/runs/new");
        var cost = page.GetByRole(AriaRole.Region, new() { Name = "What it will cost here" });
        await cost.GetByRole(AriaRole.Button, new() { Name = "Measure a step" }).ClickAsync();
        await Assertions.Expect(cost.GetByText("It fits on this machine.")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Assertions.Expect(cost.Locator("dl")).ToContainTextAsync("The whole runabout");
        await Assertions.Expect(cost.Locator("[data-stale=no]")).ToBeVisibleAsync();
        await Look.At(page, "step-cost");

        await page.GetByLabel("Batch size", new() { Exact = true }).FillAsync("32");
        await Assertions.Expect(cost.GetByText("Settings were changed after this was measured, so it is out of date; measure again.")).ToBeVisibleAsync();
        await Assertions.Expect(cost.Locator("[data-stale=yes]")).ToBeVisibleAsync();
        await Look.At(page, "step-cost-stale");
        await page.GetByLabel("Batch size", new() { Exact = true }).FillAsync("16");
        await Assertions.Expect(cost.Locator("[data-stale=no]")).ToBeVisibleAsync();

        // Pressed by the page itself as soon as it is there: a look from outside may come after the last step.
        await page.GetByLabel("Batch size", new() { Exact = true }).FillAsync("512");
        await Assertions.Expect(cost.Locator("[data-stale=yes]")).ToBeVisibleAsync();
        await page.EvaluateAsync("""
            () => new MutationObserver((_, watch) => {
                const cancel = [...document.querySelectorAll('.step-cost button')].find(b => b.textContent === 'Cancel the measuring');
                if (cancel) { watch.disconnect(); window.cancelled = true; cancel.click(); }
            }).observe(document.querySelector('.step-cost'), { childList: true, subtree: true })
            """);
        await cost.GetByRole(AriaRole.Button, new() { Name = "Measure again" }).ClickAsync();
        await page.WaitForFunctionAsync("() => window.cancelled");
        await Assertions.Expect(cost.GetByRole(AriaRole.Button, new() { Name = "Measure again" })).ToBeEnabledAsync(new() { Timeout = 30_000 });
        await Assertions.Expect(cost.Locator("[data-stale=yes]")).ToBeVisibleAsync();
        await page.GetByLabel("Batch size", new() { Exact = true }).FillAsync("many");
        await Assertions.Expect(cost.GetByRole(AriaRole.Button, new() { Name = "Measure again" })).ToBeDisabledAsync();
        Assert.Empty(errors);
    }

    [Fact]
    public async Task The_form_shows_what_a_method_reads_blocks_what_it_excludes_and_measures_features_that_are_computed_once()
    {
        var scene = await Scene.Make(app, "Methods");
        var page = await browser.Open(app.Url);
        await page.SignIn(scene.Engineer.Mail);
        await page.GotoAsync($"/p/{scene.Project.Id}/runs/new");
        var layers = page.GetByLabel("Trainable layers", new() { Exact = true });
        var rank = page.GetByLabel("Adapter rank", new() { Exact = true });
        await Assertions.Expect(page.GetByLabel("Method", new() { Exact = true })).ToHaveValueAsync("Full");
        await Assertions.Expect(rank).ToHaveCountAsync(0);
        await Assertions.Expect(page.GetByLabel("Last blocks", new() { Exact = true })).ToHaveCountAsync(0);
        await layers.SelectOptionAsync("HeadOnly");
        var cost = page.GetByRole(AriaRole.Region, new() { Name = "What it will cost here" });
        await cost.GetByRole(AriaRole.Button, new() { Name = "Measure a step" }).ClickAsync();
        await Assertions.Expect(cost.GetByText("Features, once")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Assertions.Expect(cost.GetByText("so what lies below it is computed once for each row before the first step")).ToBeVisibleAsync();
        await Look.At(page, "head-only");

        await page.GetByLabel("Method", new() { Exact = true }).SelectOptionAsync("Lora");
        await Assertions.Expect(rank).ToHaveValueAsync("8");
        await Assertions.Expect(page.GetByText("Trainable layers is set to only the new head, but the method is LoRA").First).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" })).ToBeDisabledAsync();
        await Look.At(page, "adapters-excluded");
        await page.GetByRole(AriaRole.Button, new() { Name = "Reset to All layers" }).ClickAsync();
        await Assertions.Expect(layers).ToHaveCountAsync(0);
        await Assertions.Expect(page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" })).ToBeEnabledAsync();
        await Assertions.Expect(page.GetByText("Adapters train on a base model with random weights").First).ToBeVisibleAsync();
        await Look.At(page, "adapters");
    }
}
