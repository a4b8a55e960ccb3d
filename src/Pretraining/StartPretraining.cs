using System.Text.Json;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

public sealed class StartPretraining(IDbContextFactory<StudioDb> databases, ProjectAccess access, PlanPretraining plan, TrainerSignals signals, TimeProvider clock)
{
    /// Queues a pretraining and answers with its number. Throws ArgumentException with the sentences of what blocks it.
    [Needs(Permission.LaunchRun)]
    public async Task<int> Handle(string projectId, PretrainChoice choice, RunRecipe recipe, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var from = choice.Model is { } model ? await PlanRun.FindModel(db, projectId, model, cancel) : null;
        if (from is not null && plan.WhyNot(from, pass.Project.Task) is { } unfit) throw new ArgumentException(unfit);
        // A text cannot be removed between what is read here and the queue.
        await using var all = await db.Database.BeginTransactionAsync(cancel);
        var texts = await db.PretrainTexts.AsNoTracking().Where(t => t.ProjectId == projectId).OrderBy(t => t.Id).ToListAsync(cancel);
        // What nothing is measured on cannot be evaluated, however often the form says.
        if (choice.HeldOut.Count == 0 && choice.Share == 0) recipe = recipe with { EvaluationsPerEpoch = 0 };
        if (PlanPretraining.Problems(choice, recipe, from, texts) is { Count: > 0 } problems) throw new ArgumentException(string.Join(" ", problems));
        if (plan.NoRoom(choice, recipe, from, texts) is { } full) throw new ArgumentException(full);
        // Only every so many documents one can be held out: what is kept is the share that is.
        if (choice.EveryOf(texts.Where(t => choice.Train.Contains(t.Id)).Sum(t => t.Documents)) is var every and > 0) choice = choice with { Share = 1.0 / every };

        var number = (await db.PretrainRuns.Where(r => r.ProjectId == projectId).MaxAsync(r => (int?)r.Number, cancel) ?? 0) + 1;
        var now = clock.GetUtcNow().UtcDateTime;
        var run = new PretrainRun
        {
            ProjectId = projectId, Number = number, ChoiceJson = JsonSerializer.Serialize(choice with { Name = choice.Name.Trim() }), FromModelId = from?.Id, RecipeJson = recipe.ToJson(), RecipeHash = recipe.Sha256(),
            LaunchedById = pass.UserId, QueuedAt = now, TotalSteps = choice.Steps ?? 0, TextNames = string.Join(", ", texts.Where(t => choice.Train.Contains(t.Id)).Select(t => t.Name)),
        };
        db.PretrainRuns.Add(run);
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = now, Text = $"launched {run.Called} {(from is null ? "of new weights" : $"of “{from.Name}”")}", Href = run.Href });
        await db.SaveChangesAsync(cancel);
        await all.CommitAsync(cancel);
        signals.Wake();
        return number;
    }
}
