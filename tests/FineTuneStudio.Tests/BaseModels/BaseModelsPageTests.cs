using FineTuneStudio.Projects;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.BaseModels;

[Trait("Cost", "Slow")]
public sealed class BaseModelsPageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_zip_is_sent_from_the_page_and_a_bad_one_is_refused_there_in_a_sentence()
    {
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer, "Catalogue");
        var page = await browser.Open(app.Url);
        await page.SignIn(engineer.Mail);
        await page.GotoAsync($"/p/{project.Id}/base-models");
        await Assertions.Expect(page.GetByText("No base model yet. Import one below.")).ToBeVisibleAsync();
        await page.GetByLabel("Name").FillAsync("Our BERT");
        await page.GetByLabel("Source").FillAsync("From a colleague");
        await page.GetByRole(AriaRole.Button, new() { Name = "Import the model" }).ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("Say where the weights come from: pretrained, random or unknown.");
        await page.GetByLabel("Unknown").CheckAsync();
        await page.GetByLabel("Zip of the folder").SetInputFilesAsync(new FilePayload { Name = "bad.zip", MimeType = "application/zip", Buffer = ImportBaseModelTests.Zip([("../config.json", [1])]) });
        await page.GetByRole(AriaRole.Button, new() { Name = "Import the model" }).ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("The zip has an entry named “../config.json”, which points outside its folder.");

        await page.GetByLabel("Zip of the folder").SetInputFilesAsync(new FilePayload { Name = "good.zip", MimeType = "application/zip", Buffer = ImportBaseModelTests.Zip(ImportBaseModelTests.Files("bert/")) });
        await page.GetByRole(AriaRole.Button, new() { Name = "Import the model" }).ClickAsync();
        await Assertions.Expect(page.GetByText("“Our BERT” is in the catalogue.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("unknown, which does not count as pretrained")).ToBeVisibleAsync();
        var shots = Path.Combine(ContentRoot.Find([]), "artifacts", "screenshots");
        await page.ScreenshotAsync(new() { Path = Path.Combine(shots, "base-models.png"), FullPage = true, Timeout = 60_000 });
        await page.SetViewportSizeAsync(390, 844);
        await page.Locator("#dark").ClickAsync();
        await page.WaitForTimeoutAsync(800);
        Assert.False(await page.EvaluateAsync<bool>("() => document.documentElement.scrollWidth > innerWidth"));
        await page.ScreenshotAsync(new() { Path = Path.Combine(shots, "base-models-390-dark.png"), FullPage = true, Timeout = 60_000 });
    }

    [Fact]
    public async Task An_upload_without_the_page_s_token_is_refused()
    {
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer, "Forged");
        var page = await browser.Open(app.Url);
        await page.SignIn(engineer.Mail);
        var answer = await page.EvaluateAsync<string>($"async () => {{ const a = await fetch('/api/p/{project.Id}/base-models?name=abc&source=abc&origin=Random', {{ method: 'POST', body: 'x' }}); return a.status + ' ' + await a.text(); }}");
        Assert.Equal("400 \"The page is too old for this upload; load it again.\"", answer);
        var viewer = await app.NewPerson("Viewer");
        await app.Grant(project, viewer, Role.Viewer);
        var other = await browser.Open(app.Url);
        await other.SignIn(viewer.Mail);
        Assert.Equal(403, await other.EvaluateAsync<int>($"async () => (await fetch('/api/p/{project.Id}/base-models?name=abc&source=abc&origin=Random', {{ method: 'POST', body: 'x' }})).status"));
        await other.GotoAsync($"/p/{project.Id}/base-models");
        await Assertions.Expect(other.GetByText("No base model yet.")).ToBeVisibleAsync();
        await Assertions.Expect(other.GetByRole(AriaRole.Button, new() { Name = "Import the model" })).ToHaveCountAsync(0);
    }
}
