using System.Diagnostics;
using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Tests.Datasets;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.BaseModels;

[Trait("Cost", "Slow")]
public sealed class KillTests
{
    [Fact]
    public async Task A_server_killed_in_the_middle_of_a_download_goes_on_from_its_bytes_and_asks_for_the_token_where_one_was_needed()
    {
        await using var hub = await HubServer.Start(PracticeModel.Folder);
        hub.PauseBetweenChunks = TimeSpan.FromMilliseconds(400);
        await using var server = new ServerToKill();
        // The variable that other tools know.
        server.Environment["HF_ENDPOINT"] = hub.Url;
        await server.Start();
        var (user, project) = await server.NewOwner("killed-download");
        await server.Kill();
        HubImport Begun(string name, bool needsToken) => new()
        {
            ProjectId = project.Id, Name = name, Origin = ModelOrigin.Unknown, Hub = hub.Url, Repository = hub.Name, Commit = HubServer.Commit, FilesJson = JsonSerializer.Serialize(hub.Listed()),
            Bytes = hub.Files.Values.Sum(f => (long)f.Length), StoredAs = name, NeedsToken = needsToken, CreatedById = user.Id, CreatedAt = DateTime.UnixEpoch,
        };
        await using (var db = server.Db) { db.HubImports.AddRange(Begun("open", false), Begun("gated", true)); await db.SaveChangesAsync(); }

        await server.Start();
        var part = new FileInfo(Path.Combine(server.Folder, "uploads", "open", "model.safetensors.part"));
        await Until(() => { part.Refresh(); return Task.FromResult(part.Exists && part.Length > 150_000); });
        await server.Kill();
        part.Refresh();
        var here = part.Length;
        Assert.InRange(here, 150_001, hub.Files["model.safetensors"].Length - 1);

        await server.Start();
        await Until(async () => { await using var db = server.Db; return await db.HubImports.AnyAsync(i => i.State == HubImportState.Imported); });
        Assert.Contains(hub.Log, a => !a.ByHub && a.Range == $"bytes={here}-" && a.Status == 206);
        Assert.Single(hub.Log, a => a.Path.EndsWith("/vocab.txt"));
        Assert.All(hub.Log, a => Assert.Null(a.Authorization));
        await using (var db = server.Db)
        {
            var model = await db.BaseModels.AsNoTracking().SingleAsync();
            Assert.Equal(hub.Listed()[^1].Hash, model.WeightsHash);
            var gated = await db.HubImports.AsNoTracking().SingleAsync(i => i.Name == "gated");
            Assert.Equal((HubImportState.Interrupted, "The server was started anew, and it keeps access tokens nowhere. Give the token again to go on with what is already here."), (gated.State, gated.Problem));
        }
    }

    private static async Task Until(Func<Task<bool>> done)
    {
        for (var waited = Stopwatch.StartNew(); !await done(); await Task.Delay(30)) Assert.True(waited.Elapsed < TimeSpan.FromSeconds(60), "It did not come so far in a minute.");
    }
}
