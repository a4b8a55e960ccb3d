using FineTuneStudio.Engine.Training;
using FineTuneStudio.Runs;
using FineTuneStudio.Shell;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace FineTuneStudio.Tests;

public sealed class DatabaseUpgradeTests : IDisposable
{
    private const string BeforePretraining = "20261127184259_LearningCurves";

    private readonly string folder = Directory.CreateTempSubdirectory("fts-upgrade-").FullName;
    private string Database => Path.Combine(folder, "studio.db");

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
        await Old();
        await using var db = Open();
        await db.Database.MigrateAsync();

        var run = Assert.Single(await db.Runs.ToListAsync());
        Assert.Equal((7, 3, 5, 6, RunState.Finished, 0.75), (run.Id, run.Number, run.SplitId, run.BaseModelId, run.State, run.BestMetric));
        Assert.Equal("/p/p/runs/3", run.Href);
        Assert.Empty(await db.PretrainRuns.ToListAsync());
    }

    [Fact]
    public async Task An_upgrade_begins_again_where_a_killed_one_left_its_lock_and_half_a_copy()
    {
        await Old();
        await using (var old = Open()) await old.Database.ExecuteSqlRawAsync("INSERT INTO __EFMigrationsLock (Id, Timestamp) VALUES (1, '2026-11-27 00:00:00')");
        var whole = await File.ReadAllBytesAsync(Database);
        var copy = UpgradeDatabase.CopyOf(Database);
        await File.WriteAllBytesAsync(copy, whole[..(whole.Length / 2)]);
        await File.WriteAllBytesAsync(copy + "-journal", whole[..700]);
        await File.WriteAllTextAsync(copy + ".lock", "");

        // Would wait for the lock for ever.
        await UpgradeDatabase.Run(Database, 1).WaitAsync(TimeSpan.FromSeconds(120));

        Assert.Equal(["studio.db"], Directory.GetFiles(folder).Select(Path.GetFileName));
        await using var db = Open();
        Assert.Empty(await db.Database.GetPendingMigrationsAsync());
        Assert.Equal((7, 3), await db.Runs.Select(r => ValueTuple.Create(r.Id, r.Number)).SingleAsync());
        Assert.Equal(0, (await db.Database.SqlQueryRaw<int>("SELECT COUNT(*) AS Value FROM __EFMigrationsLock").ToListAsync()).Single());
    }

    [Fact]
    public async Task A_new_database_comes_whole_and_one_of_this_version_is_not_written_even_under_a_left_lock()
    {
        await UpgradeDatabase.Run(Database, 1);
        Assert.Equal(["studio.db"], Directory.GetFiles(folder).Select(Path.GetFileName));
        await using (var db = Open())
        {
            Assert.Empty(await db.Database.GetPendingMigrationsAsync());
            await db.Database.ExecuteSqlRawAsync("INSERT INTO __EFMigrationsLock (Id, Timestamp) VALUES (1, '2026-11-27 00:00:00')");
        }
        var before = await File.ReadAllBytesAsync(Database);
        await UpgradeDatabase.Run(Database, 1).WaitAsync(TimeSpan.FromSeconds(120));
        Assert.Equal(before, await File.ReadAllBytesAsync(Database));
    }

    [Fact]
    public async Task What_another_program_wrote_and_never_took_in_is_in_the_upgraded_database()
    {
        await Old();
        // A killed server leaves its last transactions in the -wal.
        var (away, wal) = (Path.Combine(folder, "away.db"), Database + "-wal");
        await using (var writing = new SqliteConnection($"Data Source={Database};Pooling=False"))
        {
            await writing.OpenAsync();
            await Do(writing, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; UPDATE Runs SET StepsDone = 39");
            File.Copy(Database, away);
            File.Copy(wal, away + "-wal");
        }
        File.Move(away, Database, overwrite: true);
        File.Move(away + "-wal", wal);

        await UpgradeDatabase.Run(Database, 1);

        Assert.False(File.Exists(wal));
        await using var db = Open();
        Assert.Equal(39, await db.Runs.Select(r => r.StepsDone).SingleAsync());
    }

    [Fact]
    public async Task A_database_that_another_program_has_open_is_left_as_it_is_with_a_sentence()
    {
        await Old();
        await using (var other = new SqliteConnection($"Data Source={Database};Pooling=False"))
        {
            await other.OpenAsync();
            await Do(other, "PRAGMA journal_mode=WAL; UPDATE Runs SET StepsDone = 38");
            var refused = await Assert.ThrowsAsync<DatabaseNotUpgraded>(() => UpgradeDatabase.Run(Database, 1));
            Assert.Equal($"The database {Database} could not be brought to this version and is as it was: another program has it open. Stop that program and start again.", refused.Message);
            await Do(other, "UPDATE Runs SET StepsDone = 37");
        }
        await using (var held = new FileStream(UpgradeDatabase.CopyOf(Database) + ".lock", FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose))
            Assert.Equal($"Another server brings the database {Database} to this version at the moment; start this one when that is done.", (await Assert.ThrowsAsync<DatabaseNotUpgraded>(() => UpgradeDatabase.Run(Database, 1))).Message);
        await UpgradeDatabase.Run(Database, 1);
        await using var db = Open();
        Assert.Equal(37, await db.Runs.Select(r => r.StepsDone).SingleAsync());
    }

    [Fact]
    public async Task A_migration_that_fails_leaves_the_database_as_it_was()
    {
        await Old();
        await using (var old = Open()) await old.Database.ExecuteSqlRawAsync("CREATE TABLE PretrainTexts (Id INTEGER)");
        var before = await Schema();
        var refused = await Assert.ThrowsAsync<DatabaseNotUpgraded>(() => UpgradeDatabase.Run(Database, 1));
        Assert.StartsWith($"The database {Database} could not be brought to this version and is as it was: SQLite Error 1: 'table \"PretrainTexts\" already exists", refused.Message);
        Assert.Equal(["studio.db"], Directory.GetFiles(folder).Select(Path.GetFileName));
        Assert.Equal(before, await Schema());
    }

    [Fact]
    public async Task A_full_disk_is_said_with_the_space_that_an_upgrade_needs()
    {
        await File.WriteAllBytesAsync(Database, new byte[4 << 20]);
        Assert.Matches($"^The database {System.Text.RegularExpressions.Regex.Escape(Database)} could not be brought to this version and is as it was: the disk is full\\. It is done in a copy, for which 24 MiB must be free; [0-9.,]+ ([KMG]iB|bytes?) are\\. Free what is missing and start again\\.$",
            UpgradeDatabase.Sentence(Database, new SqliteException("database or disk is full", 13)));
    }

    [Fact]
    [Trait("Cost", "Slow")]
    public async Task A_server_killed_while_it_upgrades_leaves_a_whole_database_and_the_next_one_starts()
    {
        await Old();
        await using (var old = Open())
            await old.Database.ExecuteSqlRawAsync("""
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
                INSERT INTO Rows (ProjectId, Text, TextKey) SELECT 'p', hex(randomblob(100)), hex(randomblob(16)) FROM n;
                """);
        var copy = UpgradeDatabase.CopyOf(Database);
        await RealServer.KillWhen(folder, () => File.Exists(copy));
        await using (var db = Open())
        {
            Assert.Equal("ok", (await db.Database.SqlQueryRaw<string>("SELECT integrity_check AS Value FROM pragma_integrity_check").ToListAsync()).Single());
            Assert.Equal(150_000, await db.Rows.CountAsync());
            Assert.Equal(1, (await db.Database.SqlQueryRaw<int>("SELECT COUNT(*) AS Value FROM Runs WHERE Id = 7").ToListAsync()).Single());
        }
        await using (await RealServer.Start(folder))
        {
            await using var db = Open();
            Assert.Empty(await db.Database.GetPendingMigrationsAsync());
            Assert.Equal((7, 150_000), (await db.Runs.Select(r => r.Id).SingleAsync(), await db.Rows.CountAsync()));
            Assert.False(File.Exists(copy));
        }
    }

    [Fact]
    public async Task The_way_back_before_pretraining_keeps_runs_and_drops_pretrainings_of_the_same_number()
    {
        await Old();
        await UpgradeDatabase.Run(Database, 1);
        await using var db = Open();
        await db.Database.ExecuteSqlRawAsync("""
            INSERT INTO Runs (Id, ProjectId, Number, Kind, RecipeJson, RecipeHash, LaunchedById, QueuedAt, State, StepsDone, TotalSteps) VALUES (8, 'p', 3, 'pretraining', '{{}}', 'h', 'u', '2026-11-25 00:00:00', 'Finished', 40, 40);
            INSERT INTO RunLog (RunId, At, Text) VALUES (7, '2026-11-25 00:00:00', 'of the run'), (8, '2026-11-25 00:00:00', 'of the pretraining');
            """);
        await db.GetService<IMigrator>().MigrateAsync(BeforePretraining);
        Assert.Equal([7], await db.Database.SqlQueryRaw<int>("SELECT Id AS Value FROM Runs").ToListAsync());
        Assert.Equal(["of the run"], await db.Database.SqlQueryRaw<string>("SELECT Text AS Value FROM RunLog").ToListAsync());
    }

    [Fact]
    public async Task A_database_with_the_same_text_twice_keeps_both_and_takes_it_no_third_time()
    {
        await using (var old = Open())
        {
            await old.GetService<IMigrator>().MigrateAsync("20261127205601_Pretraining");
            await old.Database.ExecuteSqlRawAsync("""
                INSERT INTO PretrainTexts (ProjectId, Name, StoredAs, Bytes, Documents, Words, Sha256, UploadedById, UploadedAt)
                VALUES ('p', 'a.txt', 'a', 1, 1, 1, 'abc', 'u', '2026-11-27 00:00:00'), ('p', 'b.txt', 'b', 1, 1, 1, 'abc', 'u', '2026-11-27 00:00:00'), ('q', 'c.txt', 'c', 1, 1, 1, 'abc', 'u', '2026-11-27 00:00:00');
                """);
        }
        await UpgradeDatabase.Run(Database, 1);
        await using var db = Open();
        Assert.Equal([("a.txt", "abc"), ("b.txt", "abc, again 2"), ("c.txt", "abc")], (await db.PretrainTexts.OrderBy(t => t.Id).ToListAsync()).Select(t => (t.Name, t.Sha256)));
        await Assert.ThrowsAsync<SqliteException>(() => db.Database.ExecuteSqlRawAsync("INSERT INTO PretrainTexts SELECT NULL, ProjectId, Name, StoredAs, Bytes, Documents, Words, Sha256, UploadedById, UploadedAt FROM PretrainTexts WHERE Id = 1"));
    }

    /// A database from before pretraining, with run 3.
    private async Task Old()
    {
        await using var old = Open();
        await old.GetService<IMigrator>().MigrateAsync(BeforePretraining);
        await old.Database.ExecuteSqlRawAsync("""
            INSERT INTO Runs (Id, ProjectId, Number, SplitId, BaseModelId, RecipeJson, RecipeHash, LaunchedById, QueuedAt, State, StepsDone, TotalSteps, BestStep, BestMetric)
            VALUES (7, 'p', 3, 5, 6, '{{}}', 'h', 'u', '2026-11-25 00:00:00', 'Finished', 40, 40, 30, 0.75);
            """);
    }

    private async Task<List<string>> Schema()
    {
        await using var db = Open();
        return await db.Database.SqlQueryRaw<string>("SELECT name || coalesce(sql, '') AS Value FROM sqlite_master ORDER BY name").ToListAsync();
    }

    private static async Task Do(SqliteConnection on, string sql)
    {
        await using var command = on.CreateCommand();
        command.CommandText = sql;
        await command.ExecuteNonQueryAsync();
    }

    private StudioDb Open() => new(new DbContextOptionsBuilder<StudioDb>().UseSqlite($"Data Source={Database};Pooling=False").Options);

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
