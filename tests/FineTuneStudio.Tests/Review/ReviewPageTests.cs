using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Review;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Review;

[Trait("Cost", "Slow")]
public sealed class ReviewPageTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    private static ILocator Text(IPage page, string text) => page.Locator("blockquote.example").Filter(new() { HasTextString = text });
    private static Task See(IPage page, string text) => Assertions.Expect(Text(page, text)).ToBeVisibleAsync();

    /// A key counts from the moment the page listens.
    private static Task Listening(IPage page) => Assertions.Expect(page.Locator("body[data-keys=review]")).ToBeVisibleAsync();

    private async Task<List<LabelDecision>> Decisions(int version)
    {
        await using var db = app.Db;
        return await db.Decisions.AsNoTracking().Where(d => d.VersionId == version).OrderBy(d => d.Id).ToListAsync();
    }

    [Fact]
    public async Task A_person_reviews_with_the_keyboard_alone()
    {
        var owner = await app.NewPerson("Olga Owner");
        var project = await app.NewProject(owner, "Keyboard");
        await using (var db = app.Db) await db.Projects.Where(p => p.Id == project.Id).ExecuteUpdateAsync(s => s.SetProperty(p => p.Guidelines, "A parcel is delivery."));
        var version = await app.NewVersion(project, [("first text", "delivery"), ("second text", "payment"), ("third text", null), ("fourth text", "delivery"), .. Rows.Of(("refund", 20))]);
        var page = await browser.Open(app.Url);
        var errors = new List<string>();
        page.Console += (_, m) => { if (m.Type == "error") errors.Add(m.Text); };
        await page.SignIn(owner.Mail);
        await page.GotoAsync($"/p/{project.Id}/review");
        await Listening(page);
        await See(page, "third text");
        await Assertions.Expect(page.GetByText("0 of 24 decided · 1 unlabelled · 0 flagged")).ToBeVisibleAsync();

        await page.Keyboard.PressAsync("2");
        await See(page, "first text");
        await Assertions.Expect(page.GetByText("1 of 24 decided · 0 unlabelled")).ToBeVisibleAsync();
        Assert.Equal((null, "payment"), (await Decisions(version.Id)) is [var only] ? (only.From, only.To) : default);
        await page.Keyboard.PressAsync("Enter");
        await See(page, "second text");
        await page.Keyboard.PressAsync("f");
        await Assertions.Expect(page.Locator(".chip", new() { HasTextString = "flagged" })).ToBeVisibleAsync();

        // A digit typed into a field is text, not a decision.
        await page.Keyboard.PressAsync("c");
        await page.Keyboard.TypeAsync("see order 123");
        await page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(page.GetByText("“see order 123”")).ToBeVisibleAsync();
        await page.Keyboard.PressAsync("Escape");

        await page.Keyboard.PressAsync("j");
        await See(page, "fourth text");
        await page.Keyboard.PressAsync("ArrowLeft");
        await See(page, "second text");
        await page.Keyboard.PressAsync("l");
        await page.Keyboard.TypeAsync("ref");
        await page.Keyboard.PressAsync("Enter");
        await See(page, "fourth text");
        await page.Keyboard.PressAsync("Escape");
        await page.Keyboard.PressAsync("u");
        await See(page, "second text");
        await Assertions.Expect(page.GetByText("2 of 24 decided · 0 unlabelled · 1 flagged")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("took “refund” back to “payment”")).ToBeVisibleAsync();
        await page.Keyboard.PressAsync("?");
        await Assertions.Expect(page.GetByText("take back my last label")).ToBeVisibleAsync();
        Assert.Equal([DecisionKind.Label, DecisionKind.Label, DecisionKind.Flag, DecisionKind.Comment, DecisionKind.Label, DecisionKind.Undo], (await Decisions(version.Id)).Select(d => d.Kind));

        await page.Keyboard.PressAsync("l");
        await page.Keyboard.TypeAsync("exchange");
        await page.Keyboard.PressAsync("Enter");
        await page.GetByRole(AriaRole.Button, new() { Name = "Add the label “exchange”" }).ClickAsync();
        await See(page, "fourth text");
        await page.GetByRole(AriaRole.Button, new() { Name = "Freeze the reviewed labels…" }).ClickAsync();
        await Assertions.Expect(page.GetByText("1 relabelled, 1 newly labelled, 22 unchanged. New label: “exchange”.")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Freeze as a new version" }).ClickAsync();
        await Assertions.Expect(page.GetByText("Version 2 is frozen.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("1 relabelled, 1 newly labelled, 22 unchanged. New label: “exchange”.")).ToBeVisibleAsync();
        Assert.Empty(errors);
    }

    [Fact]
    public async Task The_key_after_a_comment_or_an_escape_is_the_pages_however_fast_it_comes()
    {
        var owner = await app.NewPerson("Olga Owner");
        var project = await app.NewProject(owner, "Fast hands");
        await app.NewVersion(project, [("first text", "delivery"), ("second text", "payment"), ("third text", "refund")]);
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        await page.GotoAsync($"/p/{project.Id}/review/1");
        await Listening(page);
        // Within one turn of the page no other key can come between.
        const string left = "([id, key]) => { const at = document.getElementById(id); at.focus(); at.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); return document.activeElement !== at; }";
        Assert.True(await page.EvaluateAsync<bool>(left, new[] { "note", "Enter" }));
        Assert.True(await page.EvaluateAsync<bool>(left, new[] { "note", "Escape" }));
        Assert.True(await page.EvaluateAsync<bool>(left, new[] { "label-box", "Escape" }));
        Assert.True(await page.EvaluateAsync<bool>(left, new[] { "label-box", "Enter" }));
        // Letters stay in the field.
        Assert.False(await page.EvaluateAsync<bool>(left, new[] { "note", "2" }));
    }

    [Fact]
    public async Task Of_two_people_on_one_row_the_second_sees_both_answers_and_settles_it()
    {
        var owner = await app.NewPerson("Olga Owner");
        var ben = await app.NewPerson("Ben Reviewer");
        var project = await app.NewProject(owner, "Two people");
        await app.Grant(project, ben, Role.Reviewer);
        var version = await app.NewVersion(project, [("shared text", "delivery"), ("other text", "payment"), ("more text", "refund")]);
        var hers = await browser.Open(app.Url);
        var his = await browser.Open(app.Url);
        await hers.SignIn(owner.Mail);
        await his.SignIn(ben.Mail);
        foreach (var page in new[] { hers, his })
        {
            await page.GotoAsync($"/p/{project.Id}/review/1");
            await Listening(page);
            await See(page, "shared text");
        }
        await his.Locator("#note").FillAsync("It is about money.");
        await his.Locator("#note").PressAsync("Escape");
        await his.Keyboard.PressAsync("2");
        await See(his, "other text");

        await hers.Keyboard.PressAsync("3");
        var alert = hers.Locator(".conflict");
        await Assertions.Expect(alert).ToContainTextAsync("Ben Reviewer decided on this row meanwhile");
        await Assertions.Expect(alert).ToContainTextAsync("changed “delivery” to “payment”");
        await Assertions.Expect(alert).ToContainTextAsync("It is about money.");
        await Assertions.Expect(alert).ToContainTextAsync("“refund”");
        // The keys decide nothing while the question is open.
        await hers.Keyboard.PressAsync("1");
        Assert.Single(await Decisions(version.Id));
        await hers.GetByRole(AriaRole.Button, new() { Name = "Save mine after theirs" }).ClickAsync();
        await See(hers, "other text");
        Assert.Equal([("delivery", "payment"), ("payment", "refund")], (await Decisions(version.Id)).Select(d => (d.From!, d.To!)));
    }

    [Fact]
    public async Task Many_labels_and_many_rows_are_fixed_in_the_table()
    {
        var owner = await app.NewPerson("Olga Owner");
        var project = await app.NewProject(owner, "Table");
        var version = await app.NewVersion(project, [.. Rows.Of([.. Enumerable.Range(1, 77).Select(i => ((string?)$"a rather long label {i:00}", 2))]), ("wrong one", "a rather long label 01"), ("wrong two", "a rather long label 02")]);
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        await page.GotoAsync($"/p/{project.Id}/review/1/table");
        await page.GetByLabel("Text holds").FillAsync("wrong");
        await page.GetByRole(AriaRole.Button, new() { Name = "Show these" }).ClickAsync();
        await Assertions.Expect(page.GetByText("2 rows, page 1 of 1")).ToBeVisibleAsync();
        await page.GetByLabel("Choose all rows of this page").CheckAsync();
        await page.GetByLabel("Label", new() { Exact = true }).FillAsync("a rather long label 77");
        await page.GetByLabel("Reason").FillAsync("Found by search.");
        await page.GetByRole(AriaRole.Button, new() { Name = "Label 2 rows" }).ClickAsync();
        await Assertions.Expect(page.GetByText("2 rows are “a rather long label 77” now.")).ToBeVisibleAsync();
        Assert.All(await Decisions(version.Id), d => Assert.Equal(("a rather long label 77", "Found by search."), (d.To, d.Why)));
        await page.GotoAsync($"/p/{project.Id}/review/1?show=all&text=wrong");
        await See(page, "wrong one");
    }

    [Fact]
    public async Task A_viewer_looks_but_finds_nothing_to_decide_with()
    {
        var owner = await app.NewPerson();
        var viewer = await app.NewPerson();
        var project = await app.NewProject(owner, "Viewer");
        await app.Grant(project, viewer, Role.Viewer);
        await app.NewVersion(project, [("shown text", "x"), ("b", "y")]);
        var page = await browser.Open(app.Url);
        await page.SignIn(viewer.Mail);
        await page.GotoAsync($"/p/{project.Id}/review");
        await See(page, "shown text");
        await Assertions.Expect(page.GetByText("You can look; deciding needs")).ToBeVisibleAsync();
        await Assertions.Expect(page.Locator(".pick")).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task A_key_that_is_refused_or_fails_says_so_and_the_page_can_be_loaded_again()
    {
        var owner = await app.NewPerson("Refuser");
        var member = await app.NewPerson("Reviewer");
        var project = await app.NewProject(owner, "Refused keys");
        await app.Grant(project, member, Role.Reviewer);
        await app.NewVersion(project, [("a text", "delivery"), ("another text", "payment")]);
        var page = await browser.Open(app.Url);
        await page.SignIn(member.Mail);
        await page.GotoAsync($"/p/{project.Id}/review");
        await Listening(page);
        await See(page, "a text");
        await using (var db = app.Db) await db.Database.ExecuteSqlRawAsync("ALTER TABLE Decisions RENAME TO Elsewhere");
        try
        {
            await page.Keyboard.PressAsync("Enter");
            await Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Name = "This page stopped" })).ToBeVisibleAsync();
        }
        finally { await using var db = app.Db; await db.Database.ExecuteSqlRawAsync("ALTER TABLE Elsewhere RENAME TO Decisions"); }
        await page.GetByRole(AriaRole.Link, new() { Name = "Load the page again" }).ClickAsync();
        await Listening(page);
        await See(page, "a text");

        await owner.Do<ManageTeam>(m => m.SetRoles(project.Id, member.Id, new HashSet<Role>()));
        await page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(page.GetByText($"There is no project “{project.Id}”, or you are not a member of it.")).ToBeVisibleAsync();
    }
}
