using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Reports;
using FineTuneStudio.Runs;
using FineTuneStudio.Tests.Reports;
using FineTuneStudio.Tests.Runs;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Shell;

/// Another program holds the database's lock for longer than a statement waits.
[Trait("Cost", "Slow")]
[Collection("training")]
public sealed class LockedDatabaseTests : IAsyncLifetime
{
    private readonly StudioFixture app = new() { Settings = { ["Database:LockSeconds"] = "1", ["Database:PatienceSeconds"] = "6" } };
    private static readonly RunRecipe Long = new() { Epochs = 100, LearningRate = 1e-3, BatchSize = 8, MaxLength = 32, EarlyStoppingPatience = 0 };

    [Fact]
    public async Task A_run_waits_for_a_lock_to_go_and_loses_no_number()
    {
        var (scene, number) = await Training();
        await Locked(app, TimeSpan.FromSeconds(4));
        int before;
        await using (var db = app.Db) before = await db.RunSteps.MaxAsync(s => s.Step);
        await app.Until(scene.Project, number, r => r.StepsDone > before);
        await scene.Engineer.Do<StopRun>(s => s.Stop(scene.Project.Id, number));
        var run = await app.Ended(scene.Project, number);
        Assert.Equal((RunState.StoppedByPerson, (string?)null), (run.State, run.Failure));
        await using var read = app.Db;
        Assert.Equal(Enumerable.Range(1, run.StepsDone), await read.RunSteps.OrderBy(s => s.Step).Select(s => s.Step).ToListAsync());
    }

    [Fact]
    public async Task A_lock_beyond_all_patience_interrupts_a_run_that_then_can_be_restarted()
    {
        var (scene, number) = await Training();
        await Locked(app, TimeSpan.FromSeconds(14));
        var run = await app.Until(scene.Project, number, r => r.State == RunState.Interrupted);
        Assert.Equal("The server's database could not be written for too long; is it locked by another program, or is the disk full?", run.Failure);
        await scene.Engineer.Do<RestartRun>(r => r.Handle(scene.Project.Id, number));
        run = await app.Until(scene.Project, number, r => r.State == RunState.Running && r.StepsDone > run.StepsDone);
        Assert.Null(run.Failure);
        await scene.Engineer.Do<StopRun>(s => s.Cancel(scene.Project.Id, number));
        await app.Ended(scene.Project, number);
    }

    [Fact]
    public async Task An_import_that_fails_on_a_lock_is_marked_when_the_lock_goes_and_the_server_lives()
    {
        var owner = await app.NewPerson("Importer");
        var project = await app.NewProject(owner);
        var place = await owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(project.Id, "a.csv", 21, "text"u8.ToArray()));
        await owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Append(project.Id, place.Id, 0, new MemoryStream("text,label\nhello,a\nb,"u8.ToArray())));
        var (format, mapping) = (new FileFormat(FileKind.Delimited, "utf-8"), new ColumnMapping([new("text", ColumnRole.Text), new("label", ColumnRole.Label)]));
        var (formatJson, mappingJson) = (format.ToJson(), mapping.ToJson());
        await using var db = app.Db;
        await db.Imports.ExecuteUpdateAsync(s => s.SetProperty(i => i.State, ImportState.Importing).SetProperty(i => i.FormatJson, formatJson).SetProperty(i => i.MappingJson, mappingJson));
        var jobs = app.Services.GetRequiredService<ImportJobs>();
        await Locked(app, TimeSpan.FromSeconds(5), () => jobs.Enqueue(place.Id));

        await Until(() => db.Imports.AnyAsync(i => i.State == ImportState.Failed));
        Assert.False(jobs.ExecuteTask!.IsCompleted);
        await owner.Do<StartImport>(s => s.Handle(project.Id, place.Id, format, mapping));
        await Until(() => db.Imports.AnyAsync(i => i.State == ImportState.Imported));
    }

    [Fact]
    public async Task A_report_built_under_a_lock_is_saved_when_the_lock_goes()
    {
        var run = await FinishedRun.Make(app, "Locked");
        await using var db = app.Db;
        var report = new Report { ProjectId = run.Project.Id, Number = 1, RunId = run.RunId, BuiltById = run.Engineer.Id, BuiltAt = DateTime.UtcNow };
        db.Reports.Add(report);
        await db.SaveChangesAsync();
        var builder = app.Services.GetRequiredService<ReportBuilder>();
        await Locked(app, TimeSpan.FromSeconds(5), () => builder.Enqueue(report.Id));
        await Until(() => db.Reports.AnyAsync(r => r.State == ReportState.Ready));
        Assert.False(builder.ExecuteTask!.IsCompleted);
    }

    [Fact]
    public async Task The_server_starts_under_a_lock_and_marks_a_cut_off_run_when_the_lock_goes()
    {
        var run = await FinishedRun.Make(app, "Starting", state: RunState.Running);
        var second = new StudioFixture { Settings = { ["DataFolder"] = app.Folder, ["Database:LockSeconds"] = "1" } };
        await Locked(app, TimeSpan.FromSeconds(1), async () =>
        {
            await second.InitializeAsync();
            using var http = second.CreateClient();
            Assert.True((await http.GetAsync("/account/sign-in")).IsSuccessStatusCode);
        });
        await app.Until(run.Project, 1, r => r.State == RunState.Interrupted);
        await ((IAsyncLifetime)second).DisposeAsync();
    }

    private async Task<(Scene, int)> Training()
    {
        var scene = await Scene.Make(app, "Locked", rows: 600);
        var number = await scene.Engineer.Do<LaunchRun, int>(launch => launch.Handle(scene.Project.Id, 1, 1, Long));
        await app.Until(scene.Project, number, r => r.BestStep is not null);
        return (scene, number);
    }

    private static Task Locked(StudioFixture app, TimeSpan time, Action meanwhile) => Locked(app, time, () => { meanwhile(); return Task.CompletedTask; });

    private static async Task Locked(StudioFixture app, TimeSpan time, Func<Task>? meanwhile = null)
    {
        await using var other = new SqliteConnection($"Data Source={app.Folder}/studio.db;Pooling=False;Default Timeout=10");
        await other.OpenAsync();
        await using var held = other.BeginTransaction();
        if (meanwhile is not null) await meanwhile();
        await Task.Delay(time);
    }

    private static async Task Until(Func<Task<bool>> so)
    {
        for (var i = 0; i < 300; i++)
        {
            if (await so()) return;
            await Task.Delay(100);
        }
        throw new TimeoutException("It did not get there in 30 s.");
    }

    public Task InitializeAsync() => app.InitializeAsync();

    public Task DisposeAsync() => ((IAsyncLifetime)app).DisposeAsync();
}
