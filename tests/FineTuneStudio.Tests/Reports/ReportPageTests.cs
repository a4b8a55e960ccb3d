using System.Text.RegularExpressions;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Reports;

[Trait("Cost", "Slow")]
public sealed class ReportPageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task An_engineer_builds_the_report_and_an_approver_signs_what_they_read()
    {
        var run = await FinishedRun.Make(app);
        var page = await browser.Open(app.Url);
        await page.SignIn(run.Engineer.Mail);
        await page.GotoAsync($"/p/{run.Project.Id}/reports?run=1");
        await page.GetByRole(AriaRole.Button, new() { Name = "Build the report of run 1" }).ClickAsync();
        await page.ComesTo("/reports/1$");
        await Expect(page.GetByText(new Regex("^Goal not reached: macro-F1"))).ToBeVisibleAsync(new() { Timeout = 30_000 });
        await Expect(page.GetByText("TF-IDF with logistic regression does better on this test part")).ToBeVisibleAsync();
        await Expect(page.GetByText("100 % of the backbone loaded from the file; origin: random, not pretrained").First).ToBeAttachedAsync();
        await Expect(page.GetByText("You launched run 1, so someone else has to sign.")).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Approve" })).ToHaveCountAsync(0);

        var approver = await run.Approver();
        var theirs = await browser.Open(app.Url);
        await theirs.SignIn(approver.Mail);
        await theirs.GotoAsync($"/p/{run.Project.Id}/reports/1");
        await Expect(theirs.GetByText("10 of 10 do's and don'ts have no answer from the team.")).ToBeVisibleAsync();
        await theirs.GetByLabel("Reason").FillAsync("short");
        await theirs.GetByRole(AriaRole.Button, new() { Name = "Approve" }).ClickAsync();
        await Expect(theirs.GetByRole(AriaRole.Alert)).ToContainTextAsync("The reason has 5 characters; give it 10 to 4,000.");
        await theirs.GetByLabel("Reason").FillAsync("Only for practice; the weak spots are known to the team.");
        await theirs.GetByRole(AriaRole.Button, new() { Name = "Approve" }).ClickAsync();
        await Expect(theirs.GetByText("Approved by Grace Approver")).ToBeVisibleAsync();
        await page.ReloadAsync();
        await Expect(page.GetByText("Approved by Grace Approver")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task Every_number_of_the_main_table_lies_inside_a_wide_and_a_narrow_window()
    {
        var run = await FinishedRun.Make(app);
        var report = await run.Report();
        var page = await browser.Open(app.Url);
        await page.SignIn(run.Engineer.Mail);
        await page.GotoAsync($"/p/{run.Project.Id}/reports/{report}");
        var cells = page.GetByLabel("Metrics of the model and the baselines").Locator("tbody td");
        await Expect(cells).Not.ToHaveCountAsync(0);
        foreach (var width in new[] { 1280, 390 })
        {
            await page.SetViewportSizeAsync(width, 900);
            // The text itself is measured: a cell may be wider than what is seen of it.
            var outside = await cells.EvaluateAllAsync<string[]>("""
                cells => cells.filter(cell => {
                    const text = document.createRange();
                    text.selectNodeContents(cell);
                    const box = text.getBoundingClientRect();
                    let [left, right] = [0, window.innerWidth];
                    for (let at = cell; at; at = at.parentElement)
                        if (getComputedStyle(at).overflowX !== 'visible' && at !== document.documentElement) { const clip = at.getBoundingClientRect(); left = Math.max(left, clip.left); right = Math.min(right, clip.right); }
                    return box.width === 0 || box.left < left || box.right > right;
                }).map(cell => cell.textContent)
                """);
            Assert.True(outside.Length == 0, $"At {width} pixels these lie outside: {string.Join(" | ", outside)}");
            Assert.True(await page.EvaluateAsync<bool>("() => document.documentElement.scrollWidth <= window.innerWidth"), $"The report scrolls sideways at {width} pixels.");
        }
        await Shell.Look.At(page, "report");
    }

    [Fact]
    public async Task A_report_shows_the_learning_curve_of_its_split_on_screen_and_on_paper_and_without_one_says_where_to_measure_it()
    {
        var run = await FinishedRun.Make(app, "Curve on the page");
        var without = await run.Report();
        await run.Curve();
        var report = await run.Report();
        var page = await browser.Open(app.Url);
        await page.SignIn(run.Engineer.Mail);
        await page.GotoAsync($"/p/{run.Project.Id}/reports/{without}");
        var section = page.GetByRole(AriaRole.Region, new() { Name = "What more rows would bring", Exact = true });
        await Expect(section).ToContainTextAsync("There was no learning curve with a measured point when this report was built, so it says nothing about that.");
        await Expect(section.GetByRole(AriaRole.Link, new() { Name = "Few-shot learning curves", Exact = true })).ToHaveAttributeAsync("href", $"/p/{run.Project.Id}/few-shot");

        await page.GotoAsync($"/p/{run.Project.Id}/reports/{report}");
        await page.WaitForFunctionAsync("() => document.querySelector('[data-chart=curve]')?.data?.length === 3");
        await Expect(section.Locator("table.grid tbody tr")).ToHaveCountAsync(4);
        await Expect(section).ToContainTextAsync("It started from this run’s base model, “Practice model”, on this run’s split; no test row was read.");
        await Expect(section.GetByRole(AriaRole.Link, new() { Name = "Ask curve 1 about other gains", Exact = true })).ToBeVisibleAsync();
        Assert.Empty(await Shell.PageFaults.Find(page));
        await section.ScrollIntoViewIfNeededAsync();
        await Shell.Look.At(page, "report-curve");
        await page.EmulateMediaAsync(new() { Media = Media.Print });
        await Expect(section.Locator("[data-chart=curve]")).ToBeVisibleAsync();
        await Expect(section.Locator("table.grid tbody tr").Last).ToBeVisibleAsync();
        await Expect(section.GetByRole(AriaRole.Link, new() { Name = "Ask curve 1 about other gains", Exact = true })).ToBeHiddenAsync();
    }
}
