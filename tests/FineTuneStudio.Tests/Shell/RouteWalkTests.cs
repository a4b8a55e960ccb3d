using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneStudio.Checklists;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.FewShot;
using FineTuneStudio.Pretraining;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Review;
using FineTuneStudio.Runs;
using FineTuneStudio.Tests.Reports;
using Microsoft.AspNetCore.Components;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Shell;

/// Every route, light and dark, wide and narrow, on a project full of content. Pictures go to artifacts/looks.
[Trait("Cost", "Slow")]
public sealed class RouteWalkTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    /// A route, and an address of it that has something to show; {p} is the project, {invitation} and {reset} are links made for the walk.
    private sealed record Stop(string Route, string Address, bool SignedIn = true, bool Empty = false, string? Press = null);

    private static readonly Stop[] Walk =
    [
        new("/", "/"), new("/new-project", "/new-project"), new("/problem", "/problem"), new("/not-here/{Status:int?}", "/not-here/403"),
        new("/account", "/account"), new("/account/people", "/account/people"), new("/account/second-step", "/account/second-step"),
        new("/account/setup", "/account/setup", false), new("/account/sign-in", "/account/sign-in?returnUrl=%2F", false), new("/account/sign-in/second-step", "/account/sign-in/second-step", false),
        new("/account/reset/{User}", "/{reset}", false), new("/join/{Code}", "/join/{invitation}", false),
        new("/p/{project}", "/p/{p}"), new("/p/{project}/settings", "/p/{p}/settings"), new("/p/{project}/team", "/p/{p}/team"),
        new("/p/{project}/data", "/p/{p}/data"), new("/p/{project}/data/upload/{import:int?}", "/p/{p}/data/upload"), new("/p/{project}/data/{number:int}", "/p/{p}/data/2"),
        new("/p/{project}/review/{version:int?}", "/p/{p}/review/2"), new("/p/{project}/review/{version:int}/table", "/p/{p}/review/2/table"),
        new("/p/{project}/split", "/p/{p}/split"), new("/p/{project}/base-models", "/p/{p}/base-models"), new("/p/{project}/base-models/{number:int}", "/p/{p}/base-models/1"),
        new("/p/{project}/runs", "/p/{p}/runs"), new("/p/{project}/runs/new", "/p/{p}/runs/new"), new("/p/{project}/runs/{run:int}", "/p/{p}/runs/1"),
        new("/p/{project}/pretraining", "/p/{p}/pretraining"), new("/p/{project}/pretraining/{pretraining:int}", "/p/{p}/pretraining/1"),
        new("/p/{project}/few-shot", "/p/{p}/few-shot"), new("/p/{project}/few-shot/{curve:int}", "/p/{p}/few-shot/1"),
        new("/p/{project}/checklist", "/p/{p}/checklist"), new("/p/{project}/reports", "/p/{p}/reports"), new("/p/{project}/reports/{report:int}", "/p/{p}/reports/1"),
        new("/p/{project}/model/{run:int}", "/p/{p}/model/1"),
        new("/p/{project}/data/upload/{import:int?}", "/p/{p}/data/upload/{import}"), new("/account/second-step", "/account/second-step", Press: "Set up an authenticator app"),
        // The same pages of a project that has nothing yet.
        .. new[] { "", "/data", "/review", "/split", "/base-models", "/base-models/7", "/runs", "/runs/new", "/runs/7", "/few-shot", "/few-shot/7", "/pretraining", "/pretraining/7", "/checklist", "/reports", "/reports/7", "/model/7" }.Select(page => new Stop("/p/{project}" + page, "/p/{e}" + page, Empty: true)),
    ];

    private static IReadOnlyList<string> Routes { get; } = [.. typeof(Program).Assembly.GetTypes().SelectMany(t => t.GetCustomAttributes<RouteAttribute>()).Select(r => r.Template).Order(StringComparer.Ordinal)];

    [Fact]
    public void Every_route_is_on_the_walk() => Assert.Empty(Missing(Routes));

    [Fact]
    public void A_planted_route_is_missed() => Assert.Equal(["/p/{project}/planted is not on the walk."], Missing([.. Routes, "/p/{project}/planted"]));

    [Fact]
    public async Task Every_page_is_whole_legible_and_usable_in_light_and_dark_wide_and_narrow()
    {
        var (run, words) = await Content();
        var faults = new List<string>();
        // Both colours at once: most of a visit is waiting.
        await Task.WhenAll(new[] { "light", "dark" }.Select(async theme =>
        {
            var inside = await Enter(theme, theme == "light" ? run.Engineer.Mail : words["second"]);
            var outside = await Enter(theme, null);
            foreach (var stop in Walk.Where(s => s.Empty || Routes.Contains(s.Route)))
            {
                var found = await Visit(stop.SignedIn ? inside : outside, stop, words, theme);
                lock (faults) faults.AddRange(found);
            }
            await inside.Context.CloseAsync();
            await outside.Context.CloseAsync();
        }));
        Assert.True(faults.Count == 0, string.Join("\n", faults));
    }

    [Fact]
    public async Task A_planted_wide_table_cut_button_and_nameless_field_are_found()
    {
        var page = await browser.Open(app.Url, 390);
        await page.SetContentAsync("""
            <html lang="en"><head><title>Planted</title></head><body><main><h1>Planted</h1><div style="width:700px">wide</div>
            <button style="position:absolute;left:380px;width:90px">Outside</button><button style="width:40px;overflow:hidden;white-space:nowrap">Much too long for it</button><input></main></body></html>
            """);
        var found = string.Join("\n", await PageFaults.Find(page));
        Assert.Contains("scrolls sideways: ", found);
        Assert.Contains("“Outside” lies outside the page", found);
        Assert.Contains("“Much too long for it” does not hold its text", found);
        Assert.Contains("label (critical)", found);
    }

    private static IReadOnlyList<string> Missing(IEnumerable<string> routes) => [.. routes.Except(Walk.Select(s => s.Route)).Select(r => $"{r} is not on the walk.")];

    private async Task<IPage> Enter(string theme, string? mail)
    {
        var page = await browser.Open(app.Url);
        await page.Context.AddCookiesAsync([new() { Name = "fts-theme", Value = theme == "dark" ? "material-dark" : "material", Url = app.Url.ToString() }]);
        if (mail is not null) await page.SignIn(mail);
        return page;
    }

    private static async Task<IReadOnlyList<string>> Visit(IPage page, Stop stop, IReadOnlyDictionary<string, string> words, string theme)
    {
        var faults = new List<string>();
        void Console(object? _, IConsoleMessage message) { if (message.Type == "error") faults.Add($"{stop.Route} {theme}: console: {message.Text} {message.Location}"); }
        void Error(object? _, string error) => faults.Add($"{stop.Route} {theme}: page error: {error}");
        page.Console += Console;
        page.PageError += Error;
        try
        {
            await page.SetViewportSizeAsync(1280, 900);
            var address = words.Aggregate(stop.Address, (a, w) => a.Replace("{" + w.Key + "}", w.Value));
            var answer = await page.GotoAsync(address);
            if (answer?.Ok != true) faults.Add($"{stop.Route} {theme}: answered {answer?.Status}.");
            await page.Locator("h1").First.WaitForAsync();
            await Assertions.Expect(page.GetByText("Loading…", new() { Exact = true })).ToHaveCountAsync(0);
            if (stop.Press is { } press) await page.GetByRole(AriaRole.Button, new() { Name = press, Exact = true }).ClickAsync();
            if (await page.Locator("link[href*='material-dark']").CountAsync() > 0 != (theme == "dark")) faults.Add($"{stop.Route} {theme}: does not keep the colours that were chosen.");
            if (new Uri(page.Url).AbsolutePath != new Uri(new Uri(page.Url), address).AbsolutePath) faults.Add($"{stop.Route} {theme}: led to {page.Url}.");
            foreach (var stopped in new[] { "This page stopped", "Not with your role", "Not here", "Please sign in" })
                if (stop.Route != "/not-here/{Status:int?}" && await page.GetByRole(AriaRole.Heading, new() { Name = stopped, Exact = true }).CountAsync() > 0) faults.Add($"{stop.Route} {theme}: shows “{stopped}”.");
            foreach (var width in new[] { 1280, 390 })
            {
                await page.SetViewportSizeAsync(width, 900);
                await page.WaitForTimeoutAsync(300);
                var name = stop.Route.Trim('/') is { Length: > 0 } route ? Regex.Replace(route.Replace("p/{project}", "project"), "[^a-zA-Z]+", "-").Trim('-') : "projects";
                await page.ScreenshotAsync(new() { Path = Path.Combine(Look.Folder, $"walk-{name}{(stop.Empty ? "-empty" : stop.Press is not null || stop.Address.Contains("{import}") ? "-2" : "")}-{theme}-{width}.png"), FullPage = true });
                faults.AddRange((await PageFaults.Find(page)).Select(f => $"{stop.Route} {theme} {width}: {f}"));
            }
        }
        catch (Exception e) when (e is PlaywrightException or TimeoutException) { faults.Add($"{stop.Route} {theme}: {e.Message.Split('\n')[0]}"); }
        page.Console -= Console;
        page.PageError -= Error;
        return faults;
    }

    /// A curve of all methods that was stopped, with points of two draws on disk.
    private async Task StoppedCurve(StudioDb db, FinishedRun run)
    {
        var curve = new LearningCurveRun
        {
            ProjectId = run.Project.Id, Number = 1, SplitId = run.SplitId, BaseModelId = (await db.BaseModels.SingleAsync(m => m.ProjectId == run.Project.Id)).Id, StartedById = run.Engineer.Id, QueuedAt = DateTime.UtcNow, PointsDone = 40, PointsTotal = 60, PoolRows = 120, MeasuredRows = 30,
            SettingsJson = JsonSerializer.Serialize(new CurveSettings(Enum.GetValues<FewShotMethod>(), [1, 2, 4, 8, 16], 3, 200, 2e-5, 128)), MajorityLabel = "negative", MajorityAccuracy = 1 / 3.0, MajorityMacroF1 = 1 / 6.0,
        };
        curve.Start(DateTime.UtcNow);
        curve.End(CurveState.Stopped, DateTime.UtcNow);
        db.Add(curve);
        await db.SaveChangesAsync();
        var points = from draw in Enumerable.Range(0, 2) from k in curve.Settings.Ks from method in curve.Settings.Methods
                     select new FewShotPoint(method, k, draw, 3 * k, 0.9 - 0.5 / (k + (int)method) + 0.02 * draw, 0.88 - 0.5 / (k + (int)method) + 0.02 * draw, 3);
        var folder = Directory.CreateDirectory(app.Services.GetRequiredService<StudioFolder>().Curve(curve.Id)).FullName;
        await File.WriteAllLinesAsync(Path.Combine(folder, KeptPoints.FileName), points.Select(point => JsonSerializer.Serialize(new { point, of = "the walk" }, JsonSerializerOptions.Web)));
    }

    /// Pretraining on a text of the project that a person stopped, with its numbers.
    private static async Task StoppedPretraining(StudioDb db, FinishedRun run)
    {
        var text = new PretrainText { ProjectId = run.Project.Id, Name = "letters-of-the-northern-region-march-to-october-final-2.txt.xz", StoredAs = "none.txt.xz", Bytes = 1_234_567, Documents = 4_321, Words = 987_654, Sha256 = "0", UploadedById = run.Engineer.Id, UploadedAt = DateTime.UtcNow };
        db.PretrainTexts.Add(text);
        await db.SaveChangesAsync();
        var recipe = PlanPretraining.Standard(null);
        var pretraining = new PretrainRun
        {
            ProjectId = run.Project.Id, Number = 1, ChoiceJson = JsonSerializer.Serialize(new PretrainChoice("Knows the letters", null, NewSize.Mini, 8000, [text.Id], [], 0.05, 40)), FromModelId = null, TextNames = text.Name, TrainWords = 940_000, HeldOutWords = 47_654,
            RecipeJson = recipe.ToJson(), RecipeHash = recipe.Sha256(), LaunchedById = run.Engineer.Id, QueuedAt = DateTime.UtcNow, StepsDone = 30, TotalSteps = 40, BestStep = 20, BestMetric = 41.2,
        };
        pretraining.Start(DateTime.UtcNow);
        pretraining.End(RunState.StoppedByPerson, DateTime.UtcNow);
        db.PretrainRuns.Add(pretraining);
        await db.SaveChangesAsync();
        for (var step = 1; step <= 30; step++)
            db.RunSteps.Add(new RunStep { RunId = pretraining.Id, Step = step, Epoch = step / 80.0, TrainLoss = 6.2 - step * 0.08 + (step % 3) * 0.05, LearningRate = 1e-3 * (1 - step / 40.0), GradientNorm = 1 + step % 4 * 0.2, ExamplesPerSecond = 90 + step, MemoryBytes = 510_000_000 });
        for (var step = 0; step <= 20; step += 10)
            db.RunEvaluations.Add(new RunEvaluation { RunId = pretraining.Id, Step = step, Epoch = step / 80.0, ValidationLoss = 6.3 - step * 0.1, ScoresJson = $$"""{"Perplexity":{{540 - 24 * step}},"TokenAccuracy":0.{{step + 10}}}""", TrainSampleLoss = 6.2 - step * 0.1, TrainSampleMetric = 520 - 23 * step, IsBest = step > 0 });
        await db.SaveChangesAsync();
    }

    /// A finished run with a signed report and answers beside it, the sample's messages with broken rows as a second version under review,
    /// a file that waits for its columns to be named, a project with nothing, and long words everywhere.
    private async Task<(FinishedRun Run, IReadOnlyDictionary<string, string> Words)> Content()
    {
        var run = await FinishedRun.Make(app, "Customer messages of the northern region, routed to the teams that answer them");
        var (id, engineer) = (run.Project.Id, run.Engineer);
        var approver = await run.Approver("Maximiliane Featherstonehaugh-Cholmondeley");
        await using var db = app.Db;
        await db.Users.Where(u => u.Id == engineer.Id).ExecuteUpdateAsync(set => set.SetProperty(u => u.IsAdministrator, true));
        for (var step = 1; step <= 32; step++)
            db.RunSteps.Add(new RunStep { RunId = run.RunId, Step = step, Epoch = step / 8.0, TrainLoss = 1.1 - step * 0.02 + (step % 3) * 0.03, LearningRate = 1e-3 * (1 - step / 32.0), GradientNorm = 1 + step % 4 * 0.2, ExamplesPerSecond = 210 + step, MemoryBytes = 410_000_000 });
        db.RunLog.Add(new RunLogLine { RunId = run.RunId, At = DateTime.UtcNow, Text = "Started on 2 threads with 120 rows." });
        await StoppedCurve(db, run);
        await StoppedPretraining(db, run);
        await engineer.Do<AnswerChecklist, int>(async a => { await a.Handle(id, DosAndDonts.All[0].Key, Verdict.Kept, "Two people read every label of the third of March."); return 0; });
        var report = await run.Report();
        var hash = await db.Reports.Where(r => r.ProjectId == id && r.Number == report).Select(r => r.Hash!).SingleAsync();
        await approver.Do<SignReport, int>(async s => { await s.Handle(id, report, false, "The majority label alone does as well as this model.", hash); return 0; });

        var file = Path.Combine(app.Folder, "messages.csv");
        await File.WriteAllTextAsync(file, await File.ReadAllTextAsync(Path.Combine(ContentRoot.Find([]), "sample", "customer-messages.csv"))
            + $"{string.Concat(Enumerable.Repeat("unbroken", 60))},,email,\n{string.Join(' ', Enumerable.Repeat("a rather long message", 80))},wrong_exchange_rate_for_cash_withdrawal,email,\none cell too many,delivery,email,en-GB,x\n\"broken \"quote\",delivery,email,\n");
        await using var scope = app.Services.CreateAsyncScope();
        await scope.ServiceProvider.GetRequiredService<ImportFile>().Handle(id, engineer.Id, file, "customer-messages-of-the-northern-region-march-to-october-final-2.csv");
        var rows = await engineer.Do<FindRows, FindRows.Queue>(f => f.Handle(id, 2, new RowFilter()));
        await engineer.Do<DecideLabel, Outcome>(d => d.Handle(id, new Decision(2, rows.Ids[0], DecisionKind.Flag, 0)));
        var import = await engineer.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(id, "waiting-for-its-columns.csv", new FileInfo(file).Length, []));
        await using (var chunk = File.OpenRead(file)) await engineer.Do<ReceiveFile, ReceiveFile.Place>(r => r.Append(id, import.Id, 0, chunk));
        var empty = await app.NewProject(engineer, "Nothing here yet");
        // A page that sets up a second step changes its person: the dark half of the walk is another one's.
        var second = await app.NewPerson("Owen Owner");
        await db.Users.Where(u => u.Id == second.Id).ExecuteUpdateAsync(set => set.SetProperty(u => u.IsAdministrator, true));
        foreach (var project in new[] { run.Project, empty }) await app.Grant(project, second, Role.Owner, Role.Engineer);
        var invitation = await engineer.Do<InvitePerson, string>(i => i.Handle(id, [Role.Reviewer, Role.Labeler]));
        var reset = await engineer.Do<ResetPassword, string>(r => r.MakeLink(approver.Id));
        return (run, new Dictionary<string, string> { ["p"] = id, ["e"] = empty.Id, ["import"] = $"{import.Id}", ["second"] = second.Mail, ["invitation"] = invitation, ["reset"] = reset });
    }
}
