using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

public sealed class LaunchRun(IDbContextFactory<StudioDb> databases, ProjectAccess access, PlanRun plan, TrainerSignals signals, TimeProvider clock)
{
    /// Queues a run and answers with its number. Throws ArgumentException with the sentences of what blocks it.
    [Needs(Permission.LaunchRun)]
    public async Task<int> Handle(string projectId, int split, int model, RunRecipe recipe, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var frozen = await PlanRun.FindSplit(db, projectId, split, cancel);
        var start = await PlanRun.FindModel(db, projectId, model, cancel);
        if (start.WhyNotFor(pass.Project.Task) is { } unfit) throw new ArgumentException(unfit);
        var blocks = PreFlight.Check(recipe, await plan.Facts(db, frozen, start, cancel)).Where(f => f.Severity == Severity.Block).Select(f => f.Sentence).ToList();
        if (blocks.Count > 0) throw new ArgumentException(string.Join(" ", blocks));

        await using var all = await db.Database.BeginTransactionAsync(cancel);
        var number = (await db.Runs.Where(r => r.ProjectId == projectId).MaxAsync(r => (int?)r.Number, cancel) ?? 0) + 1;
        var now = clock.GetUtcNow().UtcDateTime;
        db.Runs.Add(new Run
        {
            ProjectId = projectId, Number = number, SplitId = frozen.Id, BaseModelId = start.Id, RecipeJson = recipe.ToJson(), RecipeHash = recipe.Sha256(),
            LaunchedById = pass.UserId, QueuedAt = now, TotalSteps = TrainingPlan.For(recipe, PlanRun.Choice(0, 0, frozen.CountsJson).Train).TotalSteps,
        });
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = now, Text = $"launched run {number} on “{start.Name}”", Href = $"/p/{projectId}/runs/{number}" });
        await db.SaveChangesAsync(cancel);
        await all.CommitAsync(cancel);
        signals.Wake();
        return number;
    }
}
