using System.IO.Compression;
using System.Text;
using FineTuneStudio.Tests.Reports;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Models;

[Trait("Cost", "Slow")]
public sealed class ModelPageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_person_asks_the_model_scores_a_file_and_downloads_both()
    {
        var run = await FinishedRun.Make(app);
        var page = await browser.Open(app.Url);
        await page.SignIn(run.Engineer.Mail);
        await page.GotoAsync($"/p/{run.Project.Id}/model/1");
        await Expect(page.GetByText("No report was built of this model yet")).ToBeVisibleAsync();
        await page.GetByLabel("Text", new() { Exact = true }).FillAsync("where is my parcel?");
        await page.GetByRole(AriaRole.Button, new() { Name = "Ask the model" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.List, new() { Name = "Most likely labels" }).GetByRole(AriaRole.Listitem)).ToHaveCountAsync(3);

        await page.GetByLabel("CSV, TSV or JSON lines").SetInputFilesAsync(new FilePayload { Name = "in.csv", MimeType = "text/csv", Buffer = Encoding.UTF8.GetBytes("text\nfirst message\nsecond message\n") });
        await page.GetByRole(AriaRole.Button, new() { Name = "Score it" }).ClickAsync();
        await Expect(page.GetByText("Scored 2 rows.")).ToBeVisibleAsync();
        var scored = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the scored file" }).ClickAsync());
        Assert.Equal("in-scored.csv", scored.SuggestedFilename);
        Assert.Equal(3, (await File.ReadAllLinesAsync(await scored.PathAsync())).Length);

        var zip = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the model" }).ClickAsync());
        Assert.Equal($"{run.Project.Id}-run-1.zip", zip.SuggestedFilename);
        await using var opened = await ZipFile.OpenReadAsync(await zip.PathAsync());
        Assert.Equal(new FileInfo(run.Weights).Length, opened.GetEntry("model.safetensors")!.Length);
        Assert.Contains("Nothing: no report was built of this model.", await new StreamReader(await opened.GetEntry("README.md")!.OpenAsync()).ReadToEndAsync());
    }
}
