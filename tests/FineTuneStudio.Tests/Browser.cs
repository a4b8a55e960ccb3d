using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests;

/// Debian's Chromium, headless: one process for all tests, in which each class has windows of its own.
public sealed class Browser : IAsyncLifetime
{
    /// It ends with the test process, because the driver that holds it does.
    private static readonly Lazy<Task<IBrowser>> Chromium = new(Start);

    private readonly ConcurrentBag<IBrowserContext> opened = [];
    private IBrowser? chromium;

    public async Task InitializeAsync() => chromium = await Chromium.Value;

    private static async Task<IBrowser> Start()
    {
        // A busy machine may take a while for the first page of a cold server.
        Assertions.SetDefaultExpectTimeout(30_000);
        var playwright = await Playwright.CreateAsync();
        return await playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = Environment.GetEnvironmentVariable("CHROMIUM") ?? "/usr/bin/chromium", Headless = true,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    /// A new person at a new browser: own cookies.
    public async Task<IPage> Open(Uri url, int width = 1280, int height = 900)
    {
        var context = await chromium!.NewContextAsync(new() { BaseURL = url.ToString(), ViewportSize = new() { Width = width, Height = height } });
        opened.Add(context);
        context.SetDefaultTimeout(45_000);
        return await context.NewPageAsync();
    }

    public async Task DisposeAsync()
    {
        foreach (var context in opened) await context.CloseAsync();
    }
}

public static class PageWords
{
    /// The address is looked at until it matches: an event of the browser's can be missed on a busy machine. A failure says what the page shows instead.
    public static async Task ComesTo(this IPage page, [StringSyntax(StringSyntaxAttribute.Regex)] string address)
    {
        try { await Assertions.Expect(page).ToHaveURLAsync(new Regex(address), new() { Timeout = 60_000 }); }
        catch (PlaywrightException e)
        {
            throw new PlaywrightException($"{page.Url} does not match {address}; it shows: {await page.Locator("body").InnerTextAsync()}", e);
        }
    }

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
