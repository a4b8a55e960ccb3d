namespace FineTuneStudio.Splits;

public static class SplitsSlice
{
    public static void AddSplits(this IServiceCollection services)
    {
        services.AddScoped<PreviewSplit>();
        services.AddScoped<FreezeSplit>();
        services.AddScoped<ListSplits>();
    }
}
