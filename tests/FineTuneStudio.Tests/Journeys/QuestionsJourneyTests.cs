using System.IO.Compression;
using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Reports;
using FineTuneStudio.Tests.Shell;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Journeys;

/// Question answering in the browser: reports of a lost-property office in, a model that finds answers in them out.
[Trait("Cost", "Slow")]
public sealed class QuestionsJourneyTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    private const string Project = "/p/lost-property";
    private const int Reports = 400;

    /// What a report may tell, how, and what is asked of it.
    private static readonly (string[] Asked, string[] Told, string[] Values)[] Facts =
    [
        (["Who brought it in?", "Which person handed it over?"], ["A note says that {0} brought it in.", "It was handed over by {0}."], ["the driver", "a young nurse", "two tourists", "our night porter", "the baker", "a schoolboy"]),
        (["Where was it found?", "In what place did it lie?"], ["It was found {0}.", "It lay {0}."], ["under a seat of tram nine", "beside the fountain", "in the waiting room", "on platform two", "near the ticket machine", "in the library lift"]),
        (["When was it found?", "What day was that?"], ["That was on {0}.", "The day was {0}."], ["Monday morning", "Tuesday", "Thursday evening", "Friday", "Saturday night", "Sunday"]),
        (["What colour is it?", "Which colour does it have?"], ["Its colour is {0}.", "It is {0} all over."], ["dark green", "red", "sky blue", "black", "white and gold", "brown"]),
        (["How much money was inside?", "What sum did it hold?"], ["Inside there were {0}.", "It held {0}."], ["forty euros", "nine coins", "two hundred euros", "seven euros", "a single coin", "sixty euros"]),
    ];

    private static readonly string[] Things = ["A leather purse", "An old backpack", "A small suitcase", "A child's wallet", "A canvas bag"];

    /// Two questions about each report, one of five of what it does not tell, as SQuAD writes them.
    private static IEnumerable<string> Rows()
    {
        var random = new Random(11);
        for (var report = 0; report < Reports; report++)
        {
            var told = Enumerable.Range(0, Facts.Length).ToArray();
            random.Shuffle(told);
            told = told[..random.Next(3, 5)];
            var context = $"{Things[random.Next(Things.Length)]}, report {report + 1}.";
            var places = new Dictionary<int, (string Text, int Start)>();
            foreach (var fact in told)
            {
                var (says, value) = (Facts[fact].Told[random.Next(2)], Facts[fact].Values[random.Next(6)]);
                places[fact] = (value, context.Length + 1 + says.IndexOf("{0}", StringComparison.Ordinal));
                context += " " + says.Replace("{0}", value);
            }
            var untold = Enumerable.Range(0, Facts.Length).Except(told).ToArray();
            random.Shuffle(told);
            for (var question = 0; question < 2; question++)
            {
                var asked = random.Next(5) == 0 && question < untold.Length ? untold[question] : told[question];
                (string Text, int Start)[] answers = places.TryGetValue(asked, out var place) ? [place] : [];
                yield return JsonSerializer.Serialize(new { id = $"{report}-{question}", context, question = Facts[asked].Asked[random.Next(2)], answers = new { text = answers.Select(a => a.Text), answer_start = answers.Select(a => a.Start) } });
            }
        }
    }

    [SkippableFact]
    public async Task Questions_with_contexts_go_in_and_a_model_that_finds_answers_comes_out()
    {
        var owner = await app.NewPerson("Owner");
        var page = await browser.Open(app.Url);
        List<string> errors = [];
        page.Console += (_, m) => { if (m.Type == "error") errors.Add($"{page.Url}: {m.Text}"); };
        page.PageError += (_, e) => errors.Add($"{page.Url}: {e}");
        await page.SignIn(owner.Mail);
        await StartProject(page);
        await Upload(page);
        await page.GotoAsync($"{Project}/split");
        await Expect(page.GetByText("with the same context stay together")).ToBeVisibleAsync();
        await Expect(page.GetByText($"{Reports} rows share their context with others and stay in their part.")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Look.At(page, "questions-split");
        await page.GetByRole(AriaRole.Button, new() { Name = "Freeze this split" }).ClickAsync(new() { Timeout = 60_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { NameRegex = new Regex("^Split 1 of version 1") })).ToBeVisibleAsync();
        await owner.AddPracticeModel(Project[3..]);
        await Train(page);
        await Report(page);
        await Use(page);
        await page.GotoAsync($"{Project}/checklist");
        await Expect(page.GetByText("No context on both sides").First).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Look.At(page, "questions-checklist");
        Assert.Empty(errors);
    }

    private static async Task StartProject(IPage page)
    {
        await page.GotoAsync("/");
        await page.GetByRole(AriaRole.Link, new() { Name = "New project" }).ClickAsync();
        await page.GetByLabel("Name").FillAsync("Lost property");
        await page.GetByLabel("What is the model for?").FillAsync("Answer questions about what was found, from the reports of the office.");
        await page.GetByLabel("What does the model answer?").SelectOptionAsync("QuestionAnswering");
        await Expect(page.GetByLabel("The metric that matters")).ToHaveValueAsync("AnswerF1");
        await page.GetByLabel("Good enough at").FillAsync("0.6");
        await page.GetByLabel("Who approves?").FillAsync("the head of the office");
        await Look.At(page, "questions-start");
        await Press(page, "Create the project");
        await Expect(page).ToHaveURLAsync(new Regex(Project + "$"));
    }

    private async Task Upload(IPage page)
    {
        var file = Path.Combine(app.Folder, "reports.jsonl");
        await File.WriteAllLinesAsync(file, Rows().Append("""{"id": "bad", "context": "A hat, found on Monday.", "question": "When?", "answers": {"text": ["Monday"], "answer_start": [2]}}""")
            .Append("""{"id": "worse", "context": "A hat.", "question": "When?", "answers": {"text": ["Friday"], "answer_start": [2]}}"""));
        await page.GotoAsync($"{Project}/data/upload");
        await page.GetByLabel("Drop a file here, or choose one").SetInputFilesAsync(file);
        await Expect(page).ToHaveURLAsync(new Regex("/data/upload/[0-9]+$"), new() { Timeout = 60_000 });
        await Expect(page.GetByLabel("What “question” is")).ToHaveValueAsync("Text", new() { Timeout = 60_000 });
        await Expect(page.GetByLabel("What “context” is")).ToHaveValueAsync("Context");
        await Expect(page.GetByLabel("What “answers” is")).ToHaveValueAsync("Label");
        await Expect(page.GetByText("The answer “Monday” does not stand at its start 2; there stands “hat, f”. It stands at 16.")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Expect(page.GetByText("The answer “Friday” does not stand in the context, letter for letter")).ToBeVisibleAsync();
        var import = page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex($"^Import {2 * Reports} rows$") });
        await Expect(import).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await Expect(page.GetByText("say that their context has none")).ToBeVisibleAsync();
        await Look.At(page, "questions-mapping");
        await import.ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "See version 1" }).ClickAsync(new() { Timeout = 120_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Version 1" })).ToBeVisibleAsync();
        await Expect(page.Locator("tbody mark").First).ToContainTextAsync("answer");
        await Expect(page.GetByText("no answer", new() { Exact = true }).First).ToBeVisibleAsync();
        await Look.At(page, "questions-version");
    }

    private async Task Train(IPage page)
    {
        await page.GotoAsync($"{Project}/runs/new");
        await Expect(page.GetByLabel("Best checkpoint by")).ToContainTextAsync("Answer F1");
        await page.GetByLabel("Max length", new() { Exact = true }).FillAsync("16");
        await Expect(page.GetByText("are in no window whole, or have more than 64 tokens").First).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Look.At(page, "questions-preflight");
        await page.GetByLabel("Max length", new() { Exact = true }).FillAsync("128");
        await page.GetByLabel("Learning rate", new() { Exact = true }).FillAsync("3e-3");
        await page.GetByLabel("Batch size", new() { Exact = true }).FillAsync("8");
        await page.GetByLabel("Epochs", new() { Exact = true }).FillAsync("10");
        await page.GetByLabel("Early stopping patience", new() { Exact = true }).FillAsync("0");
        await Expect(page.GetByText("are in no window whole")).ToHaveCountAsync(0);
        var launch = page.GetByRole(AriaRole.Button, new() { Name = "Launch the run" });
        await Expect(launch).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await launch.ClickAsync();
        await Expect(page).ToHaveURLAsync(new Regex("/runs/1$"));
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Build the report" })).ToBeVisibleAsync(new() { Timeout = 600_000 });
        await Expect(page.GetByText("answer F1").First).ToBeVisibleAsync();
        await Look.At(page, "questions-run");
        await using var db = app.Db;
        var evaluations = await db.RunEvaluations.OrderBy(e => e.Step).ToListAsync();
        Assert.All(evaluations, e => Assert.InRange(e[Metric.ExactMatch], 0, e[Metric.AnswerF1]));
    }

    private async Task Report(IPage page)
    {
        await page.GotoAsync($"{Project}/reports?run=1");
        await Press(page, "Build the report of run 1");
        await Expect(page).ToHaveURLAsync(new Regex("/reports/1$"));
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Sign-off" })).ToBeVisibleAsync(new() { Timeout = 300_000 });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "What goes wrong" })).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Answers by kind of error" }).Locator("tbody tr")).ToHaveCountAsync(5);
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Scores of questions with and without an answer" }).Locator("tbody tr")).ToHaveCountAsync(2);
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Questions with their answers" }).First.Locator("mark").First).ToBeVisibleAsync();
        await Expect(page.GetByText("Most frequent answer").First).ToBeVisibleAsync();
        await Look.At(page, "questions-report");
        await using var db = app.Db;
        var body = ReportBody.FromJson(await db.Reports.Select(r => r.BodyJson!).SingleAsync());
        var (ours, numbers) = (body.Model.Of(Metric.AnswerF1).Value, body.Answers!);
        Assert.Equal(["Most frequent answer", "Nearest words"], body.Baselines.Select(b => b.Name));
        Assert.All(body.Baselines, b => Assert.True(ours > b.Scores.Of(Metric.AnswerF1).Value + 0.25, $"answer F1 {ours} against {b.Scores.Of(Metric.AnswerF1).Value} of {b.Name}"));
        Assert.Equal(body.Model.Rows, numbers.Right + numbers.Partly + numbers.Elsewhere + numbers.Missed + numbers.Invented);
        Assert.Equal(body.Model.Rows, numbers.Answered!.Rows + numbers.None!.Rows);
        Assert.Equal(ours, (numbers.Answered.Rows * numbers.Answered.F1.Value + numbers.None.Rows * numbers.None.F1.Value) / body.Model.Rows, 1e-9);
    }

    private async Task Use(IPage page)
    {
        const string context = "A canvas bag. It was handed over by the driver. That was on Friday. Its colour is red. It lay on platform two.";
        await page.GotoAsync($"{Project}/model/1");
        await page.GetByLabel("Context", new() { Exact = true }).FillAsync(context);
        await page.GetByLabel("Question", new() { Exact = true }).FillAsync("Where was it found?");
        await Press(page, "Ask the model");
        await Expect(page.Locator("[role=status] .lead")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Expect(page.Locator("[role=status] .example")).ToContainTextAsync("A canvas bag.");
        await Look.At(page, "questions-model");
        // A mark that is no token leaves nothing that could be an answer.
        await page.GetByLabel("Context", new() { Exact = true }).FillAsync("\u200b");
        await Press(page, "Ask the model");
        await Expect(page.GetByText("No answer: the model finds none in this context")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await Look.At(page, "questions-no-answer");

        var file = Path.Combine(app.Folder, "to-score.csv");
        await File.WriteAllTextAsync(file, $"id,question,context\n1,What colour is it?,{context}\n2,Where was it found?,{context}\n3,What?,\n");
        await page.GetByLabel("CSV, TSV or JSON lines").SetInputFilesAsync(file);
        await Expect(page.GetByLabel("Column with the question")).ToHaveValueAsync("question");
        await Expect(page.GetByLabel("Column with the context")).ToHaveValueAsync("context");
        await Press(page, "Score it");
        var scored = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the scored file" }).ClickAsync());
        var lines = await File.ReadAllLinesAsync((await scored.PathAsync())!);
        Assert.Equal("\"id\",\"question\",\"context\",\"predicted answer\",\"predicted start\",\"probability\"", lines[0].TrimStart('\uFEFF'));
        Assert.Equal(4, lines.Length);
        Assert.EndsWith(",,,", lines[3]);

        var download = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "Download the model" }).ClickAsync());
        var folder = Path.Combine(app.Folder, "downloaded");
        ZipFile.ExtractToDirectory((await download.PathAsync())!, folder);
        if (!File.Exists(Path.Combine(folder, "config.json"))) folder = Directory.GetDirectories(folder).Single();
        using (var finder = AnswerFinder.Load(folder))
        {
            var found = finder.Predict([TextPair.Join("What colour is it?", context)], 128)[0];
            Assert.Contains($"\"{found.Text}\",", lines[1]);
            Assert.Equal(found.Text, context.Substring(found.Start, found.Text.Length));
        }
        Assert.Contains("pipeline_tag: question-answering", await File.ReadAllTextAsync(Path.Combine(folder, "README.md")));
        var config = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(folder, "config.json"))).RootElement;
        Assert.Equal("BertForQuestionAnswering", config.GetProperty("architectures")[0].GetString());
        var golden = Shared.Find("goldens/bert-tiny-qa");
        // The golden has one block, the practice model two; the other names, and which fields there are, are the same.
        static IEnumerable<string> Keys(string path)
        {
            using var weights = SafetensorsFile.Open(Path.Combine(path, "model.safetensors"));
            return [.. weights.Entries.Values.Where(e => !e.Name.Contains(".layer.1.")).Select(e => $"{e.Name} {e.Dtype} {e.Shape.Count()}").Order(StringComparer.Ordinal)];
        }
        Assert.Equal(Keys(golden), Keys(folder));
        static IEnumerable<string> Fields(string path) => JsonDocument.Parse(File.ReadAllText(Path.Combine(path, "config.json"))).RootElement.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal);
        Assert.Equal(Fields(golden), Fields(folder));
    }

    private static Task Press(IPage page, string button) => page.GetByRole(AriaRole.Button, new() { Name = button, Exact = true }).ClickAsync();
}
