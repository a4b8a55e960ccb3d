using FineTuneStudio.Accounts;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Radzen;

namespace FineTuneStudio.Shell;

public static class ShellSlice
{
    public static void AddShell(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<StudioFolder>();
        builder.Services.AddSingleton<DatabaseWaits>();
        builder.Services.AddScoped<Road>();
        builder.Services.AddScoped<StartSample>();
        builder.Services.AddDbContextFactory<StudioDb>((services, options) =>
            options.UseSqlite($"Data Source={services.GetRequiredService<StudioFolder>().Database};Foreign Keys=True;Default Timeout={services.GetRequiredService<DatabaseWaits>().LockSeconds}")
                .AddInterceptors(services.GetRequiredService<Projects.ProjectNews>()));
        builder.Services.AddScoped(services => services.GetRequiredService<IDbContextFactory<StudioDb>>().CreateDbContext());
        builder.Services.AddRazorComponents().AddInteractiveServerComponents(o => o.DetailedErrors = builder.Environment.IsDevelopment());
        builder.Services.AddRadzenComponents();
        builder.Services.AddSignalR(o => o.MaximumReceiveMessageSize = 64 * 1024);
        builder.Services.AddDataProtection().SetApplicationName("FineTuneStudio");
        builder.Services.AddOptions<Microsoft.AspNetCore.DataProtection.KeyManagement.KeyManagementOptions>()
            .Configure<StudioFolder, ILoggerFactory>((o, folder, log) =>
                o.XmlRepository = new Microsoft.AspNetCore.DataProtection.Repositories.FileSystemXmlRepository(new DirectoryInfo(folder.Keys), log));
    }

    /// Makes the data folder and brings the database to this version.
    public static async Task Prepare(this WebApplication app)
    {
        var folder = app.Services.GetRequiredService<StudioFolder>();
        Directory.CreateDirectory(folder.Root);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(folder.Root, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await UpgradeDatabase.Run(folder.Database, app.Services.GetRequiredService<DatabaseWaits>().LockSeconds);
        await using var db = await app.Services.GetRequiredService<IDbContextFactory<StudioDb>>().CreateDbContextAsync();
        try { await db.Database.ExecuteSqlRawAsync("PRAGMA journal_mode=WAL"); }
        catch (SqliteException e) when (DatabaseWaits.MayPass(e)) { app.Logger.LogWarning(e, "The database cannot be written at the moment"); }
        await SweepLeftovers.Now(db, folder, app.Logger);
    }

    public static void UseShell(this WebApplication app)
    {
        if (!app.Environment.IsDevelopment()) app.UseExceptionHandler("/problem", createScopeForErrors: true);
        app.UseStatusCodePagesWithReExecute("/not-here/{0}", createScopeForStatusCodePages: true);
        app.Use((context, next) =>
        {
            // Hubs, endpoints and posts keep their true status: executed again as a page they would answer 400.
            var path = context.Request.Path;
            if (!HttpMethods.IsGet(context.Request.Method) || path.StartsWithSegments("/hubs") || path.StartsWithSegments("/api") || path.StartsWithSegments("/_blazor"))
                if (context.Features.Get<IStatusCodePagesFeature>() is { } pages) pages.Enabled = false;
            context.Response.OnStarting(() =>
            {
                var headers = context.Response.Headers;
                headers.XContentTypeOptions = "nosniff";
                headers["Referrer-Policy"] = "same-origin";
                headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()";
                headers.ContentSecurityPolicy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
                return Task.CompletedTask;
            });
            // A cookie alone would let any site open a socket in the visitor's name.
            if (context.Request.Headers.Origin is [{ Length: > 0 } origin]
                && (path.StartsWithSegments("/hubs") || path.StartsWithSegments("/_blazor"))
                && !(Uri.TryCreate(origin, UriKind.Absolute, out var from) && from.Authority == context.Request.Host.Value))
            {
                context.Response.StatusCode = StatusCodes.Status403Forbidden;
                return Task.CompletedTask;
            }
            return next(context);
        });
    }

    /// Prints where to go; while there is no account, the code that makes the first one.
    public static void Greet(this WebApplication app) => app.Lifetime.ApplicationStarted.Register(() =>
    {
        using var db = app.Services.GetRequiredService<IDbContextFactory<StudioDb>>().CreateDbContext();
        var url = app.Urls.FirstOrDefault();
        if (db.Users.Any()) Console.WriteLine($"FineTuneStudio serves {url}");
        else Console.WriteLine($"FineTuneStudio serves {url}\nMake the first account at {url}/account/setup\nSetup code: {app.Services.GetRequiredService<SetupCode>().ForConsole}");
    });

    public static void MapShell(this WebApplication app)
    {
        app.MapStaticAssets();
        app.MapRazorComponents<App>().AddInteractiveServerRenderMode(o => o.ContentSecurityFrameAncestorsPolicy = null);
    }
}
