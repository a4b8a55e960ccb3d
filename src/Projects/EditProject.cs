using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Projects;

public sealed class EditProject(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    [Needs(Permission.EditProject)]
    public async Task Handle(string projectId, NewProject form, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.EditProject, cancel);
        form.Task = pass.Project.Task;
        if (CreateProject.Faults(form) is { Count: > 0 } faults) throw new ArgumentException(string.Join(" ", faults.Values));
        await using var db = await databases.CreateDbContextAsync(cancel);
        var project = await db.Projects.SingleAsync(p => p.Id == projectId, cancel);
        (project.Name, project.Purpose, project.Metric, project.Goal, project.Approver, project.Guidelines) = (form.Name.Trim(), form.Purpose.Trim(), form.Metric, form.Goal, form.Approver.Trim(), form.Guidelines.Trim());
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = clock.GetUtcNow().UtcDateTime, Text = "changed the project's description, goal or approver", Href = $"/p/{projectId}" });
        await db.SaveChangesAsync(cancel);
    }
}
