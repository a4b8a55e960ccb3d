namespace FineTuneStudio.Models;

public static class ModelsSlice
{
    public static void AddModels(this IServiceCollection services)
    {
        services.AddSingleton<LoadedModel>();
        services.AddSingleton<ScoringDesk>();
        services.AddHostedService(s => s.GetRequiredService<ScoringDesk>());
        services.AddScoped<ReadModel>();
        services.AddScoped<TryModel>();
        services.AddScoped<TrySpans>();
        services.AddScoped<TryPrompt>();
        services.AddScoped<TryAnswer>();
        services.AddScoped<ScoreFile>();
        services.AddScoped<DownloadModel>();
    }

    public static void MapModels(this WebApplication app) => ModelEndpoints.Map(app);
}
