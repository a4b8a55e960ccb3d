namespace FineTuneStudio.Review;

public static class ReviewSlice
{
    public static void AddReview(this IServiceCollection services)
    {
        services.AddScoped<OpenReview>();
        services.AddScoped<FindRows>();
        services.AddScoped<ShowRow>();
        services.AddScoped<DecideLabel>();
        services.AddScoped<UndoDecision>();
        services.AddScoped<RelabelRows>();
        services.AddScoped<CompareReview>();
        services.AddScoped<FreezeReview>();
    }
}
