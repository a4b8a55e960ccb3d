using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http.Features;

namespace FineTuneStudio.Pretraining;

public static class PretrainingSlice
{
    public static void AddPretraining(this IServiceCollection services)
    {
        services.AddSingleton<TrainingKind, PretrainWork>();
        services.AddScoped<UploadText>();
        services.AddScoped<RemoveText>();
        services.AddScoped<PlanPretraining>();
        services.AddScoped<StartPretraining>();
        services.AddScoped<StopPretraining>();
        services.AddScoped<ListPretraining>();
        services.AddScoped<ShowPretraining>();
    }

    public static void MapPretraining(this WebApplication app) =>
        app.MapPost("/api/p/{project}/pretraining/texts", async (string project, string name, HttpContext http, IAntiforgery antiforgery, UploadText upload) =>
            {
                if (!await antiforgery.IsRequestValidAsync(http)) return Results.BadRequest("The page is too old for this upload; load it again.");
                // The limit is the use case's own, which counts and answers with a sentence.
                if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = null;
                try { return Results.Ok(new { (await upload.Handle(project, name, http.Request.Body, http.RequestAborted)).Id }); }
                catch (ArgumentException refused) { return Results.BadRequest(refused.Message); }
            })
            .WithMetadata(new NeedsAttribute(Permission.UploadData)).DisableAntiforgery();
}
