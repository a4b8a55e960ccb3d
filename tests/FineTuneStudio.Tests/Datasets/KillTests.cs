using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using FineTuneStudio.Datasets;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Datasets;

[Trait("Cost", "Slow")]
public sealed class KillTests
{
    private const int Chunk = 1 << 20;
    private string api = "";

    [Fact]
    public async Task A_server_killed_in_the_middle_of_an_upload_goes_on_with_every_acknowledged_byte()
    {
        await using var server = new ServerToKill();
        await server.Start();
        var (user, project) = await server.NewOwner("killed-upload");
        var file = new byte[5 * Chunk + 12_345];
        new Random(7).NextBytes(file);
        var http = await server.SignIn(user.Email!);
        var place = await Begin(http, project.Id, file);
        foreach (var n in new[] { 0, 1 }) place = await Send(http, place, file.AsMemory(n * Chunk, Chunk));
        Assert.Equal(2 * Chunk, place.Offset);

        var half = new HalfSent(file[(2 * Chunk)..(3 * Chunk)]);
        using var gone = new CancellationTokenSource();
        var cut = http.PutAsync($"{api}/{place.Id}?offset={place.Offset}", half, gone.Token);
        await half.Sent.WaitAsync(TimeSpan.FromSeconds(30));
        await Task.Delay(200);
        await server.Kill();
        gone.Cancel();
        await Assert.ThrowsAnyAsync<Exception>(() => cut);

        await server.Start();
        var again = await Begin(http, project.Id, file);
        Assert.Equal(place, again);
        while (again.Offset < file.Length) again = await Send(http, again, file.AsMemory((int)again.Offset, (int)Math.Min(Chunk, file.Length - again.Offset)));

        await using var db = server.Db;
        var import = await db.Imports.AsNoTracking().SingleAsync();
        Assert.Equal((ImportState.Received, (long)file.Length), (import.State, import.Received));
        await using var stored = File.OpenRead(Path.Combine(server.Folder, "uploads", import.StoredAs));
        Assert.Equal(Convert.ToHexString(SHA256.HashData(file)), Convert.ToHexString(await SHA256.HashDataAsync(stored)));
    }

    [Fact]
    public async Task A_server_killed_in_the_middle_of_an_import_does_it_again_and_shows_no_half_version()
    {
        const int rows = 60_000;
        await using var server = new ServerToKill();
        await server.Start();
        var (user, project) = await server.NewOwner("killed-import");
        var http = await server.SignIn(user.Email!);
        var text = new StringBuilder("text,label\n");
        for (var i = 0; i < rows; i++) text.Append("this is message ").Append(i).Append(i % 1000 == 0 ? ",\n" : i % 2 == 0 ? ",even\n" : ",odd\n");
        text.Append(" ,odd\n");
        var file = Encoding.UTF8.GetBytes(text.ToString());
        for (var place = await Begin(http, project.Id, file); place.Offset < file.Length;) place = await Send(http, place, file.AsMemory((int)place.Offset, (int)Math.Min(8 * Chunk, file.Length - place.Offset)));
        await server.Kill();
        await using (var db = server.Db)
        {
            var (format, mapping) = (new FileFormat(FileKind.Delimited, "utf-8").ToJson(), new ColumnMapping([new("text", ColumnRole.Text), new("label", ColumnRole.Label)]).ToJson());
            await db.Imports.ExecuteUpdateAsync(s => s.SetProperty(i => i.State, ImportState.Importing).SetProperty(i => i.FormatJson, format).SetProperty(i => i.MappingJson, mapping));
        }

        await server.Start();
        await Until(async db => await db.VersionRows.CountAsync() >= 4000);
        await server.Kill();
        await using (var db = server.Db)
        {
            Assert.InRange(await db.VersionRows.CountAsync(), 4000, rows - 1);
            Assert.Empty(await db.Versions.AsNoTracking().ToListAsync());
            Assert.Equal(ImportState.Importing, (await db.Imports.AsNoTracking().SingleAsync()).State);
        }

        await server.Start();
        await Until(async db => await db.Imports.AnyAsync(i => i.State == ImportState.Imported));
        await using (var db = server.Db)
        {
            var version = await db.Versions.AsNoTracking().SingleAsync();
            Assert.Equal((rows, rows - 60), (version.RowCount, version.LabeledCount));
            Assert.Equal(rows, await db.VersionRows.CountAsync());
            Assert.Equal(rows, await db.Rows.CountAsync());
            Assert.Equal(1, await db.RejectedRows.CountAsync());
            Assert.Single(await db.Events.AsNoTracking().Where(e => e.ProjectId == project.Id).ToListAsync());
        }

        async Task Until(Func<StudioDb, Task<bool>> done)
        {
            for (var deadline = DateTime.UtcNow.AddSeconds(120); ; await Task.Delay(15))
            {
                await using var db = server.Db;
                if (await done(db)) return;
                Assert.True(DateTime.UtcNow < deadline, "The import did not come so far in two minutes.");
            }
        }
    }

    private async Task<ReceiveFile.Place> Begin(HttpClient http, string project, byte[] file)
    {
        api = $"/api/p/{project}/imports";
        var answer = await http.PostAsync($"{api}?name=messages.csv&size={file.Length}", new ByteArrayContent(file, 0, Math.Min(file.Length, 1 << 16)));
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        return (await answer.Content.ReadFromJsonAsync<ReceiveFile.Place>())!;
    }

    private async Task<ReceiveFile.Place> Send(HttpClient http, ReceiveFile.Place place, ReadOnlyMemory<byte> chunk)
    {
        var answer = await http.PutAsync($"{api}/{place.Id}?offset={place.Offset}", new ReadOnlyMemoryContent(chunk));
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        return (await answer.Content.ReadFromJsonAsync<ReceiveFile.Place>())!;
    }

    /// Sends the first half of its bytes and then waits for ever.
    private sealed class HalfSent(byte[] bytes) : HttpContent
    {
        private readonly TaskCompletionSource sent = new();
        public Task Sent => sent.Task;

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, default);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancel)
        {
            await stream.WriteAsync(bytes.AsMemory(0, bytes.Length / 2), cancel);
            await stream.FlushAsync(cancel);
            sent.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancel);
        }

        protected override bool TryComputeLength(out long length) { length = bytes.Length; return true; }
    }
}
