using System.IO.Compression;
using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneStudio.Engine.Weights;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Journeys;

/// Chats in, a language model with adapters out: GSM8K as chat JSON lines, LoRA on a small Llama, report, playground, adapter.
[Trait("Cost", "Slow")]
[Collection("training")]
public sealed class GenerationJourneyTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    private readonly List<string> errors = [];

    [SkippableFact]
    public async Task Chats_go_in_and_a_model_that_answers_comes_out_with_its_adapter()
    {
        var rows = Shared.Find("data/sft/gsm8k/train.jsonl");
        var llama = Shared.Find("goldens/llama-tiny");
        var person = await app.NewPerson("Prompt Author");
        var page = await browser.Open(app.Url);
        page.Console += (_, m) => { if (m.Type == "error") errors.Add($"{page.Url}: {m.Text}"); };
        page.PageError += (_, e) => errors.Add($"{page.Url}: {e}");
        await page.SignIn(person.Mail);
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "New project" }).First).ToBeVisibleAsync(new() { Timeout = 60_000 });

        await StartProject(page);
        const string project = "/p/word-problems";
        await Upload(page, project, rows);
        await page.GotoAsync($"{project}/split");
        await page.GetByRole(AriaRole.Button, new() { Name = "Freeze this split" }).ClickAsync(new() { Timeout = 60_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { NameRegex = new Regex("^Split 1 of version 1") })).ToBeVisibleAsync();
        await Look(page, "generation-split");
        await AddModels(page, project, llama);
        await Launch(page, project);
        await WatchItTrain(page);
        await page.GotoAsync($"{project}/checklist");
        await Expect(page.GetByText("Prompts without an answer").First).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Expect(page.GetByText("Imbalance ratio")).ToHaveCountAsync(0);
        await Report(page, project);
        await Use(page, project, llama);
        Assert.Empty(errors);
    }

    private static async Task StartProject(IPage page)
    {
        await page.GetByRole(AriaRole.Link, new() { Name = "New project" }).First.ClickAsync();
        await page.GetByLabel("Name").FillAsync("Word problems");
        await page.GetByLabel("What is the model for?").FillAsync("Answer arithmetic word problems step by step.");
        await page.GetByLabel("What does the model answer?").SelectOptionAsync("Generation");
        await Expect(page.GetByLabel("The metric that matters")).ToHaveValueAsync("Perplexity");
        await page.GetByLabel("Good enough at").FillAsync("900");
        await page.GetByLabel("Who approves?").FillAsync("the head of teaching");
        await Look(page, "generation-project");
        await page.GetByRole(AriaRole.Button, new() { Name = "Create the project", Exact = true }).ClickAsync();
        await Expect(page).ToHaveURLAsync(new Regex("/p/word-problems$"), new() { Timeout = 60_000 });
        await Expect(page.GetByText("perplexity ≤ 900 on the test part")).ToBeVisibleAsync();
    }

    private async Task Upload(IPage page, string project, string rows)
    {
        var file = Path.Combine(app.Folder, "gsm8k-chats.jsonl");
        await File.WriteAllLinesAsync(file, File.ReadLines(rows).Take(300).Select(line =>
        {
            var row = JsonSerializer.Deserialize<JsonElement>(line);
            return JsonSerializer.Serialize(new { messages = new[] { new { role = "user", content = row.GetProperty("question").GetString() }, new { role = "assistant", content = row.GetProperty("answer").GetString() } } });
        }));
        await page.GotoAsync($"{project}/data/upload");
        await page.GetByLabel("Drop a file here, or choose one").SetInputFilesAsync(file);
        await Expect(page).ToHaveURLAsync(new Regex("/data/upload/[0-9]+$"), new() { Timeout = 60_000 });
        await Expect(page.GetByLabel("What “messages” is")).ToHaveValueAsync("Text");
        await Expect(page.GetByLabel("What “messages” is").Locator("option").First).ToHaveTextAsync("Prompt");
        var import = page.GetByRole(AriaRole.Button, new() { Name = "Import 300 rows" });
        await Expect(import).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await Look(page, "generation-mapping");
        await import.ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "See version 1" }).ClickAsync(new() { Timeout = 120_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Version 1" })).ToBeVisibleAsync();
        await Expect(page.GetByText("#### 72")).ToBeVisibleAsync();
        await Look(page, "generation-version");
    }

    private static async Task AddModels(IPage page, string project, string llama)
    {
        await page.GotoAsync($"{project}/base-models");
        await Import("An encoder", BaseModels.ImportBaseModelTests.Files("bert/"));
        await Expect(page.GetByText("is an encoder (BertForSequenceClassification): it judges texts and cannot write")).ToBeVisibleAsync();
        await page.GotoAsync($"{project}/runs/new");
        await Expect(page.GetByText("it takes a language model (GPT-2, Llama or Qwen2)")).ToBeVisibleAsync();
        await page.GotoAsync($"{project}/base-models");
        string[] wanted = ["config.json", "generation_config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model"];
        await Import("Tiny Llama", [.. wanted.Select(f => (f, File.ReadAllBytes(Path.Combine(llama, f))))]);
        await Expect(page.GetByText("For answering prompts (text generation).")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Look(page, "generation-models");

        async Task Import(string name, (string, byte[])[] files)
        {
            await page.GetByLabel("Name", new() { Exact = true }).FillAsync(name);
            await page.GetByLabel("Source").FillAsync("Reference folder for tests");
            await page.GetByLabel("Random").CheckAsync();
            await page.GetByLabel("Zip of the folder").SetInputFilesAsync(new FilePayload { Name = "model.zip", MimeType = "application/zip", Buffer = BaseModels.ImportBaseModelTests.Zip(files) });
            await page.GetByRole(AriaRole.Button, new() { Name = "Import the model", Exact = true }).ClickAsync();
        }
    }

    private static async Task Launch(IPage page, string project)
    {
        await page.GotoAsync($"{project}/runs/new");
        await Expect(page.GetByText("is an encoder (BertForSequenceClassification): it judges texts and cannot write")).ToBeVisibleAsync();
        await page.GetByLabel("Method", new() { Exact = true }).SelectOptionAsync("Lora");
        await page.GetByLabel("Adapted layers", new() { Exact = true }).SelectOptionAsync("AllLinear");
        await page.GetByLabel("Learning rate", new() { Exact = true }).FillAsync("1e-2");
        await page.GetByLabel("Epochs", new() { Exact = true }).FillAsync("4");
        await page.GetByLabel("Batch size", new() { Exact = true }).FillAsync("8");
        await Expect(page.GetByText("the beginning of the prompt is cut, and the end of the answer only where that is not enough")).ToBeVisibleAsync();
        await Expect(page.GetByLabel("Class weights")).ToHaveCountAsync(0);
        await Expect(page.GetByLabel("Best checkpoint by")).ToHaveValueAsync("Perplexity");
        var launch = page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" });
        await Expect(launch).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await Look(page, "generation-new-run");
        await launch.ClickAsync();
        await Expect(page).ToHaveURLAsync(new Regex("/runs/1$"), new() { Timeout = 60_000 });
    }

    private async Task WatchItTrain(IPage page)
    {
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Build the report" })).ToBeVisibleAsync(new() { Timeout = 600_000 });
        await Expect(page.GetByText(new Regex("Best perplexity [0-9.,]+ at step")).First).ToBeVisibleAsync();
        await Expect(page.GetByText(new Regex("Validation row 1: “")).First).ToBeVisibleAsync();
        await Look(page, "generation-run");
        await using var db = app.Db;
        var run = await db.Runs.SingleAsync(r => db.Projects.Any(p => p.Id == r.ProjectId && p.Id == "word-problems"));
        var evaluations = await db.RunEvaluations.Where(e => e.RunId == run.Id).OrderBy(e => e.Step).ToListAsync();
        Assert.Equal(8, evaluations.Count);
        Assert.True(evaluations[^1].ValidationLoss < evaluations[0].ValidationLoss - 0.1, $"validation loss {evaluations[0].ValidationLoss} to {evaluations[^1].ValidationLoss}");
    }

    private async Task Report(IPage page, string project)
    {
        await page.GotoAsync($"{project}/reports?run=1");
        await page.GetByRole(AriaRole.Button, new() { Name = "Build the report of run 1", Exact = true }).ClickAsync();
        await Expect(page).ToHaveURLAsync(new Regex("/reports/1$"), new() { Timeout = 60_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Sign-off" })).ToBeVisibleAsync(new() { Timeout = 300_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "What it writes" })).ToBeVisibleAsync();
        await Expect(page.GetByText(new Regex("[Tt]he fine-tuned model does better than the base model before fine-tuning on this test part"))).ToBeVisibleAsync();
        var measures = page.GetByRole(AriaRole.Table, new() { Name = "Measures of the written answers" });
        foreach (var name in new[] { "Exact match", "Right final number", "ROUGE-L", "ChrF", "Loss" }) await Expect(measures.GetByRole(AriaRole.Rowheader, new() { Name = name, Exact = true })).ToBeVisibleAsync();
        await Expect(page.Locator("article.answers")).ToHaveCountAsync(12);
        await Expect(page.GetByText("Both models answered all 30 test rows, always with the likeliest next word.")).ToBeVisibleAsync();
        await Look(page, "generation-report");
        await using var db = app.Db;
        var body = FineTuneStudio.Reports.ReportBody.FromJson((await db.Reports.SingleAsync(r => r.ProjectId == "word-problems")).BodyJson!);
        Assert.True(body.Measured < body.Baselines[0].Scores.Of(body.Metric).Value);
        Assert.Equal(30, body.WrittenRows);
        Assert.Equal(Math.Exp(body.Model.Of(FineTuneStudio.Engine.Metrics.Metric.ValidationLoss).Value), body.Measured, 6);
    }

    private async Task Use(IPage page, string project, string llama)
    {
        await page.GotoAsync($"{project}/model/1");
        await page.GetByLabel("Prompt").FillAsync("Tom has 3 apples and buys 4 more. How many apples does he have?");
        await page.GetByLabel("Longest answer, tokens").FillAsync("40");
        await page.GetByRole(AriaRole.Button, new() { Name = "Ask the model", Exact = true }).ClickAsync();
        await Expect(page.GetByText(new Regex("^[0-9]+ tokens?; "))).ToBeVisibleAsync(new() { Timeout = 60_000 });
        var greedy = await page.Locator(".answer").InnerTextAsync();
        await page.GetByLabel("Temperature").FillAsync("1.2");
        await page.GetByRole(AriaRole.Button, new() { Name = "Ask the model", Exact = true }).ClickAsync();
        await Expect(page.Locator(".answer")).Not.ToHaveTextAsync(greedy, new() { Timeout = 60_000 });
        await Expect(page.GetByText(new Regex("^[0-9]+ tokens?; "))).ToBeVisibleAsync(new() { Timeout = 60_000 });

        var file = Path.Combine(app.Folder, "prompts.csv");
        await File.WriteAllTextAsync(file, "id,prompt\n1,How many legs have 3 dogs?\n2,\n");
        await page.GetByLabel("CSV, TSV or JSON lines").SetInputFilesAsync(file);
        await Expect(page.GetByLabel("Column with the text")).ToHaveValueAsync("prompt");
        await page.GetByRole(AriaRole.Button, new() { Name = "Score it", Exact = true }).ClickAsync();
        var scored = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the scored file" }).ClickAsync(), new() { Timeout = 60_000 });
        Assert.StartsWith("\"id\",\"prompt\",\"answer\"", (await File.ReadAllTextAsync((await scored.PathAsync())!)).TrimStart('\uFEFF'));
        await Look(page, "generation-model");

        var adapter = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the adapter" }).ClickAsync());
        var folder = Path.Combine(app.Folder, "adapter");
        ZipFile.ExtractToDirectory((await adapter.PathAsync())!, folder);
        Assert.Equal(["README.md", "adapter_config.json", "adapter_model.safetensors"], Directory.GetFiles(folder).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        using (var weights = SafetensorsFile.Open(Path.Combine(folder, "adapter_model.safetensors"))) Assert.Equal(2 * 7 * 2, weights.Entries.Count);
        Assert.Contains("pipeline_tag: text-generation", await File.ReadAllTextAsync(Path.Combine(folder, "README.md")));

        var whole = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the model" }).ClickAsync());
        var merged = Path.Combine(app.Folder, "merged");
        ZipFile.ExtractToDirectory((await whole.PathAsync())!, merged);
        using var before = SafetensorsFile.Open(Path.Combine(llama, "model.safetensors"));
        using var after = SafetensorsFile.Open(Path.Combine(merged, "model.safetensors"));
        static string Line(TensorEntry t) => $"{t.Name} {t.Dtype} [{string.Join(",", t.Shape)}]";
        Assert.Equal(before.Entries.Values.Select(Line).Order(StringComparer.Ordinal), after.Entries.Values.Select(Line).Order(StringComparer.Ordinal));
    }

    /// Whole pages, light and dark, wide and narrow, for a person to look at.
    private static async Task Look(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("FTS_LOOK") is not { } folder) return;
        foreach (var (width, scheme) in new[] { (1280, ColorScheme.Light), (390, ColorScheme.Dark) })
        {
            await page.SetViewportSizeAsync(width, 900);
            await page.EmulateMediaAsync(new() { ColorScheme = scheme });
            await page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"{name}-{width}.png"), FullPage = true });
            var wide = await page.EvaluateAsync<int>("() => document.documentElement.scrollWidth");
            Assert.True(wide <= width, $"{name} is {wide} wide at {width}");
        }
        await page.SetViewportSizeAsync(1280, 900);
        await page.EmulateMediaAsync(new() { ColorScheme = ColorScheme.Light });
    }
}
