namespace FineTuneStudio.FewShot;

public static class FewShotSlice
{
    public static void AddFewShot(this IServiceCollection services)
    {
        services.AddSingleton<CurveSignals>();
        services.AddHostedService<CurveTrainer>();
        services.AddScoped<StartCurve>();
        services.AddScoped<MeasureCurve>();
        services.AddScoped<StopCurve>();
        services.AddScoped<ContinueCurve>();
        services.AddScoped<ListCurves>();
        services.AddScoped<ShowCurve>();
    }
}
