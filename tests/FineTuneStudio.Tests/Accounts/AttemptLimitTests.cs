using System.Net;

namespace FineTuneStudio.Tests.Accounts;

public sealed class AttemptLimitTests
{
    [Fact]
    public async Task Attempts_are_limited_for_each_account_name_and_for_each_address()
    {
        var app = new StudioFixture { Settings = { ["SignIn:PerAddress"] = "8", ["SignIn:PerName"] = "3" } };
        await app.InitializeAsync();
        try { await Measure(new HttpClient { BaseAddress = app.Url }); }
        finally { await ((IAsyncLifetime)app).DisposeAsync(); }
    }

    private static async Task Measure(HttpClient client)
    {
        var name = new List<HttpStatusCode>();
        for (var i = 0; i < 4; i++) name.Add((await Try(client, "/account/sign-in", "one@example.test")).StatusCode);
        Assert.Equal([HttpStatusCode.BadRequest, HttpStatusCode.BadRequest, HttpStatusCode.BadRequest, HttpStatusCode.TooManyRequests], name);
        for (var i = 0; i < 4; i++) Assert.Equal(HttpStatusCode.BadRequest, (await Try(client, "/join/nothing", $"other{i}@example.test")).StatusCode);
        var last = await Try(client, "/account/sign-in", "another@example.test");
        Assert.Equal(HttpStatusCode.TooManyRequests, last.StatusCode);
        Assert.Equal("Too many attempts. Wait a minute, then try again.", await last.Content.ReadAsStringAsync());
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/account/sign-in")).StatusCode);
    }

    /// Without an antiforgery token these answer 400, and count all the same.
    private static Task<HttpResponseMessage> Try(HttpClient client, string path, string mail) =>
        client.PostAsync(path, new FormUrlEncodedContent([new("_handler", "sign-in"), new("Form.Email", mail), new("Form.Password", "x")]));
}
