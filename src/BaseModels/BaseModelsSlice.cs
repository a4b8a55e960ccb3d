using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http.Features;

namespace FineTuneStudio.BaseModels;

public static class BaseModelsSlice
{
    public static void AddBaseModels(this IServiceCollection services)
    {
        services.AddSingleton<AllowedFolders>();
        services.AddSingleton<HubSettings>();
        services.AddSingleton<HubConnection>();
        services.AddSingleton<ReadHubModel>();
        services.AddSingleton<DownloadHubFile>();
        services.AddSingleton<HubDownloads>();
        services.AddHostedService(s => s.GetRequiredService<HubDownloads>());
        services.AddSingleton<Starters>();
        services.AddHostedService(s => s.GetRequiredService<Starters>());
        services.AddScoped<ImportFromHub>();
        services.AddScoped<ImportBaseModel>();
        services.AddScoped<ListBaseModels>();
        services.AddScoped<ShowBaseModel>();
    }

    public static void MapBaseModels(this WebApplication app) =>
        app.MapPost("/api/p/{project}/base-models", async (string project, string name, string source, ModelOrigin? origin, HttpContext http, IAntiforgery antiforgery, ImportBaseModel import) =>
            {
                if (!await antiforgery.IsRequestValidAsync(http)) return Results.BadRequest("The page is too old for this upload; load it again.");
                // The limit is the importer's own, which counts and answers with a sentence.
                if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = null;
                try
                {
                    var model = await import.FromZip(project, new() { Name = name, Source = source, Origin = origin }, http.Request.Body, http.RequestAborted);
                    return Results.Ok(new { model.Number });
                }
                catch (ModelRefused refused) { return Results.BadRequest(refused.Message); }
            })
            .WithMetadata(new NeedsAttribute(Permission.ImportBaseModel)).DisableAntiforgery();
}
