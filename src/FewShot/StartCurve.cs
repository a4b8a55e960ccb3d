using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.FewShot;

public sealed class StartCurve(IDbContextFactory<StudioDb> databases, ProjectAccess access, CurveSignals signals, TimeProvider clock)
{
    internal const string OneLabelOnly = "Learning curves are made for projects in which each text has one label; this project's task is another.";

    /// Queues a curve and answers with its number. Throws ArgumentException with the sentence of what is in the way.
    [Needs(Permission.LaunchRun)]
    public async Task<int> Handle(string projectId, int split, int model, CurveSettings settings, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var (frozen, start, job) = await Plan(db, pass, split, model, settings, cancel);
        var scored = job.Scored();
        var majority = OneLabel.Of(job, scored);
        await using var all = await db.Database.BeginTransactionAsync(cancel);
        var number = (await db.LearningCurves.Where(c => c.ProjectId == projectId).MaxAsync(c => (int?)c.Number, cancel) ?? 0) + 1;
        var now = clock.GetUtcNow().UtcDateTime;
        db.LearningCurves.Add(new LearningCurveRun
        {
            ProjectId = projectId, Number = number, SplitId = frozen.Id, BaseModelId = start.Id, SettingsJson = JsonSerializer.Serialize(settings), StartedById = pass.UserId, QueuedAt = now,
            PointsTotal = settings.Points(job.Pool.GroupBy(r => r.Label).Max(g => g.Count())), PoolRows = job.Pool.Count, MeasuredRows = scored.Count,
            MajorityLabel = majority.Label, MajorityAccuracy = majority.Accuracy, MajorityMacroF1 = majority.MacroF1,
        });
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = now, Text = $"started learning curve {number} on “{start.Name}”", Href = $"/p/{projectId}/few-shot/{number}" });
        await db.SaveChangesAsync(cancel);
        await all.CommitAsync(cancel);
        signals.Wake();
        return number;
    }

    /// What a curve is made of. Throws ArgumentException with the sentence of what is in the way.
    internal static async Task<(Split Split, BaseModel Model, FewShotJob Job)> Plan(StudioDb db, ProjectPass pass, int split, int model, CurveSettings settings, CancellationToken cancel)
    {
        if (pass.Project.Task != TextTask.SingleLabel) throw new ArgumentException(OneLabelOnly);
        var frozen = await PlanRun.FindSplit(db, pass.Project.Id, split, cancel);
        var start = await PlanRun.FindModel(db, pass.Project.Id, model, cancel);
        if (start.WhyNotFor(pass.Project.Task) is { } unfit) throw new ArgumentException(unfit);
        if (settings.MaxLength > start.MaxPositions) throw new ArgumentException($"Max length is {settings.MaxLength} tokens but the base model has only {start.MaxPositions} positions; set it to {start.MaxPositions} or less.");
        var job = Job(settings, "", await TrainingRows.Read(db, frozen, cancel), "");
        try { job.Check(); }
        catch (TrainingException refused) { throw new ArgumentException(refused.Message, refused); }
        return (frozen, start, job);
    }

    internal static FewShotJob Job(CurveSettings settings, string model, TrainingRows rows, string output) =>
        settings.Job(model, rows.Labels, [.. rows.Train.Cast<LabeledText>()], [.. rows.Validation.Cast<LabeledText>()], output);
}
