using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Runs;

[Trait("Cost", "Slow")]
[Collection("training")]
public sealed class RunHubTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    private const string Watch = """
        async ([project, run]) => {
          window.points = 0; window.ended = '';
          const c = new signalR.HubConnectionBuilder().withUrl('/hubs/runs').configureLogging(signalR.LogLevel.None).build();
          c.on('Progress', u => window.points += u.steps.length);
          c.on('Ended', s => window.ended = s);
          await c.start();
          window.hub = c;
          try { const h = await c.invoke('Watch', project, 'runs', run, 0); return 'history ' + h.steps.length; } catch (e) { return String(e.message); }
        }
        """;

    private const string Again = "async ([project, run]) => { try { await window.hub.invoke('Watch', project, 'runs', run, 0); return 'joined'; } catch (e) { return String(e.message); } }";

    [Fact]
    public async Task Only_members_watch_and_who_loses_the_role_receives_nothing_more_and_cannot_join_again()
    {
        var scene = await Scene.Make(app, "Hub", rows: 600);
        var viewer = await app.NewPerson("Viewer");
        await app.Grant(scene.Project, viewer, Role.Viewer);
        var number = await scene.Engineer.Do<LaunchRun, int>(l => l.Handle(scene.Project.Id, 1, 1, new RunRecipe { Epochs = 100, LearningRate = 1e-3, MaxLength = 32, EarlyStoppingPatience = 0 }));
        await app.Until(scene.Project, number, r => r.StepsDone > 5);

        using var anonymous = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false }) { BaseAddress = app.Url };
        Assert.NotEqual(System.Net.HttpStatusCode.OK, (await anonymous.PostAsync("/hubs/runs/negotiate?negotiateVersion=1", null)).StatusCode);

        var stranger = await app.NewPerson("Stranger");
        var outside = await browser.Open(app.Url);
        await outside.SignIn(stranger.Mail);
        Assert.Contains("There is no project “hub”, or you are not a member of it.", await outside.EvaluateAsync<string>(Watch, new object[] { scene.Project.Id, number }));

        var page = await browser.Open(app.Url);
        await page.SignIn(viewer.Mail);
        Assert.StartsWith("history ", await page.EvaluateAsync<string>(Watch, new object[] { scene.Project.Id, number }));
        Assert.EndsWith("HubException: There is no run 7 in this project.", await page.EvaluateAsync<string>(Again, new object[] { scene.Project.Id, 7 }));
        await page.WaitForFunctionAsync("() => window.points > 10", null, new() { Timeout = 30_000 });
        await using (var db = app.Db) await db.Memberships.Where(m => m.UserId == viewer.Id).ExecuteDeleteAsync();
        await page.WaitForFunctionAsync("() => window.ended !== ''", null, new() { Timeout = 30_000 });
        Assert.Equal("You are no longer a member of this project, or this sign-in has ended; nothing more is shown.", await page.EvaluateAsync<string>("() => window.ended"));
        foreach (var join in new[] { Again, Watch })
            Assert.EndsWith("There is no project “hub”, or you are not a member of it. Ask its owner for an invitation.", await page.EvaluateAsync<string>(join, new object[] { scene.Project.Id, number }));
        var points = await page.EvaluateAsync<int>("() => window.points");
        await page.WaitForTimeoutAsync(1500);
        Assert.Equal(points, await page.EvaluateAsync<int>("() => window.points"));
        Assert.Equal(0, await outside.EvaluateAsync<int>("() => window.points"));
        await scene.Engineer.Do<StopRun>(s => s.Cancel(scene.Project.Id, number));
        await app.Ended(scene.Project, number);
    }
}
