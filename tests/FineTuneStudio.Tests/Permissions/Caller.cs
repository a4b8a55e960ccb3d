using System.Net;
using System.Text.RegularExpressions;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.PermissionMatrix;

/// Somebody who knocks: nobody in particular, a stranger to the project, the server's administrator, or a member with exactly one role.
public sealed record Caller(string Name, StudioFixture App, Person? Person, Role? Role, bool IsAdministrator = false)
{
    public bool IsSignedIn => Person is not null;
    public bool IsMember => Role is not null;

    public AsyncServiceScope Scope() => Person?.Scope() ?? App.Services.CreateAsyncScope();

    public override string ToString() => Name;

    public static async Task<(Project Project, IReadOnlyList<Caller> All)> Everybody(StudioFixture app)
    {
        var founder = await app.NewPerson("Founder");
        var project = await app.NewProject(founder, "Matrix");
        var administrator = await app.NewPerson("Administrator");
        await using (var db = app.Db) await db.Users.Where(u => u.Id == administrator.Id).ExecuteUpdateAsync(set => set.SetProperty(u => u.IsAdministrator, true));
        var all = new List<Caller>
        {
            new("anonymous", app, null, null), new("stranger", app, await app.NewPerson("Stranger"), null),
            new("administrator", app, administrator, null, IsAdministrator: true),
        };
        foreach (var role in Enum.GetValues<Role>())
        {
            var person = await app.NewPerson(role.ToString());
            await app.Grant(project, person, role);
            all.Add(new(role.ToString(), app, person, role));
        }
        return (project, all);
    }

    /// A browser of their own, without a browser: cookies, no redirects followed.
    public async Task<(HttpClient Client, CookieContainer Cookies)> Client()
    {
        var cookies = new CookieContainer();
        var client = new HttpClient(new SocketsHttpHandler { CookieContainer = cookies, AllowAutoRedirect = false }) { BaseAddress = App.Url, Timeout = TimeSpan.FromSeconds(30) };
        if (Person is null) return (client, cookies);
        var form = await client.GetStringAsync("/account/sign-in");
        var token = Regex.Match(form, "name=\"__RequestVerificationToken\" value=\"(?<t>[^\"]+)\"").Groups["t"].Value;
        var answer = await client.PostAsync("/account/sign-in", new FormUrlEncodedContent(
        [
            new("__RequestVerificationToken", token), new("_handler", "sign-in"), new("Form.Email", Person.Mail), new("Form.Password", StudioFixture.Password),
        ]));
        Assert.Equal((HttpStatusCode.Found, "/"), (answer.StatusCode, answer.Headers.Location?.ToString().Replace(App.Url.ToString().TrimEnd('/'), "")));
        return (client, cookies);
    }
}

public static class Forms
{
    /// Posts a form of a page that was loaded before, with just these fields.
    public static Task<HttpResponseMessage> SendForm(this HttpClient client, string path, string page, string form, IEnumerable<KeyValuePair<string, string>> fields) =>
        client.PostAsync(path, new FormUrlEncodedContent(fields.Append(new("_handler", form))
            .Append(new("__RequestVerificationToken", Regex.Match(page, "name=\"__RequestVerificationToken\" value=\"(?<t>[^\"]+)\"").Groups["t"].Value))));
}
