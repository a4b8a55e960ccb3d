using System.Text;
using FineTuneStudio.Projects;
using FineTuneStudio.Tests.Runs;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Pretraining;

[Trait("Cost", "Slow")]
[Collection("training")]
public sealed class PretrainPageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task Text_is_uploaded_and_a_model_pretrained_on_it_is_watched_until_a_run_can_start_from_it()
    {
        var scene = await Scene.Make(app, "Our own text");
        var page = await browser.Open(app.Url);
        var errors = new List<string>();
        page.Console += (_, m) => { if (m.Type == "error" && !m.Text.Contains("400")) errors.Add(m.Text); };
        await page.SignIn(scene.Engineer.Mail);
        ILocator Field(string label) => page.GetByLabel(label, new() { Exact = true });
        ILocator Button(string name) => page.GetByRole(AriaRole.Button, new() { Name = name, Exact = true });
        await page.GotoAsync($"/p/{scene.Project.Id}/base-models");
        await page.GetByRole(AriaRole.Link, new() { Name = "Pretrain a model on your own text", Exact = true }).ClickAsync();
        await page.ComesTo("/pretraining$");
        await Assertions.Expect(page.GetByText("Upload the text first.")).ToBeVisibleAsync();
        await Button("Upload the text").ClickAsync();
        await Assertions.Expect(page.GetByText("Choose one or more text files first.")).ToBeVisibleAsync();
        await Field("Text files").SetInputFilesAsync(
        [
            new FilePayload { Name = "messages.txt", MimeType = "text/plain", Buffer = Encoding.UTF8.GetBytes(PretrainingTests.Messages()) },
            new FilePayload { Name = "broken.txt", MimeType = "text/plain", Buffer = [0x47, 0xfc, 0x6e] },
        ]);
        await Button("Upload the text").ClickAsync();
        await Assertions.Expect(page.GetByText("broken.txt is not UTF-8 near line 1; save it as UTF-8.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Texts", Exact = true }).Locator("tbody tr")).ToHaveCountAsync(1);
        Assert.Equal(0, await Field("Text files").EvaluateAsync<int>("input => input.files.length"));
        await Assertions.Expect(page.GetByText("one document of 20", new() { Exact = true })).ToBeVisibleAsync();

        await Field("Held out, in % of the documents").FillAsync("ten");
        await Assertions.Expect(page.GetByText("The held-out share is “ten”; expected a number from 0 to 50.")).ToBeVisibleAsync();
        await Assertions.Expect(Button("Start the pretraining")).ToBeDisabledAsync();
        await Field("Held out, in % of the documents").FillAsync("10");
        await Field("Batch size").FillAsync("16");
        await Field("Max length").FillAsync("32");
        await Field("Epochs").FillAsync("100");
        await Field("Evaluations per epoch").FillAsync("2");
        await Field("Name of the model that is made").FillAsync("Knows our messages");
        await Shell.Look.At(page, "pretraining-new");
        Assert.Empty(await Shell.PageFaults.Find(page));
        await page.SetViewportSizeAsync(390, 900);
        await page.WaitForTimeoutAsync(300);
        await Shell.Look.At(page, "pretraining-new-390");
        Assert.Empty(await Shell.PageFaults.Find(page));
        await page.SetViewportSizeAsync(1280, 900);
        await Button("Start the pretraining").ClickAsync();
        await page.ComesTo("/pretraining/1$");
        await page.WaitForFunctionAsync("() => Number(document.querySelector('.run-charts')?.dataset.livePoints) > 0", null, new() { Timeout = 60_000 });
        await Assertions.Expect(page.Locator(".verdict")).ToContainTextAsync("Learning. Perplexity on the held-out text went from", new() { Timeout = 60_000 });
        await Assertions.Expect(page.GetByText("left.")).ToBeVisibleAsync();
        await page.WaitForFunctionAsync("() => document.querySelector('[data-chart=metric]').data?.[0].x.length > 5", null, new() { Timeout = 60_000 });
        await Button("Stop and keep the best").ClickAsync();
        await Assertions.Expect(page.Locator(".verdict")).ToContainTextAsync("Stopped by a person. Perplexity on the held-out text went from", new() { Timeout = 60_000 });
        // The curve begins before the first step.
        await page.WaitForFunctionAsync("() => document.querySelector('[data-chart=loss]')?.data?.[2]?.x?.[0] === 0 && document.querySelector('[data-chart=metric]').data[0].x.length > 2");
        Assert.Equal(["training, each step", "training, smoothed", "held-out", "best checkpoint"], await page.EvaluateAsync<string[]>("() => document.querySelector('[data-chart=loss]').data.map(d => d.name)"));
        Assert.Equal(["held-out perplexity", "the same on train text", "best checkpoint"], await page.EvaluateAsync<string[]>("() => document.querySelector('[data-chart=metric]').data.map(d => d.name)"));
        await Assertions.Expect(page.GetByText("Perplexity on the held-out text and on a sample of the train text (lower is better)")).ToBeVisibleAsync();
        Assert.Equal("log", await page.EvaluateAsync<string>("() => document.querySelector('[data-chart=metric]').layout.yaxis.type"));
        await Shell.Look.At(page, "pretraining-run");
        Assert.Empty(await Shell.PageFaults.Find(page));
        await page.SetViewportSizeAsync(390, 900);
        await page.WaitForTimeoutAsync(300);
        await Shell.Look.At(page, "pretraining-run-390");
        Assert.Empty(await Shell.PageFaults.Find(page));
        await page.SetViewportSizeAsync(1280, 900);

        await page.GetByRole(AriaRole.Link, new() { Name = "base model of the project", Exact = true }).ClickAsync();
        await Assertions.Expect(page.GetByText("words of messages.txt, from “Practice model”; held-out loss")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "pretraining 1", Exact = true }).ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Fine-tune it", Exact = true }).ClickAsync();
        await Assertions.Expect(Field("Base model").Locator("option").First).ToHaveTextAsync("Knows our messages");
        Assert.Empty(errors);

        var viewer = await app.NewPerson("Viewer");
        await app.Grant(scene.Project, viewer, Role.Viewer);
        var theirs = await browser.Open(app.Url);
        await theirs.SignIn(viewer.Mail);
        await theirs.GotoAsync($"/p/{scene.Project.Id}/pretraining");
        await Assertions.Expect(theirs.GetByRole(AriaRole.Link, new() { Name = "Pretraining 1", Exact = true })).ToBeVisibleAsync();
        await Assertions.Expect(theirs.GetByRole(AriaRole.Button, new() { Name = "Upload the text" })).ToHaveCountAsync(0);
        await Assertions.Expect(theirs.GetByRole(AriaRole.Button, new() { Name = "Start the pretraining" })).ToHaveCountAsync(0);
    }
}
