namespace FineTuneStudio.Checklists;

public static class ChecklistsSlice
{
    public static void AddChecklists(this IServiceCollection services)
    {
        services.AddScoped<MeasureChecklist>();
        services.AddScoped<AnswerChecklist>();
    }
}
