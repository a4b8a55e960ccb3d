using System.Text.Json;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.FewShot;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.FewShot;

/// The application as a process of its own, killed without warning in the middle of a curve.
[Trait("Cost", "Slow")]
public sealed class KillTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("fts-kill-curve-").FullName;

    [Fact]
    public async Task A_curve_killed_with_the_server_goes_on_by_itself_from_its_finished_points()
    {
        await using (var db = Db())
        {
            var (split, model, engineer) = await Tests.Runs.KillTests.Project(db, folder);
            db.LearningCurves.Add(new LearningCurveRun
            {
                ProjectId = "killed", Number = 1, SplitId = split.Id, BaseModelId = model.Id, StartedById = engineer.Id, QueuedAt = DateTime.UtcNow, PointsTotal = 6, PoolRows = 480, MeasuredRows = 60,
                SettingsJson = JsonSerializer.Serialize(new CurveSettings([FewShotMethod.Full], [1, 2], 3, 200, 1e-3, 32)), MajorityLabel = "billing", MajorityAccuracy = 1 / 3.0, MajorityMacroF1 = 1 / 6.0,
            });
            await db.SaveChangesAsync();
        }
        var first = await RealServer.Start(folder);
        await Until(_ => Task.FromResult(Points().Count > 0));
        await first.Kill();
        await first.DisposeAsync();
        var kept = Points();
        Assert.InRange(kept.Count, 1, 5);
        await using (var db = Db()) Assert.Equal(CurveState.Running, (await db.LearningCurves.SingleAsync()).State);

        await using var second = await RealServer.Start(folder);
        await Until(async db => (await db.LearningCurves.SingleAsync()).IsOver);
        await using var read = Db();
        var curve = await read.LearningCurves.SingleAsync();
        Assert.Equal((CurveState.Finished, (string?)null, 6), (curve.State, curve.Failure, curve.PointsDone));
        Assert.Equal(kept, Points().Take(kept.Count));
        Assert.Equal(6, Points().DistinctBy(p => (p.Method, p.K, p.Draw)).Count());
    }

    private IReadOnlyList<FewShotPoint> Points() => KeptPoints.In(Path.Combine(folder, "curves", "1"));

    private StudioDb Db() => new(new DbContextOptionsBuilder<StudioDb>().UseSqlite($"Data Source={folder}/studio.db;Foreign Keys=True").Options);

    private async Task Until(Func<StudioDb, Task<bool>> so)
    {
        for (var i = 0; i < 900; i++)
        {
            await using (var db = Db()) if (await so(db)) return;
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
