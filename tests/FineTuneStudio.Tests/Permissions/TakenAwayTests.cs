using System.Net;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.PermissionMatrix;

/// A right that ends while its holder is here: at an open page, in a circuit, with a cookie in hand. Of the hub, see RunHubTests.
public sealed class TakenAwayTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_role_taken_away_while_the_page_is_open_ends_every_use_case_of_it()
    {
        var owner = await app.NewPerson("Owner");
        var member = await app.NewPerson("Member");
        var project = await app.NewProject(owner, "Taken away");
        await app.Grant(project, member, Role.Owner);
        var page = await browser.Open(app.Url);
        await page.SignIn(member.Mail);
        await page.GotoAsync($"/p/{project.Id}/settings");
        await page.GetByLabel("Name").FillAsync("Renamed after the end");
        await owner.Do<ManageTeam>(m => m.SetRoles(project.Id, member.Id, new HashSet<Role>()));
        await page.GetByRole(AriaRole.Button, new() { Name = "Save" }).ClickAsync();
        await Assertions.Expect(page.GetByText($"There is no project “{project.Id}”, or you are not a member of it.")).ToBeVisibleAsync();
        await using var db = app.Db;
        Assert.Equal("Taken away", db.Projects.Single(p => p.Id == project.Id).Name);
        // The same scope, as a circuit keeps it: let in before, turned away after.
        await app.Grant(project, member, Role.Engineer);
        await using var circuit = member.Scope();
        var faults = new List<string>();
        var methods = Doors.Registered(app.Registered, typeof(Program).Assembly).SelectMany(t => Doors.Methods(t).Select(m => (t, m))).Where(x => Door.Of(x.m) is { Needs: not null, Fault: null }).ToList();
        Assert.NotNull(await circuit.ServiceProvider.GetRequiredService<ProjectAccess>().Require(project.Id, Permission.LaunchRun));
        await owner.Do<ManageTeam>(m => m.SetRoles(project.Id, member.Id, new HashSet<Role>()));
        foreach (var (type, method) in methods)
            if (await Knock.In(circuit.ServiceProvider, app, type, method, project.Id) is not Denial.NoSuchProject) faults.Add($"{type.Name}.{method.Name} still answers.");
        Assert.True(faults.Count == 0, string.Join("\n", faults));
    }

    [Fact]
    public async Task A_role_taken_away_ends_downloads_with_the_same_cookie()
    {
        var owner = await app.NewPerson("Keeper");
        var member = await app.NewPerson("Downloader");
        var project = await app.NewProject(owner, "Downloads");
        await app.Grant(project, member, Role.Engineer);
        var rejected = await RejectedRows(project, owner);
        using var client = (await new Caller("member", app, member, Role.Engineer).Client()).Client;
        Assert.Equal((HttpStatusCode.OK, true), await Download(client, rejected));
        await owner.Do<ManageTeam>(m => m.SetRoles(project.Id, member.Id, new HashSet<Role> { Role.Viewer }));
        Assert.Equal((HttpStatusCode.Forbidden, false), await Download(client, rejected));
        await owner.Do<ManageTeam>(m => m.SetRoles(project.Id, member.Id, new HashSet<Role>()));
        Assert.Equal((HttpStatusCode.NotFound, false), await Download(client, rejected));
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task An_account_locked_or_deleted_is_out_with_its_cookie_and_at_its_open_page(bool locked)
    {
        var owner = await app.NewPerson("Host");
        var member = await app.NewPerson("Leaver");
        var project = await app.NewProject(owner, locked ? "Locked out" : "Deleted");
        await app.Grant(project, member, Role.Owner);
        var rejected = await RejectedRows(project, owner);
        using var client = (await new Caller("member", app, member, Role.Owner).Client()).Client;
        Assert.Equal((HttpStatusCode.OK, true), await Download(client, rejected));
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync($"/p/{project.Id}")).StatusCode);
        var page = await browser.Open(app.Url);
        await page.SignIn(member.Mail);
        await page.GotoAsync($"/p/{project.Id}/settings");
        await page.GetByLabel("Name").FillAsync("Renamed after the end");

        await using (var db = app.Db)
            if (locked)
            {
                await db.Users.Where(u => u.Id == owner.Id).ExecuteUpdateAsync(set => set.SetProperty(u => u.IsAdministrator, true));
                await owner.Do<ManagePeople>(p => p.Lock(member.Id));
            }
            else
            {
                await db.Memberships.Where(m => m.UserId == member.Id).ExecuteDeleteAsync();
                await db.Users.Where(u => u.Id == member.Id).ExecuteDeleteAsync();
            }

        await page.GetByRole(AriaRole.Button, new() { Name = "Save" }).ClickAsync();
        await Assertions.Expect(page.GetByText("This sign-in has ended")).ToBeVisibleAsync();
        Assert.Equal((HttpStatusCode.Unauthorized, false), await Download(client, rejected));
        var answer = await client.GetAsync($"/p/{project.Id}");
        Assert.Equal((HttpStatusCode.Found, true), (answer.StatusCode, answer.Headers.Location!.ToString().Contains("/account/sign-in")));
        await using var after = app.Db;
        Assert.Equal(project.Name, after.Projects.Single(p => p.Id == project.Id).Name);
    }

    /// An import of one row that was not taken, and where its file is to be had.
    private async Task<string> RejectedRows(Project project, Person by)
    {
        await using var db = app.Db;
        var import = new Import { ProjectId = project.Id, FileName = "rows.csv", Size = 9, StoredAs = "none", State = ImportState.Imported, CreatedById = by.Id, CreatedAt = DateTime.UtcNow };
        db.Imports.Add(import);
        await db.SaveChangesAsync();
        db.RejectedRows.Add(new RejectedRow { ImportId = import.Id, Line = 2, Column = 1, Found = Secret, Reason = "The text is empty." });
        await db.SaveChangesAsync();
        return $"/api/p/{project.Id}/imports/{import.Id}/rejected.csv";
    }

    private const string Secret = "what only members read";

    private static async Task<(HttpStatusCode, bool HasTheRow)> Download(HttpClient client, string address)
    {
        using var answer = await client.GetAsync(address);
        return (answer.StatusCode, (await answer.Content.ReadAsStringAsync()).Contains(Secret));
    }
}
