using System.Text.Json;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Pretraining;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Pretraining;

/// The application as a process of its own, killed without warning in the middle of pretraining.
[Trait("Cost", "Slow")]
public sealed class KillTests(Browser browser) : IClassFixture<Browser>, IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("fts-kill-pretraining-").FullName;

    [Fact]
    public async Task Pretraining_killed_with_the_server_goes_on_from_its_last_checkpoint_and_makes_one_model()
    {
        await using (var db = Db())
        {
            var (_, model, engineer) = await Tests.Runs.KillTests.Project(db, folder);
            var messages = PretrainingTests.Messages();
            await File.WriteAllTextAsync(Path.Combine(Directory.CreateDirectory(Path.Combine(folder, "texts")).FullName, "stored.txt"), messages);
            var text = new PretrainText { ProjectId = "killed", Name = "messages.txt", StoredAs = "stored.txt", Bytes = messages.Length, Documents = 600, Words = PretrainText.WordsOf(messages), Sha256 = "0", UploadedById = engineer.Id, UploadedAt = DateTime.UtcNow };
            db.PretrainTexts.Add(text);
            await db.SaveChangesAsync();
            var recipe = PlanPretraining.Standard(model) with { Epochs = 12, BatchSize = 16, MaxLength = 32, EvaluationsPerEpoch = 2 };
            db.PretrainRuns.Add(new PretrainRun
            {
                ProjectId = "killed", Number = 1, ChoiceJson = JsonSerializer.Serialize(new PretrainChoice("Gone on", 1, NewSize.Tiny, 0, [text.Id], [], 0.1, null)), FromModelId = model.Id, TextNames = "messages.txt",
                RecipeJson = recipe.ToJson(), RecipeHash = recipe.Sha256(), LaunchedById = engineer.Id, QueuedAt = DateTime.UtcNow,
            });
            await db.SaveChangesAsync();
        }
        var first = await RealServer.Start(folder);
        await Until(async db => await db.RunEvaluations.CountAsync() >= 4);
        await first.Kill();
        await first.DisposeAsync();
        var before = await Losses();
        string[] cut = [Path.Combine(folder, "texts", "cut.txt"), Path.Combine(folder, "uploads", "cut.txt")];
        foreach (var left in cut) await File.WriteAllTextAsync(left, "cut off by the kill");

        await using var second = await RealServer.Start(folder);
        await Until(async db => (await db.PretrainRuns.SingleAsync()).State == RunState.Interrupted);
        Assert.Equal(before, await Losses());
        Assert.All(cut, left => Assert.False(File.Exists(left), left));
        var page = await browser.Open(second.Url);
        await page.SignIn("engineer@example.test");
        await page.GotoAsync("/p/killed/pretraining/1");
        await Assertions.Expect(page.Locator(".verdict")).ToContainTextAsync($"Interrupted at step {before.Count}, when the server stopped.");
        await page.GetByRole(AriaRole.Button, new() { Name = "Restart from the last checkpoint" }).ClickAsync();
        await Until(async db => (await db.PretrainRuns.SingleAsync()).IsOver);
        await using var read = Db();
        var run = await read.PretrainRuns.SingleAsync();
        Assert.Equal((RunState.Finished, (string?)null), (run.State, run.Failure));
        var whole = await Losses();
        Assert.Equal(Enumerable.Range(1, run.TotalSteps), whole.Select(s => s.Step));
        var from = int.Parse((await read.RunLog.Where(l => l.Text.StartsWith("Going on after step ")).Select(l => l.Text).SingleAsync()).Split(' ')[4]);
        Assert.InRange(from, 1, before.Count);
        Assert.Equal(before.Take(from), whole.Take(from));
        Assert.Equal("Gone on", (await read.BaseModels.SingleAsync(m => m.PretrainingNumber == 1)).Name);
    }

    private async Task<List<(int Step, double Loss)>> Losses()
    {
        await using var db = Db();
        return [.. (await db.RunSteps.OrderBy(s => s.Step).ToListAsync()).Select(s => (s.Step, s.TrainLoss))];
    }

    private StudioDb Db() => new(new DbContextOptionsBuilder<StudioDb>().UseSqlite($"Data Source={folder}/studio.db;Foreign Keys=True").Options);

    private async Task Until(Func<StudioDb, Task<bool>> so)
    {
        for (var i = 0; i < 3000; i++)
        {
            await using (var db = Db()) if (await so(db)) return;
            await Task.Delay(100);
        }
        throw new TimeoutException("It did not get there in 300 s.");
    }

    public void Dispose()
    {
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
    }
}
