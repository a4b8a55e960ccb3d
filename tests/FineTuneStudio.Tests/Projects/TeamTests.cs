using System.Net;
using FineTuneStudio.Accounts;
using FineTuneStudio.Projects;
using FineTuneStudio.Tests.PermissionMatrix;
using FineTuneStudio.Tests.Shell;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Projects;

[Trait("Cost", "Slow")]
public sealed class TeamTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task An_invited_person_makes_an_account_and_joins_with_the_offered_roles_once()
    {
        var owner = await app.NewPerson("Owner");
        var project = await app.NewProject(owner, "Joined project");
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        await page.GotoAsync($"/p/{project.Id}/team");
        await page.GetByLabel("Approver: signs").CheckAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Make a one-time link" }).ClickAsync();
        var link = await page.GetByLabel("Invitation link").InputValueAsync();
        await Look.At(page, "team");

        var guest = await browser.Open(app.Url);
        await guest.GotoAsync(link);
        await guest.GetByLabel("Your name").FillAsync("Second Person");
        await guest.GetByLabel("E-mail").FillAsync("second@example.test");
        await guest.GetByLabel("Password").FillAsync(StudioFixture.Password);
        await guest.GetByRole(AriaRole.Button, new() { Name = "Create the account and join" }).ClickAsync();
        await guest.ComesTo($@"/p/{project.Id}$");
        await Assertions.Expect(guest.GetByRole(AriaRole.Heading, new() { Name = "Joined project", Level = 1 })).ToBeVisibleAsync();
        await Look.At(guest, "project-home");

        var late = await browser.Open(app.Url);
        await late.GotoAsync(link);
        await Assertions.Expect(late.GetByText("It was used, withdrawn, is older than 7 days, or its sender no longer manages the team.")).ToBeVisibleAsync();
        await using var db = app.Db;
        var guestId = db.Users.Single(u => u.Email == "second@example.test").Id;
        Assert.Equal([Role.Approver], db.Memberships.Where(m => m.UserId == guestId).Select(m => m.Role).ToList());
    }

    [Fact]
    public async Task The_only_owner_cannot_leave_a_project_without_an_owner()
    {
        var owner = await app.NewPerson("Sole Owner");
        var project = await app.NewProject(owner);
        var refusal = await Assert.ThrowsAsync<ArgumentException>(() => owner.Do<ManageTeam>(m => m.SetRoles(project.Id, owner.Id, new HashSet<Role>())));
        Assert.Equal("A project needs an owner, and this is the only one. Make somebody else an owner first.", refusal.Message);
    }

    [Fact]
    public async Task A_role_taken_away_ends_what_an_open_page_could_do()
    {
        var owner = await app.NewPerson("Owner");
        var guest = await app.NewPerson("Guest");
        var project = await app.NewProject(owner);
        await app.Grant(project, guest, Role.Owner);
        var page = await browser.Open(app.Url);
        await page.SignIn(guest.Mail);
        await page.GotoAsync($"/p/{project.Id}/team");
        await page.GetByLabel("Viewer: sees").CheckAsync();
        await owner.Do<ManageTeam>(m => m.SetRoles(project.Id, guest.Id, new HashSet<Role> { Role.Viewer }));
        await page.GetByRole(AriaRole.Button, new() { Name = "Make a one-time link" }).ClickAsync();
        await Assertions.Expect(page.GetByText("This needs the role Owner in “Test project”; yours: Viewer.")).ToBeVisibleAsync();
        await using var db = app.Db;
        Assert.Empty(db.Invitations.Where(i => i.ProjectId == project.Id));
    }

    [Fact]
    public async Task Of_eight_who_send_one_link_at_once_one_gets_an_account()
    {
        var owner = await app.NewPerson("Inviter");
        var project = await app.NewProject(owner, "One seat");
        var code = await owner.Do<InvitePerson, string>(i => i.Handle(project.Id, [Role.Viewer]));
        using var client = (await new Caller("anonymous", app, null, null).Client()).Client;
        var page = await client.GetStringAsync($"/join/{code}");
        var empty = await client.SendForm($"/join/{code}", page, "join", []);
        Assert.Contains("The name is empty; say how the team should see you.", WebUtility.HtmlDecode(await empty.Content.ReadAsStringAsync()));
        // A refused password must not use the link up.
        var weak = await client.SendForm($"/join/{code}", page, "join", [new("Form.Name", "Weak"), new("Form.Email", "seat@example.test"), new("Form.Password", "short")]);
        Assert.Contains("The password is too short", WebUtility.HtmlDecode(await weak.Content.ReadAsStringAsync()));
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => client.SendForm($"/join/{code}", page, "join",
            [new("Form.Name", $"Seat {i}"), new("Form.Email", $"seat{i}@example.test"), new("Form.Password", StudioFixture.Password)])));
        Assert.Single(answers, a => a.StatusCode == HttpStatusCode.Found);
        Assert.DoesNotContain(answers, a => a.StatusCode >= HttpStatusCode.InternalServerError);
        await using var db = app.Db;
        var account = Assert.Single(db.Users.Where(u => u.Email!.StartsWith("seat")).ToList());
        Assert.Equal([Role.Viewer], db.Memberships.Where(m => m.UserId == account.Id && m.ProjectId == project.Id).Select(m => m.Role).ToList());
    }

    [Fact]
    public async Task An_owner_who_was_taken_out_cannot_come_back_by_a_link_they_made()
    {
        var owner = await app.NewPerson("Stayer");
        var removed = await app.NewPerson("Removed");
        var project = await app.NewProject(owner, "No way back");
        await app.Grant(project, removed, Role.Owner);
        var code = await removed.Do<InvitePerson, string>(i => i.Handle(project.Id, [Role.Owner]));
        Assert.NotNull(await removed.Do<AcceptInvitation, AcceptInvitation.Offer?>(a => a.Find(code)));
        Assert.Single((await owner.Do<ManageTeam, ManageTeam.Team>(m => m.List(project.Id))).Invitations);
        await owner.Do<ManageTeam>(m => m.SetRoles(project.Id, removed.Id, new HashSet<Role>()));
        Assert.Null(await removed.Do<AcceptInvitation, AcceptInvitation.Offer?>(a => a.Find(code)));
        var refusal = await Assert.ThrowsAsync<ArgumentException>(() => removed.Do<AcceptInvitation>(a => a.Handle(code)));
        Assert.Equal("This invitation was used, withdrawn, is older than 7 days, or its sender no longer manages the team. Ask an owner of the project for a new one.", refusal.Message);
        var team = await owner.Do<ManageTeam, ManageTeam.Team>(m => m.List(project.Id));
        Assert.Equal((1, 0), (team.Members.Count, team.Invitations.Count));
    }

    [Fact]
    public async Task A_link_counts_for_nothing_while_an_administrator_keeps_its_maker_out()
    {
        var administrator = await app.NewPerson("Administrator");
        await using (var db = app.Db) await db.Users.Where(u => u.Id == administrator.Id).ExecuteUpdateAsync(s => s.SetProperty(u => u.IsAdministrator, true));
        var maker = await app.NewPerson("Locked Maker");
        var guest = await app.NewPerson("Waiting Guest");
        var project = await app.NewProject(maker, "Locked out");
        var code = await maker.Do<InvitePerson, string>(i => i.Handle(project.Id, [Role.Viewer]));
        await administrator.Do<ManagePeople>(p => p.Lock(maker.Id));
        Assert.Null(await guest.Do<AcceptInvitation, AcceptInvitation.Offer?>(a => a.Find(code)));
        await Assert.ThrowsAsync<ArgumentException>(() => guest.Do<AcceptInvitation>(a => a.Handle(code)));
        await administrator.Do<ManagePeople>(p => p.Unlock(maker.Id));
        Assert.NotNull(await guest.Do<AcceptInvitation, AcceptInvitation.Offer?>(a => a.Find(code)));
        // Wrong passwords lock an account for minutes; strangers must not close its links with them.
        await using (var db = app.Db) await db.Users.Where(u => u.Id == maker.Id).ExecuteUpdateAsync(s => s.SetProperty(u => u.LockoutEnd, DateTimeOffset.UtcNow.AddMinutes(15)));
        Assert.NotNull(await guest.Do<AcceptInvitation, AcceptInvitation.Offer?>(a => a.Find(code)));
    }
}
