using FineTuneStudio.Projects;
using FineTuneStudio.Tests.Shell;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.BaseModels;

[Trait("Cost", "Slow")]
public sealed class HubPageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_model_is_named_watched_continued_with_a_token_and_arrives_in_the_catalogue()
    {
        await using var hub = await HubServer.Start(PracticeModel.Folder);
        var configuration = app.Services.GetRequiredService<IConfiguration>();
        (configuration["BaseModels:Hub:Endpoint"], configuration["BaseModels:Hub:PauseSeconds"]) = (hub.Url, "0.01");
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer, "From the hub");
        var page = await browser.Open(app.Url);
        await page.SignIn(engineer.Mail);
        await page.GotoAsync($"/p/{project.Id}/base-models");
        await page.GetByLabel($"A model hub, at {hub.Url}").CheckAsync();
        var send = page.GetByRole(AriaRole.Button, new() { Name = "Import the model" });

        await page.GetByLabel("Model on the hub").FillAsync("https://hub.test/team/bert-tiny");
        await send.ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("“https://hub.test/team/bert-tiny” is not the name of a model on a hub.");
        hub.IsGated = true;
        await page.GetByLabel("Model on the hub").FillAsync("team/bert-tiny");
        await page.GetByLabel("Name", new() { Exact = true }).FillAsync("BERT tiny");
        await page.GetByLabel("Unknown").CheckAsync();
        await send.ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("“team/bert-tiny” is gated:");
        await Look.At(page, "hub-form");
        Assert.Empty(await PageFaults.Find(page));

        (hub.Cuts, hub.CutAfter) = (1000, 0);
        await page.GetByLabel("Access token, for private and gated models").FillAsync(HubServer.Token);
        await send.ClickAsync();
        await Assertions.Expect(page.GetByText("The download of “model.safetensors” was cut off")).ToBeVisibleAsync();
        await Look.At(page, "hub-interrupted");
        Assert.Empty(await PageFaults.Find(page));
        // The form forgot the token, and so did the server.
        Assert.Equal("", await page.GetByLabel("Access token, for private and gated models").InputValueAsync());
        await page.GetByRole(AriaRole.Button, new() { Name = "Continue" }).ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("Give the access token again: the server keeps it nowhere.");

        hub.Cuts = 0;
        hub.PauseBetweenChunks = TimeSpan.FromMilliseconds(900);
        await page.GetByLabel("Access token", new() { Exact = true }).FillAsync(HubServer.Token);
        await page.GetByRole(AriaRole.Button, new() { Name = "Continue" }).ClickAsync();
        await Assertions.Expect(page.GetByText("a second, ")).ToBeVisibleAsync();
        await Look.At(page, "hub-progress");
        await Assertions.Expect(page.GetByRole(AriaRole.Progressbar)).ToBeVisibleAsync();
        hub.PauseBetweenChunks = TimeSpan.Zero;
        await Assertions.Expect(page.GetByText("“BERT tiny” is in the catalogue.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText($"team/bert-tiny@{HubServer.Commit}")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("On the way from the hub")).ToHaveCountAsync(0);

        // A download that is given up is gone at once, and a person who may not import sees none of it.
        hub.PauseBetweenChunks = TimeSpan.FromMilliseconds(900);
        await page.GetByLabel("Model on the hub").FillAsync("team/bert-tiny");
        await page.GetByLabel("Access token, for private and gated models").FillAsync(HubServer.Token);
        await Assertions.Expect(page.GetByLabel("Name", new() { Exact = true })).ToHaveValueAsync("bert-tiny");
        await page.GetByLabel("Unknown").CheckAsync();
        await send.ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Progressbar)).ToBeVisibleAsync();
        var viewer = await app.NewPerson("Viewer");
        await app.Grant(project, viewer, Role.Viewer);
        var other = await browser.Open(app.Url);
        await other.SignIn(viewer.Mail);
        await other.GotoAsync($"/p/{project.Id}/base-models");
        await Assertions.Expect(other.GetByText("BERT tiny").First).ToBeVisibleAsync();
        await Assertions.Expect(other.GetByText("On the way from the hub")).ToHaveCountAsync(0);
        await page.GetByRole(AriaRole.Button, new() { Name = "Cancel the download" }).ClickAsync();
        await Assertions.Expect(page.GetByText("On the way from the hub")).ToHaveCountAsync(0);
    }
}
