using FineTuneStudio.Engine.Training;
using System.Net;
using System.Text.RegularExpressions;
using FineTuneStudio.Accounts;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Datasets;

/// A server process with a data folder and accounts of its own, to be killed and started again at the same address.
public sealed class ServerToKill : IAsyncDisposable
{
    private RealServer? server;

    public string Folder { get; } = Directory.CreateTempSubdirectory("fts-real-").FullName;
    public Uri Url => server!.Url;
    public Dictionary<string, string> Environment { get; } = [];

    public StudioDb Db => new(new DbContextOptionsBuilder<StudioDb>().UseSqlite($"Data Source={Path.Combine(Folder, "studio.db")};Foreign Keys=True;Pooling=False").Options);

    public async Task Start() => server = await RealServer.Start(Folder, server?.Url.Port, Environment);

    public Task Kill() => server!.Kill();

    /// A person with a project of their own, written into the database directly.
    public async Task<(StudioUser User, Project Project)> NewOwner(string projectId)
    {
        var mail = $"owner-of-{projectId}@example.test";
        var user = new StudioUser { UserName = mail, NormalizedUserName = mail.ToUpperInvariant(), Email = mail, NormalizedEmail = mail.ToUpperInvariant(), SecurityStamp = "stamp", DisplayName = "Olga Owner", CreatedAt = DateTime.UnixEpoch, LockoutEnabled = true };
        user.PasswordHash = new PasswordHasher<StudioUser>().HashPassword(user, StudioFixture.Password);
        var project = new Project { Id = projectId, Name = projectId, Purpose = "To be killed and to lose nothing.", Task = TextTask.SingleLabel, Metric = Metric.MacroF1, Goal = 0.8, CreatedById = user.Id, CreatedAt = DateTime.UnixEpoch };
        await using var db = Db;
        db.Users.Add(user);
        db.Projects.Add(project);
        await db.SaveChangesAsync();
        foreach (var role in new[] { Role.Owner, Role.Engineer, Role.Reviewer }) db.Memberships.Add(new() { ProjectId = projectId, UserId = user.Id, Role = role, Since = DateTime.UnixEpoch });
        await db.SaveChangesAsync();
        return (user, project);
    }

    /// A browser without a window: signed in, with the token that changing calls must carry.
    public Task<HttpClient> SignIn(string mail) => SignedIn(Url, mail);

    public static async Task<HttpClient> SignedIn(Uri url, string mail)
    {
        var http = new HttpClient(new HttpClientHandler { CookieContainer = new CookieContainer() }) { BaseAddress = url };
        string Token(string page) => Regex.Match(page, "name=\"__RequestVerificationToken\"[^>]*value=\"([^\"]+)\"").Groups[1].Value;
        var form = await http.GetStringAsync("/account/sign-in");
        var answer = await http.PostAsync("/account/sign-in", new FormUrlEncodedContent(new Dictionary<string, string>
        {
            ["_handler"] = "sign-in", ["__RequestVerificationToken"] = Token(form), ["Form.Email"] = mail, ["Form.Password"] = StudioFixture.Password,
        }));
        Assert.False(answer.RequestMessage!.RequestUri!.AbsolutePath.StartsWith("/account/sign-in", StringComparison.Ordinal), "The sign-in failed.");
        http.DefaultRequestHeaders.Add("RequestVerificationToken", Token(await http.GetStringAsync("/account/sign-in")));
        return http;
    }

    public async ValueTask DisposeAsync()
    {
        if (server is not null) await server.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }
}
