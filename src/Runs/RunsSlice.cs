namespace FineTuneStudio.Runs;

public static class RunsSlice
{
    public static void AddRuns(this IServiceCollection services)
    {
        services.AddSingleton<TrainerSignals>();
        services.AddSingleton<RunWatchers>();
        services.AddSingleton<TokenCounts>();
        services.AddSingleton<TrainingKind, FineTuning>();
        services.AddHostedService<Trainer>();
        services.AddScoped<PlanRun>();
        services.AddScoped<MeasureStep>();
        services.AddScoped<LaunchRun>();
        services.AddScoped<StopRun>();
        services.AddScoped<RestartRun>();
        services.AddScoped<RepeatRun>();
        services.AddScoped<ListRuns>();
        services.AddScoped<ShowRun>();
        services.AddScoped<WatchRun>();
    }

    public static void MapRuns(this WebApplication app) => app.MapHub<RunHub>("/hubs/runs");
}
