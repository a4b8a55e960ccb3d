using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
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
        if (pass.Project.Task != TextTask.SingleLabel) throw new ArgumentException(OneLabelOnly);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var frozen = await PlanRun.FindSplit(db, projectId, split, cancel);
        var start = await PlanRun.FindModel(db, projectId, model, cancel);
        if (start.WhyNotFor(pass.Project.Task) is { } unfit) throw new ArgumentException(unfit);
        if (settings.MaxLength > start.MaxPositions) throw new ArgumentException($"Max length is {settings.MaxLength} tokens but the base model has only {start.MaxPositions} positions; set it to {start.MaxPositions} or less.");
        var job = Job(settings, "", await TrainingRows.Read(db, frozen, cancel), "");
        try { job.Check(); }
        catch (TrainingException refused) { throw new ArgumentException(refused.Message, refused); }

        var measured = FewShotDraw.Sample(job.Measured, job.MostMeasured, job.Seed);
        var majority = MajorityLabel.Fit([.. job.Pool.Select(r => r.Label)], job.Labels.Count).Label;
        var scores = Classification.Evaluate([.. measured.Select(r => r.Label)], [.. measured.Select(_ => majority)], job.Labels.Count);
        await using var all = await db.Database.BeginTransactionAsync(cancel);
        var number = (await db.LearningCurves.Where(c => c.ProjectId == projectId).MaxAsync(c => (int?)c.Number, cancel) ?? 0) + 1;
        var now = clock.GetUtcNow().UtcDateTime;
        db.LearningCurves.Add(new LearningCurveRun
        {
            ProjectId = projectId, Number = number, SplitId = frozen.Id, BaseModelId = start.Id, SettingsJson = JsonSerializer.Serialize(settings), StartedById = pass.UserId, QueuedAt = now,
            PointsTotal = settings.Points(job.Pool.GroupBy(r => r.Label).Max(g => g.Count())), PoolRows = job.Pool.Count, MeasuredRows = measured.Count,
            MajorityLabel = job.Labels[majority], MajorityAccuracy = scores.Accuracy, MajorityMacroF1 = scores.MacroF1,
        });
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = now, Text = $"started learning curve {number} on “{start.Name}”", Href = $"/p/{projectId}/few-shot/{number}" });
        await db.SaveChangesAsync(cancel);
        await all.CommitAsync(cancel);
        signals.Wake();
        return number;
    }

    internal static FewShotJob Job(CurveSettings settings, string model, TrainingRows rows, string output) =>
        settings.Job(model, rows.Labels, [.. rows.Train.Cast<LabeledText>()], [.. rows.Validation.Cast<LabeledText>()], output);
}
