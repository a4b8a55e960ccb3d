using System.IO.Compression;
using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneStudio.Engine.Training;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Journeys;

/// Real rows with several labels, and real rows with a number, from the file to the downloaded model.
[Trait("Cost", "Slow")]
public sealed class LabelSetsAndNumbersJourneyTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    private readonly List<string> errors = [];

    [SkippableFact]
    public async Task Rows_with_several_labels_become_a_model_that_answers_several()
    {
        var data = Shared.Find("data/text-classification/goemotions/train.tsv");
        var page = await Open("Mia Labels");
        var project = await Start(page, "Emotions", "MultiLabel", "MicroF1", "0.3");

        await Choose(page, project, "emotions.tsv", File.ReadLines(data).Take(900));
        await Expect(page.GetByLabel("What “column 2” is")).ToHaveValueAsync("Label", new() { Timeout = 60_000 });
        await Expect(page.GetByLabel("Between the labels of a cell")).ToHaveValueAsync("comma");
        await Import(page);
        await Look(page, "labels-version");
        await using (var db = app.Db)
        {
            var version = await db.Versions.SingleAsync(v => v.ProjectId == "emotions");
            Assert.Equal(900, version.LabeledCount);
            Assert.Contains("\"27\"", version.LabelsJson);
            Assert.True(await db.VersionRows.AnyAsync(r => r.VersionId == version.Id && r.Label!.Contains("\",\"")));
        }
        await SplitIt(page, project);
        await Expect(page.GetByText("Counts by rarest label of a row")).ToBeVisibleAsync();
        await Train(page, project);
        await Look(page, "labels-run");
        await Report(page, project);
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Where it is wrong" })).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Rows with the most wrong labels" })).ToBeVisibleAsync();
        await Expect(page.GetByText("TF-IDF with logistic regressions").First).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Scores per label" }).Locator("tbody tr")).Not.ToHaveCountAsync(0);
        await Look(page, "labels-report");

        await page.GotoAsync($"{project}/model/1");
        await page.GetByLabel("Text", new() { Exact = true }).FillAsync("Thank you so much, this is wonderful!");
        await Press(page, "Ask the model");
        await Expect(page.GetByRole(AriaRole.List, new() { Name = "Labels with their probabilities" }).Locator("li")).Not.ToHaveCountAsync(0);
        await Look(page, "labels-model");
        var scored = await Score(page, "id,text\n1,Thank you so much!\n2,That is sad.\n");
        Assert.StartsWith("\"id\",\"text\",\"predicted labels\",\"probability 0\",", scored[0]);
        Assert.Contains("[", scored[1]);
        var folder = await Download(page);
        using var model = TextClassifier.Load(folder);
        Assert.Equal(TextTask.MultiLabel, model.Task);
        Assert.InRange(model.Predict(["Thank you so much!"], 128)[0].Max(), 0f, 1f);
        Assert.Contains("any number of", await File.ReadAllTextAsync(Path.Combine(folder, "README.md")));
        Assert.Empty(errors);
    }

    [SkippableFact]
    public async Task Pairs_of_texts_with_a_number_become_a_model_that_answers_a_number()
    {
        var data = Shared.Find("data/text-regression/complex-lcp/lcp_single_train.tsv");
        var page = await Open("Rex Number");
        var project = await Start(page, "Complexity", "Regression", "Pearson", "0.3");

        var lines = File.ReadLines(data).ToList();
        await Choose(page, project, "complexity.tsv", lines.Take(1).Concat(lines.Skip(1).Where((_, i) => i % 8 == 0).Take(900)).Append("x\tbible\tA row whose number is none.\tnumber\tnot known"));
        await Expect(page.GetByLabel("What “sentence” is")).ToHaveValueAsync("Text", new() { Timeout = 60_000 });
        await Expect(page.GetByLabel("What “complexity” is")).ToHaveValueAsync("Label");
        await page.GetByLabel("What “token” is").SelectOptionAsync("Pair");
        await Expect(page.GetByText("“not known” is not a number; write it as 0.25 or 0,25.")).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "How many numbers are in each range" }).Locator("tbody tr")).ToHaveCountAsync(10);
        await Look(page, "number-upload");
        await Import(page);
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Numbers", Exact = true })).ToBeVisibleAsync();
        Assert.DoesNotContain("label", await page.Locator("main").Locator("dl").First.InnerTextAsync(), StringComparison.OrdinalIgnoreCase);
        await Look(page, "number-version");
        await SplitIt(page, project);
        await Look(page, "number-split");
        await Train(page, project);
        await Look(page, "number-run");
        await Report(page, project);
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Predicted against true" })).ToBeVisibleAsync();
        await Expect(page.Locator("svg.scatter circle")).Not.ToHaveCountAsync(0);
        await Expect(page.GetByText("TF-IDF with ridge regression").First).ToBeVisibleAsync();
        await Look(page, "number-report");
        await page.GotoAsync($"{project}/checklist");
        await Expect(page.GetByText("of 10 answered")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Look(page, "number-checklist");

        await page.GotoAsync($"{project}/model/1");
        await page.GetByLabel("Text", new() { Exact = true }).FillAsync("The river was wide.");
        await page.GetByLabel("Second text").FillAsync("river");
        await Press(page, "Ask the model");
        await Expect(page.GetByText(new Regex("^The rows it was trained on have values from 0"))).ToBeVisibleAsync();
        await Look(page, "number-model");
        var scored = await Score(page, "id,text\n1,The river was wide. ¦¦ river\n2,A parcel.\n");
        Assert.Equal("\"id\",\"text\",\"predicted value\"", scored[0]);
        var folder = await Download(page);
        using var model = TextClassifier.Load(folder);
        Assert.Equal(TextTask.Regression, model.Task);
        Assert.Equal(float.Parse(scored[1].Split(',')[^1].Trim('"'), System.Globalization.CultureInfo.InvariantCulture), model.Predict([TextPair.Join("The river was wide.", "river")], 128)[0][0], 1e-5f);
        Assert.Contains("Answers a number for a text", await File.ReadAllTextAsync(Path.Combine(folder, "README.md")));
        Assert.Empty(errors);
    }

    private async Task<IPage> Open(string name)
    {
        var person = await app.NewPerson(name);
        var page = await browser.Open(app.Url);
        page.Console += (_, m) => { if (m.Type == "error") errors.Add($"{page.Url}: {m.Text}"); };
        page.PageError += (_, e) => errors.Add($"{page.Url}: {e}");
        await page.SignIn(person.Mail);
        return page;
    }

    private static async Task<string> Start(IPage page, string name, string task, string metric, string goal)
    {
        await page.GotoAsync("/");
        await page.GetByRole(AriaRole.Link, new() { Name = "New project" }).ClickAsync();
        await page.GetByLabel("Name").FillAsync(name);
        await page.GetByLabel("What is the model for?").FillAsync("Find out what a text says, on real rows.");
        await page.GetByLabel("What does the model answer?").SelectOptionAsync(task);
        await page.GetByLabel("The metric that matters").SelectOptionAsync(metric);
        await page.GetByLabel("Good enough at").FillAsync(goal);
        await page.GetByLabel("Who approves?").FillAsync("the head of research");
        await Press(page, "Create the project");
        var address = $"/p/{name.ToLowerInvariant()}";
        await Expect(page).ToHaveURLAsync(new Regex(Regex.Escape(address) + "$"));
        return address;
    }

    private async Task Choose(IPage page, string project, string name, IEnumerable<string> lines)
    {
        var file = Path.Combine(app.Folder, name);
        await File.WriteAllLinesAsync(file, lines);
        await page.GotoAsync($"{project}/data/upload");
        await page.GetByLabel("Drop a file here, or choose one").SetInputFilesAsync(file);
        await Expect(page).ToHaveURLAsync(new Regex("/data/upload/[0-9]+$"), new() { Timeout = 60_000 });
    }

    private static async Task Import(IPage page)
    {
        var import = page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex("^Import 900 rows$") });
        await Expect(import).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await import.ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "See version 1" }).ClickAsync(new() { Timeout = 120_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Version 1" })).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Rows", Exact = true })).ToBeVisibleAsync();
    }

    private static async Task SplitIt(IPage page, string project)
    {
        await page.GotoAsync($"{project}/split");
        await page.GetByRole(AriaRole.Button, new() { Name = "Freeze this split" }).ClickAsync(new() { Timeout = 60_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { NameRegex = new Regex("^Split 1 of version 1") })).ToBeVisibleAsync();
    }

    private async Task Train(IPage page, string project)
    {
        var id = project[3..];
        await app.AddPracticeModel(id);
        await using var db = app.Db;
        await page.GotoAsync($"{project}/runs/new");
        await page.GetByLabel("Learning rate", new() { Exact = true }).FillAsync("1e-3");
        await page.GetByLabel("Epochs", new() { Exact = true }).FillAsync("4");
        await Expect(page.GetByLabel("Label smoothing")).ToHaveCountAsync(0);
        // The project's own metric is what the form begins with and goes back to.
        var (metric, field) = (page.GetByLabel("Best checkpoint by", new() { Exact = true }), page.Locator("[data-field=Metric]"));
        await Expect(field.GetByText("changed", new() { Exact = true })).ToHaveCountAsync(0);
        var wanted = await metric.InputValueAsync();
        await metric.SelectOptionAsync("ValidationLoss");
        await field.GetByRole(AriaRole.Button, new() { NameRegex = new Regex("^Reset to ") }).ClickAsync();
        await Expect(metric).ToHaveValueAsync(wanted);
        var launch = page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" });
        await Expect(launch).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await launch.ClickAsync();
        await Expect(page).ToHaveURLAsync(new Regex("/runs/1$"));
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Build the report" })).ToBeVisibleAsync(new() { Timeout = 600_000 });
        var evaluations = await db.RunEvaluations.Where(e => db.Runs.Any(r => r.Id == e.RunId && r.ProjectId == id)).OrderBy(e => e.Step).ToListAsync();
        Assert.True(evaluations[^1].TrainSampleLoss < evaluations[0].TrainSampleLoss, $"train loss {evaluations[0].TrainSampleLoss} to {evaluations[^1].TrainSampleLoss}");
        Assert.True(evaluations.Min(e => e.ValidationLoss) <= evaluations[0].ValidationLoss);
    }

    private static async Task Report(IPage page, string project)
    {
        await page.GotoAsync($"{project}/reports?run=1");
        await Press(page, "Build the report of run 1");
        await Expect(page).ToHaveURLAsync(new Regex("/reports/1$"));
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Sign-off" })).ToBeVisibleAsync(new() { Timeout = 300_000 });
    }

    private async Task<string[]> Score(IPage page, string csv)
    {
        var file = Path.Combine(app.Folder, "to-score.csv");
        await File.WriteAllTextAsync(file, csv);
        await page.GetByLabel("CSV, TSV or JSON lines").SetInputFilesAsync(file);
        await page.GetByLabel("Column with the text").SelectOptionAsync("text");
        await Press(page, "Score it");
        var scored = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the scored file" }).ClickAsync());
        return await File.ReadAllLinesAsync((await scored.PathAsync())!);
    }

    private async Task<string> Download(IPage page)
    {
        var download = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the model" }).ClickAsync());
        var folder = Path.Combine(app.Folder, "downloaded-" + Path.GetFileNameWithoutExtension(download.SuggestedFilename));
        ZipFile.ExtractToDirectory((await download.PathAsync())!, folder);
        return File.Exists(Path.Combine(folder, "config.json")) ? folder : Directory.GetDirectories(folder).Single();
    }

    private static Task Press(IPage page, string button) => page.GetByRole(AriaRole.Button, new() { Name = button, Exact = true }).ClickAsync();

    /// Nothing overflows at phone width, and on request a picture at both widths.
    private static async Task Look(IPage page, string name)
    {
        foreach (var width in new[] { 390, 1280 })
        {
            await page.SetViewportSizeAsync(width, 900);
            // Charts follow a new width a moment later.
            await page.WaitForTimeoutAsync(700);
            Assert.True(await page.EvaluateAsync<bool>("() => document.documentElement.scrollWidth <= window.innerWidth"), $"{name} is wider than {width}");
            // A legend cuts what is wider than its box.
            await page.WaitForFunctionAsync("() => [...document.querySelectorAll('.legend .legendtext')].every(t => t.getBoundingClientRect().right <= t.closest('.legend').querySelector('.bg').getBoundingClientRect().right + 1)");
            if (Environment.GetEnvironmentVariable("LOOK") is not { } folder) continue;
            await page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"{name}-{width}.png"), FullPage = true });
            await page.Locator("#dark").ClickAsync();
            await page.WaitForTimeoutAsync(300);
            await page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"{name}-{width}-dark.png"), FullPage = true });
            await page.Locator("#dark").ClickAsync();
        }
    }
}
