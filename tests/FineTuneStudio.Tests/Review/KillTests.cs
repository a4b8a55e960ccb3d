using FineTuneStudio.Review;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Review;

/// The fixture only makes the data folder and reads it afterwards; the pages come from a process that is killed.
[Trait("Cost", "Slow")]
public sealed class KillTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task Every_acknowledged_decision_is_there_after_kill_9()
    {
        var owner = await app.NewPerson("Olga Owner");
        var project = await app.NewProject(owner, "Killed");
        var version = await app.NewVersion(project, Rows.Of(("delivery", 30), ("payment", 30)));
        var acknowledged = 0;
        Uri url;
        await using (var server = await RealServer.Start(app.Folder))
        {
            url = server.Url;
            var page = await browser.Open(url);
            await page.SignIn(owner.Mail);
            await page.GotoAsync($"/p/{project.Id}/review");
            var progress = page.Locator(".progressline [role=status]");
            await Assertions.Expect(progress).ToContainTextAsync("0 of 60 decided");
            // A key counts from the moment the page listens.
            await Assertions.Expect(page.Locator("body[data-keys=review]")).ToBeVisibleAsync();
            for (; acknowledged < 10; acknowledged++)
            {
                await page.Keyboard.PressAsync(acknowledged % 2 == 0 ? "1" : "2");
                await Assertions.Expect(progress).ToContainTextAsync($"{acknowledged + 1} of 60 decided");
            }
            // In full flight: keys go on being pressed while the server dies.
            var typing = Task.Run(async () => { for (var i = 0; i < 20; i++) await page.Keyboard.PressAsync("1"); });
            await Task.Delay(300);
            acknowledged = int.Parse((await progress.TextContentAsync())!.Split(' ')[0]);
            await server.Kill();
            await typing;
        }

        await using var again = await RealServer.Start(app.Folder, url.Port);
        await using var db = app.Db;
        var decisions = await db.Decisions.AsNoTracking().Where(d => d.VersionId == version.Id).OrderBy(d => d.Id).ToListAsync();
        Assert.True(decisions.Count >= acknowledged, $"{acknowledged} were acknowledged, {decisions.Count} are there.");
        Assert.All(decisions.Take(10).Select((d, i) => (d, i)), x => Assert.Equal(x.i % 2 == 0 ? "delivery" : "payment", x.d.To));
        Assert.All(decisions, d => Assert.Equal((DecisionKind.Label, owner.Id), (d.Kind, d.UserId)));
        Assert.Equal(decisions.Count, decisions.Select(d => d.RowId).Distinct().Count());
        Assert.Equal("ok", (await db.Database.SqlQuery<string>($"SELECT integrity_check AS Value FROM pragma_integrity_check").ToListAsync())[0]);

        var back = await browser.Open(again.Url);
        await back.SignIn(owner.Mail);
        await back.GotoAsync($"/p/{project.Id}/review");
        await Assertions.Expect(back.GetByText($"{decisions.Count} of 60 decided")).ToBeVisibleAsync();
    }
}
