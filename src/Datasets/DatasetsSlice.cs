namespace FineTuneStudio.Datasets;

public static class DatasetsSlice
{
    public static void AddDatasets(this IServiceCollection services)
    {
        services.AddSingleton<ImportJobs>();
        services.AddHostedService(s => s.GetRequiredService<ImportJobs>());
        services.AddScoped<ReceiveFile>();
        services.AddScoped<ExamineFile>();
        services.AddScoped<StartImport>();
        services.AddScoped<WriteVersion>();
        services.AddScoped<ImportFile>();
        services.AddScoped<ListVersions>();
        services.AddScoped<ShowVersion>();
        services.AddScoped<DownloadRejected>();
    }

    public static void MapDatasets(this WebApplication app) => UploadEndpoints.Map(app);
}
