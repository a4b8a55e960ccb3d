using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Shell;

/// What a page says when it has lost its server.
[Trait("Cost", "Slow")]
public sealed class ReconnectNoticeTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task It_shows_when_the_connection_is_lost_and_never_before_also_while_the_style_sheet_is_on_its_way()
    {
        var page = await browser.Open(app.Url);
        var notice = page.GetByText("Connection lost. Rejoining the server…");
        await page.RouteAsync("**/app*.css", r => r.AbortAsync());
        await page.GotoAsync("/account/sign-in");
        await Expect(page.GetByLabel("E-mail")).ToBeVisibleAsync();
        await Expect(notice).ToBeHiddenAsync();
        await page.UnrouteAsync("**/app*.css");
        await page.ReloadAsync();
        await Expect(page.GetByLabel("E-mail")).ToBeVisibleAsync();
        await Expect(notice).ToBeHiddenAsync();
        await page.EvaluateAsync("document.getElementById('components-reconnect-modal').classList.add('components-reconnect-show')");
        await Expect(notice).ToBeVisibleAsync();
    }
}
