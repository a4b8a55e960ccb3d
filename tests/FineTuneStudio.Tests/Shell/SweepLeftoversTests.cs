using FineTuneStudio.Datasets;
using FineTuneStudio.Pretraining;
using FineTuneStudio.Runs;
using FineTuneStudio.Shell;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace FineTuneStudio.Tests.Shell;

public sealed class SweepLeftoversTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    [Fact]
    public async Task What_a_kill_left_is_deleted_and_what_a_row_still_names_stays()
    {
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer);
        var folder = app.Services.GetRequiredService<StudioFolder>();
        var text = await engineer.Do<UploadText, PretrainText>(u => u.Handle(project.Id, "kept.txt", new MemoryStream("one text"u8.ToArray())));
        await using var db = app.Db;
        db.Imports.Add(new Import { ProjectId = project.Id, FileName = "rows.csv", Size = 9, Received = 3, State = ImportState.Receiving, StoredAs = "coming", CreatedById = engineer.Id, CreatedAt = DateTime.UtcNow });
        PretrainRun Pretraining(int number) => new() { ProjectId = project.Id, Number = number, ChoiceJson = "{}", FromModelId = null, TextNames = "", RecipeJson = "{}", RecipeHash = "", LaunchedById = engineer.Id, QueuedAt = DateTime.UtcNow };
        var (over, waits) = (Pretraining(1), Pretraining(2));
        var (cancelled, finished) = (Run(1), Run(2));
        foreach (var run in new TrainingRun[] { over, waits, cancelled, finished }) run.Start(DateTime.UtcNow);
        over.End(RunState.Finished, DateTime.UtcNow);
        waits.Interrupt();
        cancelled.End(RunState.Cancelled, DateTime.UtcNow);
        finished.End(RunState.Finished, DateTime.UtcNow);
        db.TrainingRuns.AddRange(over, waits, cancelled, finished);
        await db.SaveChangesAsync();
        string[] stay = [Path.Combine(folder.Uploads, "coming"), Path.Combine(folder.Texts, text.StoredAs), Path.Combine(folder.Run(waits.Id), "last", "state.json"), Path.Combine(folder.Run(finished.Id), "best", "model.safetensors")];
        string[] go = [Path.Combine(folder.Uploads, "cut.txt"), Path.Combine(folder.Uploads, "staged", "model.safetensors"), Path.Combine(folder.Texts, "cut.txt.xz"), Path.Combine(folder.Run(over.Id), "best", "model.safetensors"), Path.Combine(folder.Run(cancelled.Id), "last", "state.json")];
        foreach (var file in stay.Concat(go))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, "x");
        }

        await SweepLeftovers.Now(db, folder, NullLogger.Instance);
        Assert.All(stay, file => Assert.True(File.Exists(file), file));
        Assert.All(go, file => Assert.False(File.Exists(file), file));
        Assert.Equal(["coming"], Directory.EnumerateFileSystemEntries(folder.Uploads).Select(f => Path.GetFileName(f)));

        Run Run(int number) => new() { ProjectId = project.Id, Number = number, SplitId = 1, BaseModelId = 1, RecipeJson = "{}", RecipeHash = "", LaunchedById = engineer.Id, QueuedAt = DateTime.UtcNow };
    }
}
