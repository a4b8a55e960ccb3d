using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Shell;

[Trait("Cost", "Slow")]
public sealed class DoubleClickTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_double_click_on_the_sample_makes_one_project()
    {
        var person = await app.NewPerson("Quick Hand");
        var page = await browser.Open(app.Url);
        await page.SignIn(person.Mail);
        await page.GotoAsync("/");
        await page.GetByRole(AriaRole.Button, new() { Name = "Sample project" }).DblClickAsync();
        await page.ComesTo("/p/sample-customer-messages$");
        await using var db = app.Db;
        Assert.Equal(1, await db.Projects.CountAsync(p => p.CreatedById == person.Id));
    }

    [Fact]
    public async Task A_form_sent_twice_at_once_makes_one_project()
    {
        var person = await app.NewPerson("Twice Sent");
        var page = await browser.Open(app.Url);
        await page.SignIn(person.Mail);
        await page.GotoAsync("/");
        await page.GetByRole(AriaRole.Link, new() { Name = "New project" }).ClickAsync();
        await page.GetByLabel("Name").FillAsync("Sent twice");
        await page.GetByLabel("What is the model for?").FillAsync("Route customer messages to teams.");
        await page.GetByLabel("Who approves?").FillAsync("the head of support");
        await page.GetByLabel("Who approves?").BlurAsync();
        await page.Locator("form.form").EvaluateAsync("form => { form.requestSubmit(); form.requestSubmit(); }");
        await page.ComesTo("/p/sent-twice");
        await using var db = app.Db;
        Assert.Equal(["sent-twice"], await db.Projects.Where(p => p.CreatedById == person.Id).Select(p => p.Id).ToListAsync());
    }

    [Fact]
    public async Task Of_two_quick_clicks_a_button_hears_both_only_where_that_is_meant()
    {
        var page = await browser.Open(app.Url);
        await page.GotoAsync("/account/sign-in");
        await page.EvaluateAsync("""
            () => {
              window.heard = {};
              for (const name of ['once', 'quick']) {
                const button = document.createElement('button');
                button.type = 'button'; button.id = button.textContent = name;
                if (name === 'quick') button.dataset.quick = '';
                button.addEventListener('click', () => window.heard[name] = (window.heard[name] ?? 0) + 1);
                document.querySelector('main').append(button);
              }
            }
            """);
        await page.Locator("#once").DblClickAsync();
        await page.Locator("#quick").DblClickAsync();
        Assert.Equal((1, 2), (await page.EvaluateAsync<int>("() => window.heard.once"), await page.EvaluateAsync<int>("() => window.heard.quick")));
    }
}
