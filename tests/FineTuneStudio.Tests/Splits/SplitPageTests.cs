using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Splits;

[Trait("Cost", "Slow")]
public sealed class SplitPageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_split_is_shaped_with_the_bar_and_frozen()
    {
        var owner = await app.NewPerson("Olga Owner");
        var project = await app.NewProject(owner, "Split page");
        await app.NewVersion(project, [.. Rows.Of(("delivery", 200), ("payment", 100), ("rare", 2), (null, 10)), ("Same text", "delivery"), ("same text", "payment")]);
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        await page.GotoAsync($"/p/{project.Id}/split");
        var preview = page.GetByRole(AriaRole.Region, new() { Name = "Preview of the split by label" });
        await Assertions.Expect(preview.GetByRole(AriaRole.Row, new() { Name = "delivery 161 20 20 201" })).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("“rare” (2)")).ToBeVisibleAsync();
        var conflicts = page.GetByRole(AriaRole.Region, new() { Name = "Rows of texts with different labels" });
        await Assertions.Expect(conflicts.GetByRole(AriaRole.Row, new() { Name = "313 Same text delivery" })).ToBeVisibleAsync();
        await Assertions.Expect(conflicts.GetByRole(AriaRole.Row, new() { Name = "314 same text payment" })).ToBeVisibleAsync();

        // Train moves with its handle from the keyboard, the others with their numbers; they always make 100.
        await page.GetByLabel("Where train ends and validation begins, in per cent").PressAsync("ArrowLeft");
        await Assertions.Expect(page.GetByLabel("Train, %")).ToHaveValueAsync("79");
        await page.GetByLabel("Test, %").FillAsync("20");
        await page.GetByLabel("Test, %").PressAsync("Tab");
        await Assertions.Expect(page.GetByLabel("Validation, %")).ToHaveValueAsync("1");
        await page.GetByLabel("Train, %").FillAsync("60");
        await page.GetByLabel("Train, %").PressAsync("Tab");
        await Assertions.Expect(page.GetByLabel("Test, %")).ToHaveValueAsync("39");
        await page.GetByLabel("Validation, %").FillAsync("20");
        await page.GetByLabel("Validation, %").PressAsync("Tab");
        await Assertions.Expect(preview.GetByRole(AriaRole.Row, new() { NameRegex = new("delivery 12[01] 40 4[01] 201") })).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Freeze this split" }).ClickAsync();
        await Assertions.Expect(page.GetByText("Split 1 is frozen.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("This is split 1; it is frozen already.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("test locked")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Link, new() { NameRegex = new("^Split, done: Split 1, seed [0-9]+: test part locked.$") })).ToBeVisibleAsync();
        await using var db = app.Db;
        Assert.Equal((0.6, 0.2, 0.2), await db.Splits.Where(s => s.ProjectId == project.Id).Select(s => new ValueTuple<double, double, double>(s.TrainShare, s.ValidationShare, s.TestShare)).SingleAsync());
    }
}
