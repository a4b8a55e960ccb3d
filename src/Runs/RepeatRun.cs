using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// What a new run begins with that repeats an earlier one. Split and base model are null where a new run cannot have them; Gone says why, a sentence each.
public sealed record RunToRepeat(int Number, RunRecipe Recipe, int? Split, int? Model, IReadOnlyList<string> Gone);

public sealed class RepeatRun(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    /// Null where the project has no such run.
    [Needs(Permission.LaunchRun)]
    public async Task<RunToRepeat?> Handle(string projectId, int run, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == projectId && r.Number == run, cancel) is not { } found) return null;
        var split = await db.Splits.Where(s => s.ProjectId == projectId && s.Id == found.SplitId).Select(s => (int?)s.Number).SingleOrDefaultAsync(cancel);
        var model = await db.BaseModels.AsNoTracking().SingleOrDefaultAsync(m => m.ProjectId == projectId && m.Id == found.BaseModelId, cancel);
        var gone = new List<string>();
        if (split is null) gone.Add($"The split of run {run} is no longer in this project; the newest one is chosen instead.");
        if (model is null) gone.Add($"The base model of run {run} is no longer in this project; another one is chosen instead.");
        else if (model.WhyNotFor(pass.Project.Task) is { } unfit) gone.Add($"{unfit} Another one is chosen instead.");
        return new(run, RunRecipe.FromJson(found.RecipeJson), split, model is not null && model.Fits(pass.Project.Task) ? model.Number : null, gone);
    }
}
