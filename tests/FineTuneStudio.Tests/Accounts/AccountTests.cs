using FineTuneStudio.Tests.Shell;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.Accounts;

/// A person and their sign-in, in real browsers.
[Trait("Cost", "Slow")]
public sealed class AccountTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    private const string Refused = "E-mail or password is wrong, or the account is locked: five wrong attempts lock one for 15 minutes.";

    [Fact]
    public void A_code_is_computed_as_RFC_6238_has_it() =>
        Assert.Equal("287082", Totp.Code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", DateTimeOffset.FromUnixTimeSeconds(59)));

    [Fact]
    public async Task Two_factor_sign_in_from_the_picture_to_a_recovery_code_and_off_again()
    {
        var person = await app.NewPerson("Two Factor");
        var page = await browser.Open(app.Url);
        await page.SignIn(person.Mail);
        await page.GotoAsync("/account");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Two Factor" })).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Turn on two-factor sign-in" }).ClickAsync();
        await Press(page, "Set up an authenticator app");
        await Expect(page.Locator(".qr svg")).ToBeVisibleAsync();
        var key = await page.Locator("#key").TextContentAsync() ?? "";
        await page.GetByLabel("Code from the app").FillAsync("000000");
        await Press(page, "Turn two-factor sign-in on");
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("This is not the code that the app shows for this key now.");
        await Look.At(page, "account-second-step-key");
        await page.GetByLabel("Code from the app").FillAsync(Totp.Code(key, DateTimeOffset.UtcNow));
        await Press(page, "Turn two-factor sign-in on");
        await Expect(page.Locator(".codes li")).ToHaveCountAsync(10);
        var codes = await page.Locator(".codes li").AllTextContentsAsync();
        await Look.At(page, "account-recovery-codes");
        await page.GotoAsync("/account");
        await Expect(page.GetByText("10 of 10 recovery codes left")).ToBeVisibleAsync();

        await Press(page, "Sign out");
        await page.GotoAsync("/account");
        await page.ComesTo(@"/account/sign-in\?returnUrl=%2Faccount$");
        await EnterPassword(page, person.Mail);
        await page.ComesTo("/account/sign-in/second-step");
        await page.GetByLabel("Code from your authenticator app").FillAsync("123");
        await Press(page, "Sign in");
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("This code is not right, or was used before.");
        await page.GetByLabel("Code from your authenticator app").FillAsync(Totp.Code(key, DateTimeOffset.UtcNow));
        await Press(page, "Sign in");
        await page.ComesTo(@"/account$");

        await Press(page, "Sign out");
        await page.GotoAsync("/account/sign-in");
        await EnterPassword(page, person.Mail);
        await page.GetByLabel("Code from your authenticator app").FillAsync(codes[0].ToLowerInvariant());
        await Press(page, "Sign in");
        await page.ComesTo(@"^https?://[^/]+/(\?.*)?$");
        await page.GotoAsync("/account");
        await Expect(page.GetByText("9 of 10 recovery codes left")).ToBeVisibleAsync();

        var other = await browser.Open(app.Url);
        await other.GotoAsync("/account/sign-in");
        await EnterPassword(other, person.Mail);
        await other.GetByLabel("Code from your authenticator app").FillAsync(codes[0]);
        await Press(other, "Sign in");
        await Expect(other.GetByRole(AriaRole.Alert)).ToContainTextAsync("or was used before");

        await page.GotoAsync("/account/second-step");
        await page.GetByLabel("Password").First.FillAsync(StudioFixture.Password);
        await Press(page, "Make new recovery codes");
        await Expect(page.Locator(".codes li")).ToHaveCountAsync(10);
        Assert.DoesNotContain(codes[1], await page.Locator(".codes li").AllTextContentsAsync());
        await page.GotoAsync("/account/second-step");
        await Look.At(page, "account-second-step-on");
        await page.GetByLabel("Password").Nth(1).FillAsync("not the password");
        await Press(page, "Turn two-factor sign-in off");
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("Nothing was changed.");
        await page.GetByLabel("Password").Nth(1).FillAsync(StudioFixture.Password);
        await Press(page, "Turn two-factor sign-in off");
        await Expect(page.GetByText("The second step is off")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task Five_wrong_second_steps_lock_the_account_and_the_right_password_then_answers_like_a_wrong_one()
    {
        var person = await app.NewPerson("Guessed At");
        await TurnOnSecondStep(person);
        var page = await browser.Open(app.Url);
        await page.GotoAsync("/account/sign-in");
        await EnterPassword(page, person.Mail);
        for (var i = 0; i < 5; i++)
        {
            await page.GetByLabel("Code from your authenticator app").FillAsync("AAAAA-AAAA" + i);
            await Press(page, "Sign in");
            await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync(i < 4 ? "This code is not right" : "Too many wrong attempts: this account is locked for 15 minutes.");
        }
        await page.GotoAsync("/account/sign-in");
        await EnterPassword(page, person.Mail);
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync(Refused);
    }

    [Fact]
    public async Task Five_wrong_passwords_lock_the_account_and_the_answer_never_tells_whether_it_exists()
    {
        var person = await app.NewPerson("Locked Out");
        var page = await browser.Open(app.Url);
        foreach (var mail in new[] { person.Mail, "nobody@example.test" })
        {
            await page.GotoAsync("/account/sign-in");
            for (var i = 0; i < 6; i++)
            {
                await EnterPassword(page, mail, i < 5 ? "wrong password " + i : StudioFixture.Password);
                await Expect(page.GetByRole(AriaRole.Alert)).ToHaveTextAsync(Refused);
            }
        }
        await using var db = app.Db;
        var end = db.Users.Single(u => u.Id == person.Id).LockoutEnd!.Value;
        Assert.InRange(end - DateTimeOffset.UtcNow, TimeSpan.FromMinutes(14), TimeSpan.FromMinutes(15));
    }

    [Fact]
    public async Task A_changed_password_ends_the_other_browsers_open_page_and_cookie_and_keeps_this_one()
    {
        var person = await app.NewPerson("Changer");
        var project = await app.NewProject(person, "Open elsewhere");
        var here = await browser.Open(app.Url);
        var there = await browser.Open(app.Url);
        await here.SignIn(person.Mail);
        await there.SignIn(person.Mail);
        await there.GotoAsync($"/p/{project.Id}/team");
        await there.GetByLabel("Viewer: sees").CheckAsync();

        await here.GotoAsync("/account");
        await here.GetByLabel("Present password").FillAsync("not the password");
        await here.GetByLabel("New password").FillAsync("a new and longer one");
        await Press(here, "Change the password");
        await Expect(here.GetByRole(AriaRole.Alert)).ToContainTextAsync("The present password is not right. Nothing was changed.");
        await here.GetByLabel("Present password").FillAsync(StudioFixture.Password);
        await here.GetByLabel("New password").FillAsync("aaaaaaaaaaaa");
        await Press(here, "Change the password");
        await Expect(here.GetByRole(AriaRole.Alert)).ToContainTextAsync("The password repeats too few characters: use at least 5 different ones.");
        await here.GetByLabel("Present password").FillAsync(StudioFixture.Password);
        await here.GetByLabel("New password").FillAsync("a new and longer one");
        await Press(here, "Change the password");
        await Expect(here.Locator(".notice.pass")).ToContainTextAsync("The password is changed.");
        await Look.At(here, "account");

        await Press(there, "Make a one-time link");
        await Expect(there.GetByText("This sign-in has ended, because the password or the sign-in settings changed elsewhere.")).ToBeVisibleAsync();
        await there.ReloadAsync();
        await there.ComesTo("/account/sign-in");
        await here.GotoAsync($"/p/{project.Id}");
        await Expect(here.GetByRole(AriaRole.Heading, new() { Name = "Open elsewhere", Level = 1 })).ToBeVisibleAsync();
        await Press(here, "Sign out");
        await here.ComesTo("/account/sign-in$");
        await here.GotoAsync($"/p/{project.Id}");
        await here.ComesTo(@"/account/sign-in\?returnUrl=");
    }

    [Fact]
    public async Task Signing_out_in_one_tab_takes_the_others_to_the_sign_in()
    {
        var person = await app.NewPerson("Two Tabs");
        var project = await app.NewProject(person, "Two tabs");
        var here = await browser.Open(app.Url);
        await here.SignIn(person.Mail);
        var there = await here.Context.NewPageAsync();
        await there.GotoAsync($"/p/{project.Id}/team");
        // An answer that is still on its way must not bring the cookie back; nor may one of a cookie past half its time, which is why its end does not slide.
        Assert.False(app.Services.GetRequiredService<Microsoft.Extensions.Options.IOptionsMonitor<Microsoft.AspNetCore.Authentication.Cookies.CookieAuthenticationOptions>>().Get(Microsoft.AspNetCore.Identity.IdentityConstants.ApplicationScheme).SlidingExpiration);
        var answer = await there.Context.APIRequest.GetAsync("/account");
        Assert.Equal(200, answer.Status);
        Assert.DoesNotContain(answer.HeadersArray, h => h.Value.Contains("fts-sign-in"));
        await Press(here, "Sign out");
        await there.ComesTo("/account/sign-in$");
        await Expect(there.GetByRole(AriaRole.Button, new() { Name = "Sign out" })).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task A_person_renames_themselves_and_the_header_shows_it()
    {
        var person = await app.NewPerson("Old Name");
        var page = await browser.Open(app.Url);
        await page.SignIn(person.Mail);
        await page.GotoAsync("/account");
        await page.GetByLabel("Name", new() { Exact = true }).FillAsync("New Name");
        await Press(page, "Change the name");
        await Expect(page.GetByText("The name is changed.")).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Navigation, new() { Name = "Main" })).ToContainTextAsync("New Name");
        await page.GotoAsync("/");
        await Expect(page.GetByRole(AriaRole.Navigation, new() { Name = "Main" })).ToContainTextAsync("New Name");
    }

    private async Task TurnOnSecondStep(Person person)
    {
        await using var scope = app.Services.CreateAsyncScope();
        var users = scope.ServiceProvider.GetRequiredService<UserManager<StudioUser>>();
        var user = (await users.FindByIdAsync(person.Id))!;
        await users.ResetAuthenticatorKeyAsync(user);
        await users.SetTwoFactorEnabledAsync(user, true);
    }

    private static async Task EnterPassword(IPage page, string mail, string password = StudioFixture.Password)
    {
        await page.GetByLabel("E-mail").FillAsync(mail);
        await page.GetByLabel("Password").FillAsync(password);
        await Press(page, "Sign in");
    }

    private static Task Press(IPage page, string name) => page.GetByRole(AriaRole.Button, new() { Name = name }).ClickAsync();
}
