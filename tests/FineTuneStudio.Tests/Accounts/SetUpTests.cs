using System.Net;
using FineTuneStudio.Accounts;
using FineTuneStudio.Tests.PermissionMatrix;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Accounts;

[Trait("Cost", "Slow")]
public sealed class SetUpTests(Browser browser) : IClassFixture<Browser>
{
    [Fact]
    public async Task The_first_account_is_made_with_the_code_on_the_console_and_starts_a_project()
    {
        var app = new StudioFixture();
        await app.InitializeAsync();
        try
        {
            var page = await browser.Open(app.Url);
            await page.GotoAsync("/account/setup");
            await page.GetByLabel("Setup code").FillAsync("0000-0000-0000-0000");
            await page.GetByLabel("Your name").FillAsync("First Owner");
            await page.GetByLabel("E-mail").FillAsync("owner@example.test");
            await page.GetByLabel("Password").FillAsync(StudioFixture.Password);
            await page.GetByRole(AriaRole.Button, new() { Name = "Create the account" }).ClickAsync();
            await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("The setup code is not the one on the console.");

            await page.GetByLabel("Setup code").FillAsync(app.Services.GetRequiredService<SetupCode>().ForConsole);
            await page.GetByLabel("Password").FillAsync(StudioFixture.Password);
            await page.GetByRole(AriaRole.Button, new() { Name = "Create the account" }).ClickAsync();
            await page.GetByRole(AriaRole.Link, new() { Name = "New project" }).ClickAsync();
            await page.GetByLabel("Name").FillAsync("Customer messages");
            await page.GetByLabel("What is the model for?").FillAsync("Route customer messages to the right team.");
            await page.GetByLabel("Who approves?").FillAsync("the head of support");
            await page.GetByRole(AriaRole.Button, new() { Name = "Create the project" }).ClickAsync();
            await page.ComesTo("/p/customer-messages$");
            await Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Customer messages" })).ToBeVisibleAsync();

            await page.GotoAsync("/account/setup");
            await Assertions.Expect(page.GetByText("The first account exists already.")).ToBeVisibleAsync();
        }
        finally { await ((IAsyncLifetime)app).DisposeAsync(); }
    }

    [Fact]
    public async Task Of_six_who_send_the_setup_code_at_once_one_becomes_the_administrator()
    {
        var app = new StudioFixture();
        await app.InitializeAsync();
        try
        {
            var code = app.Services.GetRequiredService<SetupCode>().ForConsole;
            using var client = (await new Caller("anonymous", app, null, null).Client()).Client;
            var page = await client.GetStringAsync("/account/setup");
            Assert.Contains("The setup code is not the one on the console.", WebUtility.HtmlDecode(await (await client.SendForm("/account/setup", page, "setup", [])).Content.ReadAsStringAsync()));
            Assert.Contains("The name is empty; say how the team should see you.", WebUtility.HtmlDecode(await (await client.SendForm("/account/setup", page, "setup", [new("Form.Code", code)])).Content.ReadAsStringAsync()));
            var nameless = await client.SendForm("/account/setup", page, "setup", [new("Form.Code", code), new("Form.Name", "Nobody")]);
            Assert.Contains("The password is too short", WebUtility.HtmlDecode(await nameless.Content.ReadAsStringAsync()));
            var answers = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => client.SendForm("/account/setup", page, "setup",
                [new("Form.Code", code), new("Form.Name", $"First {i}"), new("Form.Email", $"first{i}@example.test"), new("Form.Password", StudioFixture.Password)])));
            Assert.Single(answers, a => a.StatusCode == HttpStatusCode.Found);
            Assert.DoesNotContain(answers, a => a.StatusCode >= HttpStatusCode.InternalServerError);
            await using var db = app.Db;
            Assert.True(Assert.Single(db.Users.ToList()).IsAdministrator);
        }
        finally { await ((IAsyncLifetime)app).DisposeAsync(); }
    }
}
