using FineTuneStudio.Accounts;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Runs;

/// The application as a process of its own, killed without warning in the middle of training.
[Trait("Cost", "Slow")]
public sealed class KillTests(Browser browser) : IClassFixture<Browser>, IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("fts-kill-").FullName;

    [Fact]
    public async Task A_run_killed_with_the_server_keeps_its_numbers_and_goes_on_from_its_last_checkpoint()
    {
        await Queue(new RunRecipe { Epochs = 8, LearningRate = 1e-3, MaxLength = 32, EarlyStoppingPatience = 0, EvaluationsPerEpoch = 4 });
        var first = await RealServer.Start(folder);
        await Until(db => db.RunEvaluations.CountAsync(), n => n >= 3);
        await Until(db => db.RunSteps.CountAsync(), n => n > 25);
        await first.Kill();
        await first.DisposeAsync();
        var (steps, evaluations, state) = await Numbers();
        Assert.Equal(RunState.Running, state);

        await using var second = await RealServer.Start(folder);
        await Until(db => db.Runs.Select(r => r.State).SingleAsync(), s => s == RunState.Interrupted);
        var (after, evaluationsAfter, _) = await Numbers();
        Assert.Equal(steps, after);
        Assert.Equal(evaluations, evaluationsAfter);

        var page = await browser.Open(second.Url);
        await page.SignIn("engineer@example.test");
        await page.GotoAsync("/p/killed/runs/1");
        await Assertions.Expect(page.Locator(".verdict")).ToContainTextAsync($"Interrupted at step {steps.Count} of");
        await page.GetByRole(AriaRole.Button, new() { Name = "Restart from the last checkpoint" }).ClickAsync();
        await Until(db => db.Runs.Select(r => r.State).SingleAsync(), s => s == RunState.Finished);
        var (whole, _, _) = await Numbers();
        await using var read = Db();
        var run = await read.Runs.SingleAsync();
        Assert.Equal(Enumerable.Range(1, run.TotalSteps), whole.Select(s => s.Step));
        var wentOn = await read.RunLog.Where(l => l.Text.StartsWith("Going on after step ")).Select(l => l.Text).SingleAsync();
        var from = int.Parse(wentOn.Split(' ')[4]);
        Assert.InRange(from, 1, steps.Count);
        Assert.Equal(steps.Take(from), whole.Take(from));
        Assert.True(run.HasModel);
        Assert.Equal((await read.RunEvaluations.Where(e => e.IsBest).OrderBy(e => e.Step).LastAsync()).Step, run.BestStep);
    }

    private StudioDb Db() => new(new DbContextOptionsBuilder<StudioDb>().UseSqlite($"Data Source={folder}/studio.db;Foreign Keys=True").Options);

    private async Task<(List<(int Step, double Loss)> Steps, List<(int, double)> Evaluations, RunState State)> Numbers()
    {
        await using var db = Db();
        return ([.. (await db.RunSteps.OrderBy(s => s.Step).ToListAsync()).Select(s => (s.Step, s.TrainLoss))],
            [.. (await db.RunEvaluations.OrderBy(s => s.Step).ToListAsync()).Select(s => (s.Step, s.ValidationLoss))], await db.Runs.Select(r => r.State).SingleAsync());
    }

    private async Task Queue(RunRecipe recipe)
    {
        await using var db = Db();
        var (split, model, user) = await Project(db, folder);
        db.Runs.Add(new Run { ProjectId = "killed", Number = 1, SplitId = split.Id, BaseModelId = model.Id, RecipeJson = recipe.ToJson(), RecipeHash = recipe.Sha256(), LaunchedById = user.Id, QueuedAt = DateTime.UtcNow });
        await db.SaveChangesAsync();
    }

    /// The project "killed" with 600 rows in a split, the practice model and an engineer, in the database of a folder that no server has used yet.
    internal static async Task<(Split Split, BaseModel Model, StudioUser Engineer)> Project(StudioDb db, string folder)
    {
        await db.Database.MigrateAsync();
        var user = new StudioUser { UserName = "engineer@example.test", NormalizedUserName = "ENGINEER@EXAMPLE.TEST", Email = "engineer@example.test", NormalizedEmail = "ENGINEER@EXAMPLE.TEST", DisplayName = "Engineer", SecurityStamp = "stamp", CreatedAt = DateTime.UtcNow };
        user.PasswordHash = new PasswordHasher<StudioUser>().HashPassword(user, StudioFixture.Password);
        db.Users.Add(user);
        db.Projects.Add(new FineTuneStudio.Projects.Project { Id = "killed", Name = "Killed", Purpose = "Survive a kill.", Task = TextTask.SingleLabel, Metric = Metric.MacroF1, Goal = .5, CreatedById = user.Id, CreatedAt = DateTime.UtcNow });
        db.Memberships.Add(new Membership { ProjectId = "killed", UserId = user.Id, Role = Role.Engineer, Since = DateTime.UtcNow });
        await db.SaveChangesAsync();
        var split = await Scene.FreezeRows(db, "killed", user.Id, 600);
        var stored = Directory.CreateDirectory(Path.Combine(folder, "models", "practice")).FullName;
        foreach (var file in Directory.EnumerateFiles(PracticeModel.Folder)) File.Copy(file, Path.Combine(stored, Path.GetFileName(file)));
        var model = new BaseModel
        {
            ProjectId = "killed", Number = 1, Name = "Practice", StoredAs = "practice", Source = "test", Origin = ModelOrigin.Random, Architecture = "BertModel", Parameters = 1, VocabularySize = 1, HiddenSize = 1, Blocks = 2,
            MaxPositions = 128, WeightsHash = Engine.Weights.ModelWeights.Sha256(stored), CanTrain = true, CreatedById = user.Id, CreatedAt = DateTime.UtcNow,
        };
        db.BaseModels.Add(model);
        await db.SaveChangesAsync();
        return (split, model, user);
    }

    private async Task Until<T>(Func<StudioDb, Task<T>> read, Func<T, bool> so)
    {
        for (var i = 0; i < 900; i++)
        {
            await using (var db = Db()) if (so(await read(db))) return;
            await Task.Delay(100);
        }
        throw new TimeoutException("It did not get there in 90 s.");
    }

    public void Dispose()
    {
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
    }
}
