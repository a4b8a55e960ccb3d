namespace FineTuneStudio.Projects;

public static class ProjectsSlice
{
    public static void AddProjects(this IServiceCollection services)
    {
        services.AddScoped<ProjectAccess>();
        services.AddSingleton<ProjectNews>();
        services.AddSingleton<ProjectBeginnings>();
        services.AddScoped<CreateProject>();
        services.AddScoped<ListProjects>();
        services.AddScoped<InvitePerson>();
        services.AddScoped<AcceptInvitation>();
        services.AddScoped<JoinWithNewAccount>();
        services.AddScoped<ManageTeam>();
        services.AddScoped<EditProject>();
        services.AddScoped<ListEvents>();
    }
}
