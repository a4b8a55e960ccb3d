using System.Text.RegularExpressions;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests;

/// Debian's Chromium, headless.
public sealed class Browser : IAsyncLifetime
{
    private IPlaywright? playwright;
    private IBrowser? chromium;

    public async Task InitializeAsync()
    {
        playwright = await Playwright.CreateAsync();
        // A busy machine may take a while for the first page of a cold server.
        Assertions.SetDefaultExpectTimeout(30_000);
        chromium = await playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = Environment.GetEnvironmentVariable("CHROMIUM") ?? "/usr/bin/chromium", Headless = true,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    /// A new person at a new browser: own cookies.
    public async Task<IPage> Open(Uri url, int width = 1280, int height = 900)
    {
        var context = await chromium!.NewContextAsync(new() { BaseURL = url.ToString(), ViewportSize = new() { Width = width, Height = height } });
        context.SetDefaultTimeout(45_000);
        return await context.NewPageAsync();
    }

    public async Task DisposeAsync()
    {
        if (chromium is not null) await chromium.DisposeAsync();
        playwright?.Dispose();
    }
}

public static class PageWords
{
    public static async Task SignIn(this IPage page, string mail, string password = StudioFixture.Password)
    {
        await page.GotoAsync("/account/sign-in");
        await page.GetByLabel("E-mail").FillAsync(mail);
        await page.GetByLabel("Password").FillAsync(password);
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        // What is seen is waited for, not the load event: waiting for that has missed it on a busy machine.
        await Assertions.Expect(page).Not.ToHaveURLAsync(new Regex(@"/account/sign-in(\?.*)?$"));
        await Assertions.Expect(page.Locator("h1").First).ToBeVisibleAsync();
    }
}
