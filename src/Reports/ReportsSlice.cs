namespace FineTuneStudio.Reports;

public static class ReportsSlice
{
    public static void AddReports(this IServiceCollection services)
    {
        services.AddSingleton<ReportBuilder>();
        services.AddHostedService(s => s.GetRequiredService<ReportBuilder>());
        services.AddScoped<BuildReport>();
        services.AddScoped<ListReports>();
        services.AddScoped<ReadReport>();
        services.AddScoped<FindReportChanges>();
        services.AddScoped<SignReport>();
    }
}
