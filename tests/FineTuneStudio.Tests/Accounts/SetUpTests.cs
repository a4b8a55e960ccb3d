using FineTuneStudio.Accounts;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Accounts;

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
            await page.GetByRole(AriaRole.Button, new() { Name = "Create the project" }).ClickAsync();
            await page.WaitForURLAsync("**/p/customer-messages");
            await Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Customer messages" })).ToBeVisibleAsync();

            await page.GotoAsync("/account/setup");
            await Assertions.Expect(page.GetByText("The first account exists already.")).ToBeVisibleAsync();
        }
        finally { await ((IAsyncLifetime)app).DisposeAsync(); }
    }
}
