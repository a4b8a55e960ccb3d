using System.Net;
using System.Reflection;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Components.Endpoints;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.SignalR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.JSInterop;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.PermissionMatrix;

/// Every page, endpoint, hub method and public use-case method × everybody who could try it, found by reflection:
/// what is new and outside the matrix fails it. Permissions.Table is the truth that all are held to.
public sealed class MatrixTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    private static readonly Assembly Ours = typeof(Program).Assembly;

    [Fact]
    public void Every_door_says_who_may_use_it()
    {
        var faults = MarkFaults(Ours, app.Services, app.Registered);
        Assert.True(faults.Count == 0, string.Join("\n", faults));
    }

    [Fact]
    public async Task Pages_and_endpoints_let_in_and_turn_away_as_the_table_says()
    {
        var (project, callers) = await Caller.Everybody(app);
        var faults = new List<string>();
        var endpoints = Doors.Endpoints(app.Services).ToList();
        foreach (var page in Doors.Pages(Ours).Where(p => !endpoints.Any(e => e.Metadata.GetMetadata<ComponentTypeMetadata>()?.Type == p)))
            faults.Add($"The page {page.Name} has no endpoint; is it mapped?");
        foreach (var caller in callers)
        {
            var (client, _) = await caller.Client();
            foreach (var endpoint in endpoints)
                foreach (var method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["GET"])
                {
                    var door = Door.Of(endpoint);
                    if (door.Fault is not null) continue; // reported by the test above
                    var path = Doors.PathOf(endpoint, project.Id);
                    // A sign-out that is let in would end the caller's knocking; without its token it is refused with 400.
                    using var answer = await client.SendAsync(new HttpRequestMessage(new HttpMethod(method), path), HttpCompletionOption.ResponseHeadersRead);
                    if (AnswerFault(door, caller, method, path, (int)answer.StatusCode, answer.Headers.Location?.ToString(), (int)answer.StatusCode == 404 ? await answer.Content.ReadAsStringAsync() : "") is { } fault)
                        faults.Add(fault);
                }
            client.Dispose();
        }
        Assert.True(faults.Count == 0, string.Join("\n", faults));
    }

    [Fact]
    public async Task Use_cases_called_directly_let_in_and_turn_away_as_the_table_says()
    {
        var (project, callers) = await Caller.Everybody(app);
        var faults = new List<string>();
        var called = 0;
        foreach (var type in Doors.Registered(app.Registered, Ours))
            foreach (var method in Doors.Methods(type))
            {
                var door = Door.Of(method);
                if (door.Fault is not null) continue;
                if (door.Needs is not null && method.GetParameters() is not [{ ParameterType: var first, Name: "projectId" }, ..]) { faults.Add($"{door.Name} needs a right in a project, but its first parameter is not “projectId”."); continue; }
                foreach (var caller in callers)
                {
                    called++;
                    var refused = await Knock.At(type, method, caller, project.Id);
                    if (refused != door.Refuses(caller)) faults.Add($"{door.Name} as {caller}: {Word(refused)}, expected {Word(door.Refuses(caller))}.");
                }
            }
        Assert.True(faults.Count == 0, string.Join("\n", faults));
        Assert.True(called > 100, $"Only {called} calls were made.");
    }

    /// Those that lean on their page's mark are behind the page, which is knocked at above.
    [Fact]
    public async Task Methods_that_scripts_call_let_in_and_turn_away_as_their_own_mark_says()
    {
        var (project, callers) = await Caller.Everybody(app);
        var faults = new List<string>();
        foreach (var method in Doors.Callbacks(Ours).Where(m => m.IsDefined(typeof(NeedsAttribute)) || m.IsDefined(typeof(OpenAttribute))))
            foreach (var caller in callers)
                if (await Knock.At(method.DeclaringType!, method, caller, project.Id) is var refused && refused != Door.Of(method).Refuses(caller))
                    faults.Add($"{Door.Of(method).Name} as {caller}: {Word(refused)}, expected {Word(Door.Of(method).Refuses(caller))}.");
        Assert.True(faults.Count == 0, string.Join("\n", faults));
    }

    [Fact]
    public async Task Hub_methods_let_in_and_turn_away_as_the_table_says()
    {
        var (project, callers) = await Caller.Everybody(app);
        var faults = new List<string>();
        foreach (var (hub, path) in Doors.Hubs(app.Services))
            foreach (var method in Doors.Methods(hub))
                foreach (var caller in callers)
                    if (Door.Of(method).Fault is null && await HubFault(Door.Of(method), path, method, caller, project.Id) is { } fault) faults.Add(fault);
        Assert.True(faults.Count == 0, string.Join("\n", faults));
    }

    [Fact]
    public async Task The_team_page_shows_the_table_that_is_enforced()
    {
        var owner = await app.NewPerson("Reader");
        var project = await app.NewProject(owner, "Table");
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        await page.GotoAsync($"/p/{project.Id}/team");
        var table = page.GetByRole(AriaRole.Region, new() { Name = "Who may do what" });
        await table.WaitForAsync();
        Assert.Equal(["Right", .. Enum.GetNames<Role>()], await table.Locator("thead th").AllTextContentsAsync());
        var shown = new List<string>();
        foreach (var row in await table.Locator("tbody tr").AllAsync())
            shown.Add(await row.Locator("th").TextContentAsync() + ": " + string.Join(' ', await row.Locator("td").AllTextContentsAsync()));
        Assert.Equal(Permissions.Table.Select(l => $"{l.Says}: {string.Join(' ', Enum.GetValues<Role>().Select(r => l.Roles.Contains(r) ? "yes" : "–"))}"), shown);
        Assert.Equal(Enum.GetValues<Permission>(), Permissions.Table.Select(l => l.Permission).Order());
    }

    [Fact]
    public async Task A_planted_unmarked_page_endpoint_class_hub_and_callback_is_found()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddSignalR();
        builder.Services.AddScoped<PlantedUseCase>();
        builder.Services.AddKeyedScoped<PlantedKeyed>("key");
        await using var planted = builder.Build();
        planted.MapGet("/api/p/{project}/planted", () => "").WithDisplayName("planted");
        planted.MapGet("/_blazor/planted", () => "").WithDisplayName("planted beside the framework's");
        planted.MapHub<PlantedHub>("/hubs/planted");
        await planted.StartAsync();
        Assert.Equal(
        [
            "The page PlantedPage carries neither Needs nor Open: say who may use it.",
            "The endpoint planted carries neither Needs nor Open: say who may use it.",
            "The endpoint planted beside the framework's carries neither Needs nor Open: say who may use it.",
            "PlantedUseCase.Handle carries neither Needs nor Open: say who may use it.",
            "PlantedKeyed.Handle carries neither Needs nor Open: say who may use it.",
            "PlantedHub.Send carries neither Needs nor Open: say who may use it.",
            "PlantedPage.Called carries neither Needs nor Open: say who may use it.",
            "PlantedGuardedPage.CalledByAnyScript carries neither Needs nor Open: say who may use it.",
        ], MarkFaults(typeof(MatrixTests).Assembly, planted.Services, builder.Services));
    }

    [Fact]
    public async Task A_planted_use_case_that_does_not_check_and_answers_that_do_not_match_are_found()
    {
        var (_, callers) = await Caller.Everybody(app);
        var viewer = callers.Single(c => c.Role == Role.Viewer);
        var door = Door.Of(typeof(PlantedUseCase).GetMethod(nameof(PlantedUseCase.Forgets))!);
        Assert.Equal(Denial.RoleMissing, door.Refuses(viewer));
        Assert.Null(await Knock.Refused(() => new PlantedUseCase().Forgets("matrix")));
        var stranger = callers.Single(c => c.Name == "stranger");
        Assert.Equal("POST /x as Viewer answered 400, expected 403.", AnswerFault(door, viewer, "POST", "/x", 400, null, ""));
        Assert.Equal("POST /x as stranger answered 400, expected 404.", AnswerFault(door, stranger, "POST", "/x", 400, null, ""));
        Assert.Equal("GET /x as anonymous answered 200, expected 401 or the way to sign in.", AnswerFault(door, callers[0], "GET", "/x", 200, null, ""));
        Assert.Equal("GET /x as Engineer answered 403, expected to be let in.", AnswerFault(door, callers.Single(c => c.Role == Role.Engineer), "GET", "/x", 403, null, ""));
        Assert.Null(AnswerFault(door, callers.Single(c => c.Role == Role.Engineer), "POST", "/x", 400, null, ""));
    }

    private static List<string> MarkFaults(Assembly ours, IServiceProvider server, IServiceCollection registered) =>
        [.. Doors.Pages(ours).Select(Door.Of).Concat(Doors.Endpoints(server).Select(Door.Of))
            .Concat(Doors.Registered(registered, ours).Concat(Doors.Hubs(server).Select(h => h.Hub)).SelectMany(Doors.Methods).Concat(Doors.Callbacks(ours)).Select(Door.Of))
            .Select(d => d.Fault).OfType<string>().Distinct()];

    /// A 404 that speaks of a project is the gate's; any other comes from behind it, about a thing that the project does not have.
    private static string? AnswerFault(Door door, Caller caller, string method, string path, int status, string? location, string body)
    {
        var toSignIn = status == 302 && location?.Contains("/account/sign-in") == true;
        var (right, wanted) = door.Refuses(caller) switch
        {
            Denial.SignIn => (status == 401 || toSignIn, "401 or the way to sign in"),
            Denial.NoSuchProject => (status == 404, "404"),
            Denial.RoleMissing => (status == 403, "403"),
            _ => (status is not (401 or 403 or >= 500) && !toSignIn && !(status == 404 && body.Contains("not a member")), "to be let in"),
        };
        return right ? null : $"{method} {path} as {caller} answered {status}, expected {wanted}.";
    }

    private static async Task<string?> HubFault(Door door, string path, MethodInfo method, Caller caller, string project)
    {
        var expected = door.Refuses(caller);
        var (client, cookies) = await caller.Client();
        using var _ = client;
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(15));
        await using var hub = new HubClient(client.BaseAddress!, cookies);
        try { await hub.Connect(path, stop.Token); }
        catch (System.Net.WebSockets.WebSocketException) { return expected == Denial.SignIn ? null : $"{path} refused the connection of {caller}."; }
        var stream = method.ReturnType.IsGenericType && (method.ReturnType.Name.StartsWith("IAsyncEnumerable") || method.ReturnType.Name.StartsWith("ChannelReader"));
        var error = await hub.Call(method.Name, [.. method.GetParameters().Where(p => p.ParameterType != typeof(CancellationToken)).Select(p => Knock.Argument(p, project, default))], stream, stop.Token);
        var refused = error is null ? (Denial?)null : error.Contains("Please sign in") || error.Contains("sign-in has ended") ? Denial.SignIn
            : error.Contains("you are not a member of it") ? Denial.NoSuchProject : error.Contains("This needs the role") ? Denial.RoleMissing : null;
        return refused == expected ? null : $"{door.Name} as {caller}: {Word(refused)} ({error}), expected {Word(expected)}.";
    }

    private static string Word(Denial? denial) => denial is null ? "let in" : $"refused with {denial}";

    [Route("/planted")]
    private sealed class PlantedPage : ComponentBase
    {
        [JSInvokable]
        public void Called() { }
    }

    [Route("/p/{project}/planted"), Needs(Permission.ViewProject)]
    private sealed class PlantedGuardedPage : ComponentBase
    {
        [JSInvokable]
        public void Called() { }

        [JSInvokable]
        public static void CalledByAnyScript() { }
    }

    public sealed class PlantedUseCase
    {
        public Task Handle(string projectId) => Task.FromResult(projectId);

        [Needs(Permission.LaunchRun)]
        public Task Forgets(string projectId) => Task.FromResult(projectId);
    }

    private sealed class PlantedKeyed
    {
        public Task Handle(string projectId) => Task.FromResult(projectId);
    }

    private sealed class PlantedHub : Hub
    {
        public Task Send(string projectId) => Task.FromResult(projectId);
    }
}
