namespace FineTuneStudio.Projects;

/// What other slices put into every new project, in the step that makes it; Projects does not know them.
public sealed class ProjectBeginnings
{
    private volatile Action<StudioDb, Project>[] all = [];

    internal void Add(Action<StudioDb, Project> put) => all = [.. all, put];

    internal void Put(StudioDb db, Project project)
    {
        foreach (var put in all) put(db, project);
    }
}
