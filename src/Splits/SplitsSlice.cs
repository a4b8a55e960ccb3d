using FineTuneStudio.Projects;

namespace FineTuneStudio.Splits;

public static class SplitsSlice
{
    public static void AddSplits(this IServiceCollection services)
    {
        services.AddScoped<PreviewSplit>();
        services.AddScoped<FreezeSplit>();
        services.AddScoped<ListSplits>();
        services.AddScoped<ListConflicts>();
    }

    public static void MapSplits(this WebApplication app) =>
        app.MapGet("/api/p/{project}/versions/{version:int}/conflicts.csv", async (HttpContext http, ListConflicts conflicts, string project, int version) =>
        {
            var found = await conflicts.Download(project, version, () =>
            {
                http.Response.ContentType = "text/csv; charset=utf-8";
                http.Response.Headers.ContentDisposition = $"attachment; filename=\"conflicting-rows-version-{version}.csv\"";
                return http.Response.Body;
            }, http.RequestAborted);
            if (!found) http.Response.StatusCode = 404;
        }).WithMetadata(new NeedsAttribute(Permission.DownloadData));
}
