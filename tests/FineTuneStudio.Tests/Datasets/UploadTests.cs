using System.Net;
using System.Net.Http.Json;
using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;

namespace FineTuneStudio.Tests.Datasets;

[Trait("Cost", "Slow")]
public sealed class UploadTests(StudioFixture app, Browser browser) : IClassFixture<StudioFixture>, IClassFixture<Browser>
{
    [Fact]
    public async Task A_chunk_may_be_sent_again_and_must_fit_to_what_is_here()
    {
        var (owner, project) = await NewOwner("Chunks");
        Task<ReceiveFile.Place> Send(ReceiveFile.Place at, string bytes) => owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Append(project.Id, at.Id, at.Offset, new MemoryStream(Encoding.UTF8.GetBytes(bytes))));
        var place = await owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(project.Id, "a.csv", 10, "abcd"u8.ToArray()));
        place = await Send(place, "abcd");
        Assert.Equal(4, place.Offset);
        Assert.Equal(6, (await Send(place with { Offset = 2 }, "cdef")).Offset);

        var ahead = await Assert.ThrowsAsync<UploadRefused>(() => Send(place with { Offset = 8 }, "ij"));
        Assert.Equal(("The chunk begins at byte 8, but 6 bytes are here; go on from there.", 6), (ahead.Message, ahead.Offset));
        var other = await Assert.ThrowsAsync<UploadRefused>(() => Send(place with { Offset = 4 }, "xx"));
        Assert.Equal("This is not the “a.csv” whose upload began: its bytes differ. Discard the unfinished one and upload this.", other.Message);
        var more = await Assert.ThrowsAsync<UploadRefused>(() => Send(place with { Offset = 6 }, "ghijk"));
        Assert.Equal("More bytes came than the 10 of “a.csv”; the file changed while it was sent. Discard it and upload it again.", more.Message);

        Assert.Equal(place.Id, (await owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(project.Id, "a.csv", 10, "abcd"u8.ToArray()))).Id);
        Assert.NotEqual(place.Id, (await owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(project.Id, "a.csv", 10, "other"u8.ToArray()))).Id);
        Assert.Equal(10, (await Send(place with { Offset = 6 }, "ghij")).Offset);
        await using var db = app.Db;
        var import = await db.Imports.AsNoTracking().SingleAsync(i => i.Id == place.Id);
        Assert.Equal(ImportState.Received, import.State);
        Assert.Equal("abcdefghij", await File.ReadAllTextAsync(Path.Combine(app.Folder, "uploads", import.StoredAs)));
    }

    [Fact]
    public async Task What_cannot_be_taken_is_refused_before_a_byte_is_sent()
    {
        var (owner, project) = await NewOwner("Limits");
        Task<UploadRefused> Refused(string name, long size) => Assert.ThrowsAsync<UploadRefused>(() => owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(project.Id, name, size, [])));
        Assert.Equal("“big.csv” has 3 GB; at most 2 GB are taken. Split it, or raise Uploads:MaxBytes in appsettings.json.", (await Refused("big.csv", 3L << 30)).Message);
        Assert.Equal("“none.csv” is empty: it has no byte at all.", (await Refused("none.csv", 0)).Message);
        var place = await owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(project.Id, "../../etc/passwd", 5, []));
        await using var db = app.Db;
        Assert.Equal("passwd", (await db.Imports.AsNoTracking().SingleAsync(i => i.Id == place.Id)).FileName);
    }

    [Fact]
    public async Task Another_project_a_lower_role_and_a_call_without_the_token_are_refused()
    {
        var (owner, project) = await NewOwner("Doors");
        var (stranger, theirs) = await NewOwner("Strangers");
        using var http = await ServerToKill.SignedIn(app.Url, owner.Mail);
        var place = (await (await http.PostAsync($"/api/p/{project.Id}/imports?name=a.csv&size=4", new ByteArrayContent("ab"u8.ToArray()))).Content.ReadFromJsonAsync<ReceiveFile.Place>())!;
        using var other = await ServerToKill.SignedIn(app.Url, stranger.Mail);
        Assert.Equal(HttpStatusCode.NotFound, (await other.GetAsync($"/api/p/{project.Id}/imports/{place.Id}")).StatusCode);
        var crossed = await other.GetAsync($"/api/p/{theirs.Id}/imports/{place.Id}");
        Assert.Equal(HttpStatusCode.Conflict, crossed.StatusCode);
        Assert.Contains($"There is no upload {place.Id} in this project", await crossed.Content.ReadAsStringAsync());
        await app.Grant(project, stranger, Role.Labeler);
        Assert.Equal(HttpStatusCode.Forbidden, (await other.PutAsync($"/api/p/{project.Id}/imports/{place.Id}?offset=0", new ByteArrayContent("ab"u8.ToArray()))).StatusCode);
        using var tooBig = new HttpRequestMessage(HttpMethod.Put, $"/api/p/{project.Id}/imports/{place.Id}?offset=0") { Content = new ByteArrayContent(new byte[ReceiveFile.ChunkBytes + 1]) };
        tooBig.Headers.ExpectContinue = true;
        var big = await http.SendAsync(tooBig);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, big.StatusCode);
        http.DefaultRequestHeaders.Remove("RequestVerificationToken");
        Assert.Equal(HttpStatusCode.BadRequest, (await http.PutAsync($"/api/p/{project.Id}/imports/{place.Id}?offset=0", new ByteArrayContent("ab"u8.ToArray()))).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await new HttpClient { BaseAddress = app.Url }.GetAsync($"/api/p/{project.Id}/imports/{place.Id}")).StatusCode);
    }

    [Fact]
    public async Task An_upload_outlives_a_lost_connection_and_a_reload_of_the_page()
    {
        var (owner, project) = await NewOwner("Resume");
        var file = Path.Combine(app.Folder, "long.csv");
        await File.WriteAllTextAsync(file, "text,label\n" + string.Concat(Enumerable.Range(0, 250_000).Select(i => $"this is a rather long message with the number {i},{(i % 2 == 0 ? "even" : "odd")}\n")));
        var page = await browser.Open(app.Url);
        await page.SignIn(owner.Mail);
        var (puts, lost, hold) = (0, 0, true);
        await page.RouteAsync("**/imports/*", async route =>
        {
            if (route.Request.Method != "PUT") { await route.ContinueAsync(); return; }
            // The first chunk is lost on its way, the third never arrives before the reload.
            if (++puts == 1) { lost++; await route.AbortAsync("connectionfailed"); }
            else if (puts <= 2 || !hold) await route.ContinueAsync();
        });
        await page.GotoAsync($"/p/{project.Id}/data/upload");
        var choose = page.GetByLabel("Drop a file here, or choose one");
        await choose.SetInputFilesAsync(file);
        await Assertions.Expect(page.Locator(".said")).ToContainTextAsync("4.0 MB of", new() { Timeout = 30_000 });
        await page.ReloadAsync();
        hold = false;
        await Assertions.Expect(choose).ToBeVisibleAsync();
        var kept = 0L;
        page.Request += (_, r) => { if (r.Method == "PUT" && kept == 0) kept = long.Parse(r.Url.Split("offset=")[1]); };
        await choose.SetInputFilesAsync(file);
        try { await page.ComesTo("/data/upload/"); }
        catch (PlaywrightException) { Assert.Fail($"The page stays; it says: {await page.Locator("section.upload").InnerTextAsync()}; PUTs {puts}, from {kept}"); }
        Assert.Equal(1, lost);
        Assert.Equal(4 << 20, kept);
        await Assertions.Expect(page.GetByRole(AriaRole.Button, new() { Name = "Import 250,000 rows" })).ToBeEnabledAsync(new() { Timeout = 60_000 });
        await using var db = app.Db;
        var import = await db.Imports.AsNoTracking().SingleAsync(i => i.ProjectId == project.Id);
        Assert.Equal(await File.ReadAllBytesAsync(file), await File.ReadAllBytesAsync(Path.Combine(app.Folder, "uploads", import.StoredAs)));
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_file_edited_behind_its_first_bytes_does_not_go_on_with_the_old_ones(bool hashes)
    {
        var (owner, project) = await NewOwner($"Edited {hashes}");
        var file = Path.Combine(app.Folder, $"edited-{hashes}.csv");
        var bytes = Encoding.UTF8.GetBytes("text,label\n" + string.Concat(Enumerable.Range(0, 200_000).Select(i => $"this is a rather long message with the number {i:000000},{(i % 2 == 0 ? "even" : "odd")}\n")));
        Task<ReceiveFile.Place> Begin() => owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(project.Id, Path.GetFileName(file), bytes.Length, bytes[..(64 << 10)]));
        var place = await Begin();
        Assert.Empty(place.Blocks ?? []);
        const int sent = (8 << 20) + 1000;
        await owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Append(project.Id, place.Id, 0, new MemoryStream(bytes, 0, sent)));
        Assert.Equal([Hash(bytes.AsSpan(0, 4 << 20)), Hash(bytes.AsSpan(4 << 20, 4 << 20))], (await Begin()).Blocks);

        // Far from both ends of what is here, in the second block.
        bytes[6 << 20] ^= 1;
        await File.WriteAllBytesAsync(file, bytes);
        var page = await browser.Open(app.Url);
        if (!hashes) await page.AddInitScriptAsync("Object.defineProperty(globalThis, 'crypto', { value: {} });");
        await page.SignIn(owner.Mail);
        var puts = new List<long>();
        page.Request += (_, r) => { if (r.Method == "PUT") puts.Add(long.Parse(r.Url.Split("offset=")[1])); };
        await page.GotoAsync($"/p/{project.Id}/data/upload");
        await page.GetByLabel("Drop a file here, or choose one").SetInputFilesAsync(file);
        await Assertions.Expect(page.GetByText($"This is not the “{Path.GetFileName(file)}” whose upload began: its bytes differ. Discard the unfinished one and upload this.")).ToBeVisibleAsync(new() { Timeout = 30_000 });
        Assert.Equal(hashes ? [4 << 20] : [0, 4 << 20], puts);
        await using var db = app.Db;
        Assert.Equal((sent, ImportState.Receiving), await db.Imports.Where(i => i.Id == place.Id).Select(i => ValueTuple.Create((int)i.Received, i.State)).SingleAsync());

        static string Hash(ReadOnlySpan<byte> block) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(block));
    }

    [Fact]
    public async Task A_file_discarded_while_a_chunk_is_sent_stays_discarded()
    {
        var (owner, project) = await NewOwner("Discard");
        var place = await owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Begin(project.Id, "gone.csv", 10, "abcd"u8.ToArray()));
        var body = new System.IO.Pipelines.Pipe();
        await body.Writer.WriteAsync("abcd"u8.ToArray());
        var sending = owner.Do<ReceiveFile, ReceiveFile.Place>(r => r.Append(project.Id, place.Id, 0, body.Reader.AsStream()));
        string path;
        await using (var db = app.Db) path = Path.Combine(app.Folder, "uploads", await db.Imports.Where(i => i.Id == place.Id).Select(i => i.StoredAs).SingleAsync());
        while (!File.Exists(path)) await Task.Delay(10);

        var discarding = owner.Do<ReceiveFile>(r => r.Discard(project.Id, place.Id));
        while (await State() != ImportState.Cancelled) await Task.Delay(10);
        await body.Writer.WriteAsync("efghij"u8.ToArray());
        await body.Writer.CompleteAsync();
        Assert.Equal("“gone.csv” was discarded while it was sent; nothing more is taken for it.", (await Assert.ThrowsAsync<UploadRefused>(() => sending)).Message);
        await discarding;
        Assert.Equal(ImportState.Cancelled, await State());
        Assert.False(File.Exists(path));

        async Task<ImportState> State()
        {
            await using var db = app.Db;
            return await db.Imports.Where(i => i.Id == place.Id).Select(i => i.State).SingleAsync();
        }
    }

    private async Task<(Person, Project)> NewOwner(string name)
    {
        var owner = await app.NewPerson(name);
        return (owner, await app.NewProject(owner, name + " project"));
    }
}
