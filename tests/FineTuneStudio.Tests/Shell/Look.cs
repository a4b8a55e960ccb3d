using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Shell;

/// Pictures of pages in light and dark, wide and narrow, for looking at. Written to artifacts/looks, which git ignores.
public static class Look
{
    public static string Folder { get; } = Directory.CreateDirectory(Path.Combine(ContentRoot.Find([]), "artifacts", "looks")).FullName;

    public static async Task At(IPage page, string name)
    {
        foreach (var width in new[] { 1280, 390 })
        {
            await page.SetViewportSizeAsync(width, 900);
            foreach (var theme in new[] { "light", "dark" })
            {
                await page.WaitForTimeoutAsync(250);
                await page.ScreenshotAsync(new() { Path = Path.Combine(Folder, $"{name}-{theme}-{width}.png"), FullPage = true });
                await page.Locator("#dark").ClickAsync();
            }
        }
        await page.SetViewportSizeAsync(1280, 900);
    }
}
