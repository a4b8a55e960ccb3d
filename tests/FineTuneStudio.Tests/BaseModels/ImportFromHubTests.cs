using System.Diagnostics;
using System.Text;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.BaseModels;

public sealed class ImportFromHubTests(StudioFixture app) : IClassFixture<StudioFixture>, IAsyncLifetime
{
    private HubServer hub = null!;
    private Project project = null!;
    private Person engineer = null!;

    public async Task InitializeAsync()
    {
        hub = await HubServer.Start(PracticeModel.Folder);
        Set(("Endpoint", hub.Url), ("PauseSeconds", "0.01"), ("Enabled", "true"), ("MaxBytes", null), ("KeepFree", "1"), ("SilenceSeconds", null));
        engineer = await app.NewPerson("Engineer");
        project = await app.NewProject(engineer, "From the hub");
    }

    public async Task DisposeAsync() => await hub.DisposeAsync();

    [Fact]
    public async Task A_public_model_comes_in_whole_with_its_commit_as_source_and_the_license_of_its_card()
    {
        hub.Files.Remove("README.md");
        hub.Files["run_me.py"] = "print()"u8.ToArray();
        hub.Files["optimizer.pt"] = [1];
        hub.Files["other.safetensors"] = new byte[100];
        var model = await Whole(await Start());
        Assert.Equal(("Mine", $"{new Uri(hub.Url).Authority} team/bert-tiny@{HubServer.Commit}", ModelOrigin.Unknown, "apache-2.0", true), (model.Name, model.Source, model.Origin, model.License, model.CanTrain));
        var folder = app.Services.GetRequiredService<StudioFolder>().BaseModel(model.StoredAs);
        Assert.Equal(["config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"], Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.All(Directory.GetFiles(folder), f => Assert.Equal(hub.Files[Path.GetFileName(f)], File.ReadAllBytes(f)));
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(app.Folder, "uploads")));
        Assert.DoesNotContain(hub.Log, a => a.Authorization is not null);
        await using var db = app.Db;
        Assert.True(await db.Events.AnyAsync(e => e.ProjectId == project.Id && e.UserId == engineer.Id && e.Text.StartsWith("imported the base model “Mine”")));
        Assert.Empty(await engineer.Do<ImportFromHub, IReadOnlyList<ImportFromHub.Status>>(i => i.List(project.Id)));
    }

    [SkippableFact]
    public async Task The_reference_model_comes_in_with_the_hash_of_its_weights()
    {
        var golden = Shared.Find("goldens/bert-tiny");
        await using var other = await HubServer.Start(golden);
        Set(("Endpoint", other.Url));
        var model = await Whole(await Start());
        Assert.Equal(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(Path.Combine(golden, "model.safetensors")))), model.WeightsHash);
        Assert.DoesNotContain(other.Log, a => a.Path.EndsWith("expected.safetensors"));
    }

    [Fact]
    public async Task A_connection_cut_in_the_middle_of_a_file_goes_on_from_its_last_byte()
    {
        hub.Cuts = 2;
        await Whole(await Start());
        var ranges = hub.Log.Where(a => !a.ByHub).Select(a => a.Range is null ? 0 : int.Parse(a.Range["bytes=".Length..^1])).ToList();
        Assert.Equal(3, ranges.Count);
        Assert.Equal(0, ranges[0]);
        Assert.True(ranges[1] > 0 && ranges[2] > ranges[1] && ranges[2] <= 2 * hub.CutAfter, string.Join(", ", ranges));
    }

    [Fact]
    public async Task A_store_that_falls_silent_in_the_middle_of_a_file_is_asked_again_for_the_rest()
    {
        hub.PauseBetweenChunks = TimeSpan.FromSeconds(20);
        Set(("SilenceSeconds", "0.1"));
        await Whole(await Start());
        Assert.True(hub.Log.Count(a => a.Range is not null) > 5);
    }

    [Fact]
    public async Task A_store_that_knows_no_ranges_sends_the_file_anew()
    {
        (hub.Cuts, hub.KnowsRanges) = (1, false);
        await Whole(await Start());
        Assert.Equal([200, 200], hub.Log.Where(a => !a.ByHub).Select(a => a.Status));
    }

    [Fact]
    public async Task A_download_that_is_cut_again_and_again_is_interrupted_and_goes_on_when_a_person_says_so()
    {
        (hub.Cuts, hub.CutAfter) = (1000, 0);
        var import = await Start();
        var stopped = await Until(import, HubImportState.Interrupted);
        Assert.StartsWith("The download of “model.safetensors” was cut off at 0 bytes of 815.8 KiB (", stopped.Problem);
        Assert.EndsWith("), and 6 tries did not bring more. What is here is kept; continue when 127.0.0.1 can be reached.", stopped.Problem);
        var status = Assert.Single(await engineer.Do<ImportFromHub, IReadOnlyList<ImportFromHub.Status>>(i => i.List(project.Id)));
        Assert.Equal(import.Files().Where(f => !f.IsLarge).Sum(f => f.Size), status.Here);
        hub.Cuts = 0;
        var small = hub.Log.Count(a => a.Path.EndsWith("/vocab.txt"));
        await engineer.Do<ImportFromHub>(i => i.Continue(project.Id, import.Id, null));
        await Whole(import);
        Assert.Equal(small, hub.Log.Count(a => a.Path.EndsWith("/vocab.txt")));
    }

    [Fact]
    public async Task Changed_bytes_are_fetched_once_more_and_then_refused()
    {
        hub.TamperedAnswers = 1;
        await Whole(await Start());
        Assert.Equal(2, hub.Log.Count(a => !a.ByHub));

        hub.TamperedAnswers = 2;
        var failed = await Until(await Start(), HubImportState.Failed);
        Assert.Matches("^“model.safetensors” came twice with other bytes than 127.0.0.1 lists: the SHA-256 is [0-9a-f]{12}…, expected [0-9a-f]{12}…. Something between the hub and this server changes it; nothing was imported.$", failed.Problem);
        Assert.Equal(4, hub.Log.Count(a => !a.ByHub));
        Assert.False(Directory.Exists(Path.Combine(app.Folder, "uploads", failed.StoredAs)));
        await engineer.Do<ImportFromHub>(i => i.Cancel(project.Id, failed.Id));
        await using var db = app.Db;
        Assert.Equal(1, await db.BaseModels.CountAsync(m => m.ProjectId == project.Id));
        Assert.False(await db.HubImports.AnyAsync(i => i.Id == failed.Id));
    }

    [Fact]
    public async Task The_token_goes_to_the_hub_and_not_to_the_store_and_is_kept_nowhere()
    {
        hub.IsGated = true;
        Assert.Equal($"“team/bert-tiny” is gated: its authors want to know who downloads it. Accept their terms on {hub.Url}/team/bert-tiny and give an access token of that account.", await Refused());
        Assert.Equal("127.0.0.1 does not take this access token. Make a new one with the right to read, in the settings of your account there, and give that.", await Refused(token: "hf_wrong"));
        hub.Log.Clear();
        await Whole(await Start(token: $" {HubServer.Token} "));
        Assert.Contains(hub.Log, a => !a.ByHub);
        Assert.All(hub.Log, a => Assert.Equal(a.ByHub ? $"Bearer {HubServer.Token}" : null, a.Authorization));
        foreach (var file in Directory.EnumerateFiles(app.Folder, "*", SearchOption.AllDirectories))
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var memory = new MemoryStream();
            await stream.CopyToAsync(memory);
            Assert.True(memory.ToArray().AsSpan().IndexOf(Encoding.ASCII.GetBytes(HubServer.Token)) < 0, $"{file} holds the token.");
        }
    }

    [Fact]
    public async Task What_the_hub_says_no_to_is_refused_in_a_sentence()
    {
        Assert.Equal("There is no model “team/other” on 127.0.0.1, or it is private. Check the name; a private model needs an access token.", await Refused("team/other"));
        Assert.Equal("There is no model “team/other” on 127.0.0.1, or it is private. Check the name, and whether the token's account may see it.", await Refused("team/other", token: HubServer.Token));
        Assert.Equal("“team/bert-tiny” has no revision “v2” on 127.0.0.1. Give a branch, a tag or a commit of it; most have main.", await Refused(revision: "v2"));
        hub.IsPrivate = true;
        Assert.StartsWith("There is no model “team/bert-tiny” on 127.0.0.1, or it is private.", await Refused());
        await Whole(await Start(token: HubServer.Token));
        hub.IsPrivate = false;
        hub.ListedInstead = "<html>Sign in to this network</html>";
        Assert.Equal($"127.0.0.1 does not answer as a model hub does. Check its address, {hub.Url}/.", await Refused());
        hub.ListedInstead = $$"""{"sha":"{{HubServer.Commit}}","siblings":[{"rfilename":"config.json"},{"rfilename":"model.safetensors"}]}""";
        Assert.Equal("127.0.0.1 does not say size and hash of “config.json” in “team/bert-tiny”, so the download could not be checked. Nothing was taken from there.", await Refused());
        hub.ListedInstead = $$"""{"sha":"{{HubServer.Commit}}","siblings":[{"rfilename":"config.json"},{"rfilename":"model.ckpt"},{"rfilename":"../model.safetensors"}]}""";
        Assert.StartsWith("The weights in “team/bert-tiny” on 127.0.0.1 are in “model.ckpt”, which is not a usual name:", await Refused());
    }

    [Fact]
    public async Task A_model_too_large_for_the_server_or_its_disk_is_refused_before_the_first_byte()
    {
        Set(("MaxBytes", "100000"));
        Assert.Equal("The files of “team/bert-tiny” take 862.6 KiB; this server takes at most 97.66 KiB. An administrator can raise BaseModels:Hub:MaxBytes.", await Refused());
        Set(("MaxBytes", null), ("KeepFree", $"{1L << 50}"));
        Assert.Matches(@"^“team/bert-tiny” needs 862\.6 KiB on the server's disk, where [0-9.,]+ [KMG]iB are free and 1,048,576 GiB must stay so\. Free some space, or take a smaller model\.$", await Refused());
        Assert.DoesNotContain(hub.Log, a => a.Path.Contains("/resolve/"));
    }

    [Fact]
    public async Task A_hub_that_cannot_be_reached_or_is_switched_off_is_said()
    {
        Set(("Endpoint", "http://127.0.0.1:9"));
        Assert.Matches("^127.0.0.1 cannot be reached \\(Connection refused\\). Check this server's connection and the hub's address, http://127.0.0.1:9/, then try again.$", await Refused());
        Set(("Endpoint", "huggingface.co"));
        Assert.StartsWith("The address of the model hub, “huggingface.co”, is not one:", await Refused());
        Set(("Endpoint", hub.Url), ("Enabled", "false"));
        Assert.Equal("Imports from a model hub are switched off on this server. An administrator can switch them on with BaseModels:Hub:Enabled.", await Refused());
        Assert.Null((await engineer.Do<ListBaseModels, Catalogue>(l => l.Handle(project.Id))).Hub);
        Assert.Empty(hub.Log);
    }

    [Theory, InlineData(""), InlineData("a/b/c"), InlineData("../etc"), InlineData("team/.."), InlineData("team/a..b"), InlineData("a--b"), InlineData(".hidden"), InlineData("team/x.git"), InlineData("http://169.254.169.254/latest"),
        InlineData("team/model?x=1"), InlineData("team/model#x"), InlineData("team@evil.test/x"), InlineData("team/mo del"), InlineData("team\\model"), InlineData("team/модель"), InlineData("/model"), InlineData("team/%2e%2e")]
    public async Task A_name_that_is_none_is_refused_and_the_hub_is_not_asked(string name)
    {
        Assert.StartsWith(name.Length == 0 ? "Name the model on the hub" : $"“{name}” is not the name of a model on a hub.", await Refused(name));
        Assert.Empty(hub.Log);
    }

    [Fact]
    public async Task Revisions_and_tokens_that_could_be_something_else_are_refused()
    {
        foreach (var revision in new[] { "", "../..", "a b", "x?y", "/main", "a\nb" }) Assert.Contains("is not a revision.", await Refused(revision: revision));
        Assert.StartsWith("The access token has characters that no token has;", await Refused(token: "hf_x\r\nHost: evil"));
        Assert.Empty(hub.Log);
        Assert.Equal(HubServer.Commit, (await Start(revision: "refs/pr/1")).Commit);
    }

    [Theory, InlineData("bert-base-uncased"), InlineData("google-bert/bert-base-uncased"), InlineData("sentence-transformers/all-MiniLM-L6-v2"), InlineData("a/b"), InlineData("_x/y_"), InlineData("x.y/z-1.0_a")]
    public void A_name_by_the_hub_s_rules_is_taken(string name) => Assert.True(HubSource.IsRepository(name));

    [Fact]
    public async Task A_renamed_model_is_followed_and_kept_under_its_new_name()
    {
        hub.OldName = "old/bert";
        var import = await Start("old/bert", token: HubServer.Token);
        Assert.Equal("team/bert-tiny", import.Repository);
        await Whole(import);
    }

    [Fact]
    public async Task A_cancelled_download_stops_and_leaves_nothing()
    {
        hub.PauseBetweenChunks = TimeSpan.FromMilliseconds(400);
        var import = await Start();
        Assert.Equal("“team/bert-tiny” is on its way into this project already; continue or cancel that import.", await Refused());
        await Until(async () => (await Status(import))?.Progress is { File: "model.safetensors", Bytes: > 150_000, BytesPerSecond: > 1000 });
        var progress = (await Status(import))!.Progress!;
        Assert.True(progress is { BytesPerSecond: > 1000, Left: not null } && progress.Bytes < progress.Total, $"{progress}");
        await engineer.Do<ImportFromHub>(i => i.Cancel(project.Id, import.Id));
        await Until(async () => { await using var db = app.Db; return !await db.HubImports.AnyAsync(i => i.Id == import.Id); });
        Assert.False(Directory.Exists(Path.Combine(app.Folder, "uploads", import.StoredAs)));
        Assert.Null(await engineer.Do<ImportFromHub, HubImport?>(i => i.Find(project.Id, import.Id)));
        await Whole(await Start());
    }

    [Fact]
    public async Task Strangers_and_other_roles_may_neither_begin_nor_see_nor_stop_one()
    {
        (hub.Cuts, hub.CutAfter) = (1000, 0);
        var import = await Until(await Start(), HubImportState.Interrupted);
        var (stranger, labeler) = (await app.NewPerson("Stranger"), await app.NewPerson("Labeler"));
        await app.Grant(project, labeler, Role.Labeler, Role.Reviewer, Role.Approver, Role.Viewer);
        var asked = hub.Log.Count;
        foreach (var (who, denial) in new[] { (stranger, Denial.NoSuchProject), (labeler, Denial.RoleMissing) })
            foreach (var attempt in new Func<ImportFromHub, Task>[] { i => i.Start(project.Id, Form(), Source()), i => i.List(project.Id), i => i.Find(project.Id, import.Id), i => i.Continue(project.Id, import.Id, null), i => i.Cancel(project.Id, import.Id) })
                Assert.Equal(denial, (await Assert.ThrowsAsync<AccessDenied>(() => who.Do<ImportFromHub>(attempt))).Denial);
        // The id of another project's import opens nothing either.
        var own = await app.NewProject(stranger, "Another");
        Assert.Null(await stranger.Do<ImportFromHub, HubImport?>(i => i.Find(own.Id, import.Id)));
        await Assert.ThrowsAsync<ModelRefused>(() => stranger.Do<ImportFromHub>(i => i.Continue(own.Id, import.Id, null)));
        await stranger.Do<ImportFromHub>(i => i.Cancel(own.Id, import.Id));
        Assert.Equal(HubImportState.Interrupted, (await engineer.Do<ImportFromHub, HubImport?>(i => i.Find(project.Id, import.Id)))!.State);
        Assert.Equal(asked, hub.Log.Count);
    }

    [Fact]
    public async Task Who_lost_the_right_in_the_meantime_gets_nothing_imported()
    {
        hub.PauseBetweenChunks = TimeSpan.FromMilliseconds(100);
        var import = await Start();
        await using (var db = app.Db) await db.Memberships.Where(m => m.ProjectId == project.Id && m.UserId == engineer.Id).ExecuteDeleteAsync();
        var failed = await Until(import, HubImportState.Failed);
        Assert.Equal("Whoever began this import may not import models into this project any more, so nothing was imported.", failed.Problem);
    }

    private void Set(params (string, string?)[] settings)
    {
        foreach (var (key, value) in settings) app.Services.GetRequiredService<IConfiguration>()[$"BaseModels:Hub:{key}"] = value;
    }

    private static NewBaseModel Form() => new() { Name = "Mine", Origin = ModelOrigin.Unknown };

    private static HubSource Source(string name = "team/bert-tiny", string revision = "main", string? token = null) => new() { Repository = name, Revision = revision, Token = token };

    private Task<HubImport> Start(string name = "team/bert-tiny", string revision = "main", string? token = null) => engineer.Do<ImportFromHub, HubImport>(i => i.Start(project.Id, Form(), Source(name, revision, token)));

    private async Task<string> Refused(string name = "team/bert-tiny", string revision = "main", string? token = null) =>
        (await Assert.ThrowsAnyAsync<ModelRefused>(() => Start(name, revision, token))).Message;

    private async Task<ImportFromHub.Status?> Status(HubImport import) => (await engineer.Do<ImportFromHub, IReadOnlyList<ImportFromHub.Status>>(i => i.List(project.Id))).SingleOrDefault(s => s.Import.Id == import.Id);

    private async Task<BaseModel> Whole(HubImport import)
    {
        var done = await Until(import, HubImportState.Imported);
        await using var db = app.Db;
        return await db.BaseModels.AsNoTracking().SingleAsync(m => m.Id == done.BaseModelId && m.ProjectId == project.Id);
    }

    private async Task<HubImport> Until(HubImport import, HubImportState state)
    {
        HubImport? now = null;
        await Until(async () =>
        {
            await using var db = app.Db;
            now = await db.HubImports.AsNoTracking().SingleAsync(i => i.Id == import.Id);
            Assert.True(now.State == state || now.State == HubImportState.Downloading, $"{now.State}: {now.Problem}");
            return now.State == state;
        });
        return now!;
    }

    private static async Task Until(Func<Task<bool>> done)
    {
        for (var waited = Stopwatch.StartNew(); !await done(); await Task.Delay(20)) Assert.True(waited.Elapsed < TimeSpan.FromSeconds(30), "It did not come so far in half a minute.");
    }
}
