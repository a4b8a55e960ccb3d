using System.Security.Claims;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Accounts;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

// Most of a browser test is waiting, so two classes run at a time. Those that train share a collection, because libtorch has one generator.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]

namespace FineTuneStudio.Tests;

/// The real application on a real SQLite file in a folder of its own, on a real port. The only machinery of the tests.
public class StudioFixture : WebApplicationFactory<Program>, IAsyncLifetime
{
    public const string Password = "correct horse battery";
    private int people;

    public string Folder { get; } = Directory.CreateTempSubdirectory("fts-test-").FullName;
    public Uri Url => ClientOptions.BaseAddress;
    /// Everything that Program put into the container.
    public IServiceCollection Registered { get; private set; } = new ServiceCollection();

    /// On top of what every test has; set before InitializeAsync.
    public Dictionary<string, string?> Settings { get; } = [];
    public StudioDb Db => Services.GetRequiredService<IDbContextFactory<StudioDb>>().CreateDbContext();

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseContentRoot(ContentRoot.Find([]));
        builder.ConfigureAppConfiguration(c => c.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["DataFolder"] = Folder, ["Logging:LogLevel:Default"] = "Warning", ["AllowedHosts"] = "*",
            // The models that come with the app take a moment to learn; what is tested of them asks for them.
            ["BaseModels:StartersFolder"] = "no-starters",
            ["SignIn:PerAddress"] = "100000", ["SignIn:PerName"] = "100000",
        }).AddInMemoryCollection(Settings));
        builder.ConfigureServices(services =>
        {
            Registered = services;
            // Accounts are made and signed in to some hundred times; how slow a hash is to guess is not what these tests are about.
            services.Configure<PasswordHasherOptions>(o => o.IterationCount = 1000);
        });
        builder.ConfigureLogging(l => l.SetMinimumLevel(LogLevel.Warning));
    }

    public Task InitializeAsync()
    {
        UseKestrel(0);
        StartServer();
        ClientOptions.BaseAddress = new UriBuilder(ClientOptions.BaseAddress) { Host = "localhost" }.Uri;
        return Task.CompletedTask;
    }

    async Task IAsyncLifetime.DisposeAsync()
    {
        await base.DisposeAsync();
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(Folder, recursive: true);
    }

    /// A new account with a confirmed password sign-in.
    public async Task<Person> NewPerson(string name = "Someone")
    {
        await using var scope = Services.CreateAsyncScope();
        var users = scope.ServiceProvider.GetRequiredService<UserManager<StudioUser>>();
        var mail = $"{name.ToLowerInvariant().Replace(' ', '.')}-{Interlocked.Increment(ref people)}@example.test";
        var user = new StudioUser { UserName = mail, Email = mail, DisplayName = name, CreatedAt = DateTime.UtcNow };
        var made = await users.CreateAsync(user, Password);
        Assert.True(made.Succeeded, string.Join("; ", made.Errors.Select(e => e.Description)));
        return new Person(this, user.Id, mail);
    }

    public async Task<Project> NewProject(Person owner, string name = "Test project", TextTask task = TextTask.SingleLabel)
    {
        await using var scope = owner.Scope();
        return await scope.ServiceProvider.GetRequiredService<CreateProject>().Handle(new NewProject { Name = name, Task = task, Metric = task.Metrics()[0], Purpose = "Route customer messages to teams.", Goal = task == TextTask.Generation ? 10 : 0.8, Approver = "the head of support" });
    }

    public async Task Grant(Project project, Person person, params Role[] roles)
    {
        await using var db = Db;
        foreach (var role in roles) db.Memberships.Add(new Membership { ProjectId = project.Id, UserId = person.Id, Role = role, Since = DateTime.UtcNow });
        await db.SaveChangesAsync();
    }
}

/// With the models that come with the app.
public sealed class ShippedStudio : StudioFixture
{
    public ShippedStudio() => Settings["BaseModels:StartersFolder"] = "starters";
}

public sealed record Person(StudioFixture App, string Id, string Mail)
{
    /// A scope in which use cases see this person as the current user.
    public AsyncServiceScope Scope()
    {
        var scope = App.Services.CreateAsyncScope();
        using var db = App.Db;
        var user = db.Users.AsNoTracking().Single(u => u.Id == Id);
        scope.ServiceProvider.GetRequiredService<CurrentUser>().Set(new ClaimsPrincipal(new ClaimsIdentity(
            [new(ClaimTypes.NameIdentifier, Id), new(ClaimTypes.Name, Mail), new("AspNet.Identity.SecurityStamp", user.SecurityStamp!)], "test")));
        return scope;
    }

    /// Runs one use case as this person.
    public async Task<TResult> Do<TUseCase, TResult>(Func<TUseCase, Task<TResult>> work) where TUseCase : notnull
    {
        await using var scope = Scope();
        return await work(scope.ServiceProvider.GetRequiredService<TUseCase>());
    }

    public async Task Do<TUseCase>(Func<TUseCase, Task> work) where TUseCase : notnull
    {
        await using var scope = Scope();
        await work(scope.ServiceProvider.GetRequiredService<TUseCase>());
    }
}
