using System.IO.Compression;
using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Tests.Shell;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Journeys;

/// Token classification in the browser on real sentences: tagged words in, a model that marks spans out.
[Trait("Cost", "Slow")]
public sealed class SpansJourneyTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    private const string Project = "/p/names-in-posts";

    [SkippableFact]
    public async Task Tagged_words_go_in_and_a_model_that_marks_spans_comes_out()
    {
        var wnut = Shared.Find("data/token-classification/wnut17");
        var owner = await app.NewPerson("Owner");
        var page = await browser.Open(app.Url);
        List<string> errors = [];
        page.Console += (_, m) => { if (m.Type == "error") errors.Add($"{page.Url}: {m.Text}"); };
        page.PageError += (_, e) => errors.Add($"{page.Url}: {e}");
        await page.SignIn(owner.Mail);
        await StartProject(page);
        await Upload(page, wnut);
        await page.GotoAsync($"{Project}/split");
        await Expect(page.GetByText("creative-work").First).ToBeVisibleAsync();
        await Look.At(page, "spans-split");
        await page.GetByRole(AriaRole.Button, new() { Name = "Freeze this split" }).ClickAsync(new() { Timeout = 60_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { NameRegex = new Regex("^Split 1 of version 1") })).ToBeVisibleAsync();
        await owner.AddPracticeModel(Project[3..]);
        await Train(page);
        await Report(page);
        await Use(page);
        await page.GotoAsync($"{Project}/checklist");
        await Expect(page.GetByText("Spans of each type").First).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Look.At(page, "spans-checklist");
        Assert.Empty(errors);
    }

    private static async Task StartProject(IPage page)
    {
        await page.GotoAsync("/");
        await page.GetByRole(AriaRole.Link, new() { Name = "New project" }).ClickAsync();
        await page.GetByLabel("Name").FillAsync("Names in posts");
        await page.GetByLabel("What is the model for?").FillAsync("Find people, places and products that posts talk of.");
        await page.GetByLabel("What does the model answer?").SelectOptionAsync("TokenClassification");
        await Expect(page.GetByLabel("The metric that matters")).ToHaveValueAsync("EntityF1");
        await page.GetByLabel("Good enough at").FillAsync("0.3");
        await page.GetByLabel("Who approves?").FillAsync("the editor");
        await Look.At(page, "spans-start");
        await Press(page, "Create the project");
        await page.ComesTo(Project + "$");
    }

    private async Task Upload(IPage page, string wnut)
    {
        // The first sentences of the train and of the test file, whose names end differently.
        var sentences = new[] { "wnut17train.conll", "emerging.test.annotated" }.SelectMany(f => File.ReadAllText(Path.Combine(wnut, f)).Split(["\n\t\n", "\n\n"], StringSplitOptions.RemoveEmptyEntries).Take(300)).ToList();
        var file = Path.Combine(app.Folder, "posts.annotated");
        await File.WriteAllTextAsync(file, string.Join("\n\t\n", sentences) + "\n\t\nno tag\n");
        await page.GotoAsync($"{Project}/data/upload");
        await page.GetByLabel("Drop a file here, or choose one").SetInputFilesAsync(file);
        await page.ComesTo("/data/upload/");
        await Expect(page.GetByLabel("Kind")).ToHaveValueAsync("TaggedWords");
        await Expect(page.GetByLabel("Column of the tag")).ToHaveValueAsync("2");
        await Expect(page.GetByText("its words joined by single blanks")).ToBeVisibleAsync();
        await Expect(page.Locator(".preview mark").First).ToContainTextAsync("Empire State Building");
        var import = page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex("^Import 600 rows$") });
        await Expect(import).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await Look.At(page, "spans-mapping");
        await import.ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "See version 1" }).ClickAsync(new() { Timeout = 120_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Version 1" })).ToBeVisibleAsync();
        await page.GetByLabel("Label", new() { Exact = true }).SelectOptionAsync("=creative-work");
        await Expect(page.Locator("tbody mark", new() { HasTextString = "creative-work" }).First).ToBeVisibleAsync();
        await Look.At(page, "spans-version");
    }

    private async Task Train(IPage page)
    {
        await page.GotoAsync($"{Project}/runs/new");
        await page.GetByLabel("Learning rate", new() { Exact = true }).FillAsync("2e-3");
        await page.GetByLabel("Epochs", new() { Exact = true }).FillAsync("6");
        await Expect(page.GetByLabel("Best checkpoint by")).ToContainTextAsync("ntity F1");
        var launch = page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" });
        await Expect(launch).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await Look.At(page, "spans-new-run");
        await launch.ClickAsync();
        await page.ComesTo("/runs/1$");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Build the report" })).ToBeVisibleAsync(new() { Timeout = 600_000 });
        await Expect(page.GetByText("entity F1").First).ToBeVisibleAsync();
        await Look.At(page, "spans-run");
        await using var db = app.Db;
        var losses = await db.RunSteps.OrderBy(s => s.Step).Select(s => s.TrainLoss).ToListAsync();
        Assert.True(losses[^10..].Average() < 0.5 * losses[..10].Average(), $"from {losses[..10].Average()} to {losses[^10..].Average()}");
        var evaluations = await db.RunEvaluations.OrderBy(e => e.Step).ToListAsync();
        Assert.All(evaluations, e => Assert.InRange(e[FineTuneStudio.Engine.Metrics.Metric.EntityF1], 0, 1));
        Assert.True(evaluations[^1][FineTuneStudio.Engine.Metrics.Metric.WordAccuracy] > 0.8);
    }

    private static async Task Report(IPage page)
    {
        await page.GotoAsync($"{Project}/reports?run=1");
        await Press(page, "Build the report of run 1");
        await page.ComesTo("/reports/1$");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Sign-off" })).ToBeVisibleAsync(new() { Timeout = 300_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "What goes wrong" })).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Spans by kind of error" }).Locator("tbody tr")).ToHaveCountAsync(5);
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Scores per label" }).Locator("tbody tr")).ToHaveCountAsync(6);
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Rows with their spans" }).First.Locator("mark").First).ToBeVisibleAsync();
        await Expect(page.GetByText("List of known spans").First).ToBeVisibleAsync();
        await Look.At(page, "spans-report");
    }

    private async Task Use(IPage page)
    {
        await page.GotoAsync($"{Project}/model/1");
        await page.GetByLabel("Text", new() { Exact = true }).FillAsync("Pretty bad storm at the Empire State Building, says Anna from New York");
        await Press(page, "Ask the model");
        await Expect(page.GetByText(new Regex("^It marks "))).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Look.At(page, "spans-model");
        var file = Path.Combine(app.Folder, "to-score.csv");
        await File.WriteAllTextAsync(file, "id,text\n1,Empire State Building\n2,nothing here\n");
        await page.GetByLabel("CSV, TSV or JSON lines").SetInputFilesAsync(file);
        await page.GetByLabel("Column with the text").SelectOptionAsync("text");
        await Press(page, "Score it");
        var scored = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the scored file" }).ClickAsync());
        var lines = await File.ReadAllLinesAsync((await scored.PathAsync())!);
        Assert.Equal(("id", 3), (lines[0].TrimStart('\uFEFF').Split(',')[0].Trim('"'), lines.Length));
        Assert.Matches("^\"1\",\"Empire State Building\",\"\\[.*\\]\"$", lines[1]);

        var download = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the model" }).ClickAsync());
        var folder = Path.Combine(app.Folder, "downloaded");
        ZipFile.ExtractToDirectory((await download.PathAsync())!, folder);
        if (!File.Exists(Path.Combine(folder, "config.json"))) folder = Directory.GetDirectories(folder).Single();
        using (var tagger = SpanTagger.Load(folder))
        {
            Assert.Equal(["corporation", "creative-work", "group", "location", "person", "product"], tagger.Types);
            var found = tagger.Predict(["Empire State Building"], new RunRecipe().MaxLength)[0];
            Assert.Equal(found.Select(f => f.Span.Start), JsonDocument.Parse(lines[1].Split(',', 3)[2].Trim('"').Replace("\"\"", "\"")).RootElement.EnumerateArray().Select(s => s.GetProperty("start").GetInt32()));
        }
        var config = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(folder, "config.json"))).RootElement;
        Assert.Equal(("BertForTokenClassification", "B-corporation"), (config.GetProperty("architectures")[0].GetString(), config.GetProperty("id2label").GetProperty("1").GetString()));
        Assert.Contains("pipeline_tag: token-classification", await File.ReadAllTextAsync(Path.Combine(folder, "README.md")));
        var golden = Shared.Find("goldens/bert-tiny-tokencls");
        // The golden has one block, the practice model two; the other names, and which fields there are, are the same.
        static IEnumerable<string> Keys(string path)
        {
            using var weights = SafetensorsFile.Open(Path.Combine(path, "model.safetensors"));
            return [.. weights.Entries.Keys.Where(k => !k.Contains(".layer.1.")).Order(StringComparer.Ordinal)];
        }
        Assert.Equal(Keys(golden), Keys(folder));
        static IEnumerable<string> Fields(string path) => JsonDocument.Parse(File.ReadAllText(Path.Combine(path, "config.json"))).RootElement.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal);
        Assert.Equal(Fields(golden), Fields(folder));
    }

    private static Task Press(IPage page, string button) => page.GetByRole(AriaRole.Button, new() { Name = button, Exact = true }).ClickAsync();
}
