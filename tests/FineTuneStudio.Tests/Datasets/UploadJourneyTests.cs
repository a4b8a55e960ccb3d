using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Datasets;

[Trait("Cost", "Slow")]
public sealed class UploadJourneyTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task Chats_and_nested_questions_are_shown_as_they_will_come_in()
    {
        var owner = await app.NewPerson("Carla Chats");
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        var preview = page.GetByRole(AriaRole.Region, new() { Name = "First rows of the file" });
        async Task Choose(TextTask task, string name, string text)
        {
            var project = await app.NewProject(owner, name, task);
            var file = Path.Combine(app.Folder, name);
            await File.WriteAllTextAsync(file, text);
            await page.GotoAsync($"/p/{project.Id}/data/upload");
            await page.GetByLabel("Drop a file here, or choose one").SetInputFilesAsync(file);
            await page.ComesTo("/data/upload/");
        }
        await Choose(TextTask.Generation, "chats.jsonl", $$"""
            {"messages": [{"role": "system", "content": "{{string.Join(' ', Enumerable.Repeat("Be brief.", 90))}}"}, {"role": "user", "content": "When do you open?"}, {"role": "assistant", "content": "On Sundays at eleven."}]}

            """);
        await Assertions.Expect(preview.GetByText("When do you open?")).ToBeVisibleAsync();
        await Assertions.Expect(preview.GetByText("On Sundays at eleven.")).ToBeVisibleAsync();
        await Assertions.Expect(preview.GetByText("after 1 earlier message, which belongs to the prompt")).ToBeVisibleAsync();
        await Shell.Look.At(page, "upload-chats");
        await Choose(TextTask.QuestionAnswering, "squad.json", """{"data": [{"title": "Ports", "paragraphs": [{"context": "Anna is in Dover.", "qas": [{"id": "1", "question": "Where?", "answers": [{"text": "Dover", "answer_start": 11}]}]}]}]}""");
        await Assertions.Expect(page.GetByLabel("Kind")).ToHaveValueAsync("Squad");
        await Assertions.Expect(page.GetByRole(AriaRole.Button, new() { Name = "Import 1 row" })).ToBeVisibleAsync();
        await Shell.Look.At(page, "upload-squad");
    }

    [Fact]
    public async Task A_file_chosen_in_the_browser_becomes_a_version_whose_labels_were_seen_before()
    {
        var owner = await app.NewPerson("Dana Data");
        var project = await app.NewProject(owner, "Upload journey");
        var file = Path.Combine(app.Folder, "messages.csv");
        await File.WriteAllLinesAsync(file, ["text,label,channel", .. Enumerable.Range(1, 120).Select(i => $"\"Message {i}, please help\",{(i % 10 == 0 ? "" : i % 3 == 0 ? "delivery" : "refund")},mail"), ",refund,mail", "too,few"]);

        var page = await browser.Open(app.Url);
        var errors = new List<string>();
        page.Console += (_, m) => { if (m.Type == "error") errors.Add(m.Text); };
        await page.SignIn(owner.Mail);
        await page.GotoAsync($"/p/{project.Id}/data");
        await Look(page, "empty");
        await page.GetByRole(AriaRole.Link, new() { Name = "Upload data" }).ClickAsync();
        await Assertions.Expect(page.GetByLabel("Drop a file here, or choose one")).ToBeVisibleAsync();
        await Look(page, "upload");
        await page.GetByLabel("Drop a file here, or choose one").SetInputFilesAsync(file);
        await page.ComesTo("/data/upload/");

        await Assertions.Expect(page.GetByLabel("Delimiter")).ToHaveValueAsync("comma");
        await Assertions.Expect(page.GetByLabel("Quote")).ToHaveValueAsync("double");
        await Assertions.Expect(page.GetByLabel("What “text” is")).ToHaveValueAsync("Text");
        await Assertions.Expect(page.GetByLabel("What “label” is")).ToHaveValueAsync("Label");
        await Assertions.Expect(page.GetByText("The text in “text” is empty.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Labels" })).ToContainTextAsync("delivery");
        await Look(page, "read");
        await page.GetByRole(AriaRole.Button, new() { Name = "Import 120 rows" }).ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Link, new() { Name = "Data, done: Version 1: 120 rows, 108 labelled." })).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "See version 1" }).ClickAsync();

        await Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Version 1" })).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("Rows 1 to 50 of 120")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Link, new() { Name = "Make a split", Exact = true })).ToHaveAttributeAsync("href", $"/p/{project.Id}/split");
        await Assertions.Expect(page.GetByRole(AriaRole.Cell, new() { Name = "unlabelled", Exact = true })).ToHaveCountAsync(5);
        await Look(page, "version-unlabelled");
        await page.GetByLabel("Label", new() { Exact = true }).SelectOptionAsync("=delivery");
        await Assertions.Expect(page.GetByText("Rows 1 to 36 of 36")).ToBeVisibleAsync();
        await Look(page, "version");
        await page.GotoAsync($"/p/{project.Id}/data");
        await Assertions.Expect(page.GetByRole(AriaRole.Link, new() { Name = "Version 1", Exact = true })).ToBeVisibleAsync();
        await Look(page, "versions");
        Assert.Empty(errors);

        await using var db = app.Db;
        var version = await db.Versions.AsNoTracking().SingleAsync(v => v.ProjectId == project.Id);
        Assert.Equal((120, 108), (version.RowCount, version.LabeledCount));
        Assert.Equal(["delivery", "refund"], LabelCount.FromJson(version.LabelsJson).Select(l => l.Name));
        Assert.Equal(2, await db.RejectedRows.CountAsync(r => r.ImportId == version.ImportId));
    }

    [Fact]
    public async Task The_pages_of_a_task_show_its_files_and_offer_only_models_that_it_can_train()
    {
        var owner = await app.NewPerson("Olga Owner");
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        foreach (var task in new[] { TextTask.TokenClassification, TextTask.Generation })
        {
            var project = await app.NewProject(owner, $"Files for {task}", task);
            await page.GotoAsync($"/p/{project.Id}/data/upload");
            await Assertions.Expect(page.Locator(".file-example span")).ToHaveTextAsync(FileExamples.Of(task).SelectMany(e => e.Lines));
            await Shell.Look.At(page, $"upload-{task}");
            await page.SetViewportSizeAsync(390, 900);
            Assert.Empty(await Shell.PageFaults.Find(page));
            await page.SetViewportSizeAsync(1280, 900);
            await page.GotoAsync($"/p/{project.Id}/base-models");
            await Assertions.Expect(page.GetByText(task == TextTask.Generation ? "Import a language model below" : "Import one below.")).ToBeVisibleAsync();
            await Shell.Look.At(page, $"base-models-{task}");
        }
    }

    /// Pictures for the eye, where FTS_SHOTS names a folder: wide and narrow, light and dark.
    private static async Task Look(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("FTS_SHOTS") is not { Length: > 0 } folder) return;
        await Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToBeVisibleAsync();
        await page.WaitForTimeoutAsync(500);
        await page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"data-{name}.png"), FullPage = true });
        await page.SetViewportSizeAsync(390, 800);
        await page.GetByLabel("Switch between light and dark colours").ClickAsync();
        await page.WaitForTimeoutAsync(500);
        var wide = await page.EvaluateAsync<int>("document.documentElement.scrollWidth");
        await page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"data-{name}-narrow.png"), FullPage = true });
        await page.GetByLabel("Switch between light and dark colours").ClickAsync();
        await page.SetViewportSizeAsync(1280, 900);
        Assert.True(wide <= 390, $"{name} is {wide} px wide at 390 px");
    }
}
