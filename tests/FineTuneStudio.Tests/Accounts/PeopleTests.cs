using System.Net;
using FineTuneStudio.Tests.Shell;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Accounts;

/// What the server's administrator does for people who cannot get in, and for nobody else.
[Trait("Cost", "Slow")]
public sealed class PeopleTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task The_administrator_makes_a_link_that_sets_a_new_password_once()
    {
        var admin = await Administrator();
        var forgetful = await app.NewPerson("Forgetful");
        var page = await browser.Open(app.Url);
        await page.SignIn(admin.Mail);
        await page.GotoAsync("/account/people");
        await page.GetByRole(AriaRole.Button, new() { Name = "Make a link for a new password for Forgetful" }).ClickAsync();
        var link = await page.GetByLabel("Link for a new password", new() { Exact = true }).InputValueAsync();
        await Look.At(page, "account-people");

        var other = await browser.Open(app.Url);
        await other.GotoAsync(link);
        await other.GetByLabel("New password").FillAsync("short pass");
        await other.EvaluateAsync("document.querySelector('#wanted').removeAttribute('minlength')");
        await other.GetByLabel("New password").FillAsync("shorty");
        await other.GetByRole(AriaRole.Button, new() { Name = "Set the password" }).ClickAsync();
        await Expect(other.GetByRole(AriaRole.Alert)).ToContainTextAsync("The password is too short: it needs at least 10 characters. A few words make a good one.");
        await other.GetByLabel("New password").FillAsync("remembered this time");
        await other.GetByRole(AriaRole.Button, new() { Name = "Set the password" }).ClickAsync();
        await Expect(other.Locator(".notice.pass")).ToContainTextAsync("Sign in with the new one.");
        await other.SignIn(forgetful.Mail, "remembered this time");
        await other.GotoAsync(link);
        await Expect(other.GetByRole(AriaRole.Heading, new() { Name = "This link does not work" })).ToBeVisibleAsync();
        await other.GotoAsync("/account/reset/nobody?code=" + new Uri(link).Query["?code=".Length..]);
        await Expect(other.GetByRole(AriaRole.Heading, new() { Name = "This link does not work" })).ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_locked_person_is_out_everywhere_until_unlocked()
    {
        var admin = await Administrator();
        var person = await app.NewPerson("Leaver");
        var theirs = await browser.Open(app.Url);
        await theirs.SignIn(person.Mail);
        var page = await browser.Open(app.Url);
        await page.SignIn(admin.Mail);
        await page.GotoAsync("/account/people");
        await page.GetByRole(AriaRole.Button, new() { Name = "Lock Leaver out until unlocked" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Unlock Leaver" })).ToBeVisibleAsync();
        await theirs.GotoAsync("/account");
        await theirs.ComesTo(@"/account/sign-in\?returnUrl=");
        await theirs.GetByLabel("E-mail").FillAsync(person.Mail);
        await theirs.GetByLabel("Password").FillAsync(StudioFixture.Password);
        await theirs.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        await Expect(theirs.GetByRole(AriaRole.Alert)).ToContainTextAsync("or the account is locked");
        await page.GetByRole(AriaRole.Button, new() { Name = "Unlock Leaver" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Lock Leaver out until unlocked" })).ToBeVisibleAsync();
        await theirs.SignIn(person.Mail);
    }

    [Fact]
    public async Task Nobody_but_the_administrator_manages_people()
    {
        var person = await app.NewPerson("Curious");
        var refusal = await Assert.ThrowsAsync<AccessDenied>(() => person.Do<ManagePeople>(m => m.Lock(person.Id)));
        Assert.Equal("Only the server's administrator, who made the first account, may do this.", refusal.Message);
        await Assert.ThrowsAsync<AccessDenied>(() => person.Do<ResetPassword>(r => r.MakeLink(person.Id)));
        var page = await browser.Open(app.Url);
        await page.SignIn(person.Mail);
        Assert.Equal(403, (await page.GotoAsync("/account/people"))!.Status);
    }

    [Fact]
    public async Task A_sign_out_without_the_antiforgery_token_is_refused()
    {
        using var client = new HttpClient { BaseAddress = app.Url };
        Assert.Equal(HttpStatusCode.BadRequest, (await client.PostAsync("/account/sign-out", new FormUrlEncodedContent([]))).StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, (await client.PostAsync("/account/sign-in", new FormUrlEncodedContent([new("_handler", "sign-in"), new("Form.Email", "a@example.test"), new("Form.Password", "x")]))).StatusCode);
    }

    private async Task<Person> Administrator()
    {
        var person = await app.NewPerson("Keeper");
        await using var db = app.Db;
        await db.Users.Where(u => u.Id == person.Id).ExecuteUpdateAsync(set => set.SetProperty(u => u.IsAdministrator, true));
        return person;
    }
}
