using FineTuneStudio.Engine.Training;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace FineTuneStudio.Tests;

public sealed class DatabaseUpgradeTests : IDisposable
{
    private readonly string file = Path.Combine(Path.GetTempPath(), $"upgrade-{Guid.NewGuid():N}.db");

    [Fact]
    public async Task A_database_from_when_there_was_one_task_keeps_its_projects_and_the_numbers_of_its_runs()
    {
        await using (var old = Open())
        {
            await old.GetService<IMigrator>().MigrateAsync("20261125133216_WhoApproves");
            await old.Database.ExecuteSqlRawAsync("""
                INSERT INTO Projects (Id, Name, Purpose, Task, Metric, Goal, Approver, Guidelines, IsSample, CreatedById, CreatedAt) VALUES ('p', 'P', 'x', 'text-classification', 'Accuracy', 0.8, '', '', 0, 'u', '2026-11-25 00:00:00');
                INSERT INTO RunEvaluations (RunId, Step, Epoch, ValidationLoss, Accuracy, MacroF1, TrainSampleLoss, TrainSampleMetric, IsBest) VALUES (1, 10, 0.5, 1.25, 0.75, 0.625, 1.0, 0.8, 1);
                """);
        }
        await using var db = Open();
        await db.Database.MigrateAsync();

        var project = await db.Projects.SingleAsync();
        Assert.Equal((TextTask.SingleLabel, Metric.Accuracy), (project.Task, project.Metric));
        var evaluation = await db.RunEvaluations.SingleAsync();
        Assert.Equal((0.75, 0.625, 1.25), (evaluation[Metric.Accuracy], evaluation[Metric.MacroF1], evaluation[Metric.ValidationLoss]));
    }

    [Fact]
    public async Task A_database_from_before_pretraining_keeps_its_runs_as_runs()
    {
        await using (var old = Open())
        {
            await old.GetService<IMigrator>().MigrateAsync("20261127184259_LearningCurves");
            await old.Database.ExecuteSqlRawAsync("""
                INSERT INTO Runs (Id, ProjectId, Number, SplitId, BaseModelId, RecipeJson, RecipeHash, LaunchedById, QueuedAt, State, StepsDone, TotalSteps, BestStep, BestMetric)
                VALUES (7, 'p', 3, 5, 6, '{{}}', 'h', 'u', '2026-11-25 00:00:00', 'Finished', 40, 40, 30, 0.75);
                """);
        }
        await using var db = Open();
        await db.Database.MigrateAsync();

        var run = Assert.Single(await db.Runs.ToListAsync());
        Assert.Equal((7, 3, 5, 6, RunState.Finished, 0.75), (run.Id, run.Number, run.SplitId, run.BaseModelId, run.State, run.BestMetric));
        Assert.Equal("/p/p/runs/3", run.Href);
        Assert.Empty(await db.PretrainRuns.ToListAsync());
    }

    private StudioDb Open() => new(new DbContextOptionsBuilder<StudioDb>().UseSqlite($"Data Source={file};Pooling=False").Options);

    public void Dispose() => File.Delete(file);
}
