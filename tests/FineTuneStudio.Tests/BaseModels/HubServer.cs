using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using FineTuneStudio.BaseModels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace FineTuneStudio.Tests.BaseModels;

/// A model hub and the store of its large files, two real servers that speak the hub's HTTP layout, with faults to switch on.
public sealed class HubServer : IAsyncDisposable
{
    public sealed record Asked(bool ByHub, string Path, string? Authorization, string? Range, int Status);

    public const string Commit = "0123456789abcdef0123456789abcdef01234567", Token = "hf_SecretOfTheTest";
    private readonly WebApplication hub, store;
    private int cuts;

    public string Url => hub.Urls.First();
    public string StoreUrl => store.Urls.First();
    public ConcurrentQueue<Asked> Log { get; } = new();
    public Dictionary<string, byte[]> Files { get; }
    public HashSet<string> Large { get; } = ["model.safetensors"];

    /// Model names that are there; one of them may be gated or private.
    public string Name { get; set; } = "team/bert-tiny";
    public string? OldName { get; set; }
    public bool IsGated { get; set; }
    public bool IsPrivate { get; set; }
    /// How many answers of the store end after CutAfter bytes.
    public int Cuts { set => cuts = value; }
    public int CutAfter { get; set; } = 300_000;
    public int TamperedAnswers;
    public TimeSpan PauseBetweenChunks { get; set; }
    public Func<string, string>? StoreAddress { get; set; }
    public bool KnowsRanges { get; set; } = true;
    public string? ListedInstead { get; set; }
    public object? ExtraSibling { get; set; }

    private HubServer(string folder)
    {
        Files = Directory.EnumerateFiles(folder).ToDictionary(f => Path.GetFileName(f)!, File.ReadAllBytes);
        (hub, store) = (Server(), Server());
        hub.MapGet("/api/models/{owner}/{name}/revision/{revision}", Describe);
        hub.MapGet("/{owner}/{name}/resolve/{commit}/{file}", Resolve);
        store.MapGet("/blobs/{sha256}", Send);
    }

    public static async Task<HubServer> Start(string folder)
    {
        var server = new HubServer(folder);
        await server.hub.StartAsync();
        await server.store.StartAsync();
        return server;
    }

    private static WebApplication Server()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        return builder.Build();
    }

    private IResult Describe(string owner, string name, string revision, HttpContext http)
    {
        if ($"{owner}/{name}" == OldName) return Note(http, Results.Redirect($"/api/models/{Name}/revision/{revision}?blobs=true", preserveMethod: true), 307);
        if (Refused(http, $"{owner}/{name}") is { } refused) return refused;
        if (Uri.UnescapeDataString(revision) is not ("main" or "refs/pr/1" or Commit)) return Refuse(http, 404, "RevisionNotFound");
        if (ListedInstead is not null) return Note(http, Results.Text(ListedInstead), 200);
        var siblings = Files.Select(f => (object)(Large.Contains(f.Key)
            ? new { rfilename = f.Key, size = f.Value.LongLength, blobId = GitHash([1]), lfs = new { sha256 = Sha256(f.Value), size = f.Value.LongLength, pointerSize = 134 } }
            : new { rfilename = f.Key, size = f.Value.LongLength, blobId = GitHash(f.Value) }));
        return Note(http, Results.Json(new
        {
            id = Name, sha = Commit, gated = IsGated ? (object)"manual" : false, cardData = new { license = "apache-2.0" },
            siblings = siblings.Append(new { rfilename = "onnx/model.onnx", size = 1L << 40, blobId = GitHash([2]) }).Concat(ExtraSibling is null ? [] : [ExtraSibling]),
        }), 200);
    }

    private async Task Resolve(string owner, string name, string commit, string file, HttpContext http)
    {
        if (Refused(http, $"{owner}/{name}") is { } refused) { await refused.ExecuteAsync(http); return; }
        if (IsGated && http.Request.Headers.Authorization != $"Bearer {Token}") { await Refuse(http, 403, "GatedRepo").ExecuteAsync(http); return; }
        if (commit != Commit || !Files.TryGetValue(file, out var bytes)) { await Refuse(http, 404, "EntryNotFound").ExecuteAsync(http); return; }
        http.Response.Headers["X-Repo-Commit"] = Commit;
        if (Large.Contains(file))
        {
            var address = $"{StoreUrl}/blobs/{Sha256(bytes)}";
            await Note(http, Results.Redirect(StoreAddress?.Invoke(address) ?? address), 302).ExecuteAsync(http);
            return;
        }
        http.Response.Headers.ETag = $"\"{GitHash(bytes)}\"";
        await Write(http, bytes, byHub: true);
    }

    private Task Send(string sha256, HttpContext http) => Write(http, Files.Values.Single(f => Sha256(f) == sha256), byHub: false);

    private async Task Write(HttpContext http, byte[] bytes, bool byHub)
    {
        var from = KnowsRanges && http.Request.Headers.Range is [{ } range] ? int.Parse(range["bytes=".Length..^1]) : 0;
        http.Response.StatusCode = from > 0 ? 206 : 200;
        if (from > 0) http.Response.Headers.ContentRange = $"bytes {from}-{bytes.Length - 1}/{bytes.Length}";
        http.Response.ContentLength = bytes.Length - from;
        Note(http, null, http.Response.StatusCode, byHub);
        if (!byHub && Interlocked.Decrement(ref TamperedAnswers) >= 0) { bytes = [.. bytes]; bytes[^1] ^= 1; }
        var until = !byHub && Interlocked.Decrement(ref cuts) >= 0 ? Math.Min(bytes.Length, from + CutAfter) : bytes.Length;
        for (var at = from; at < until; at += 65_536)
        {
            await http.Response.Body.WriteAsync(bytes.AsMemory(at, Math.Min(65_536, until - at)), http.RequestAborted);
            if (!byHub && PauseBetweenChunks > TimeSpan.Zero) { await http.Response.Body.FlushAsync(http.RequestAborted); await Task.Delay(PauseBetweenChunks, http.RequestAborted); }
        }
        if (until < bytes.Length) { await http.Response.Body.FlushAsync(); http.Abort(); }
    }

    private IResult? Refused(HttpContext http, string name)
    {
        var token = http.Request.Headers.Authorization.ToString();
        if (token.Length > 0 && token != $"Bearer {Token}") { http.Response.Headers["X-Error-Message"] = "Invalid credentials in Authorization header"; return Refuse(http, 401, null); }
        return name != Name || IsPrivate && token.Length == 0 ? Refuse(http, token.Length == 0 ? 401 : 404, "RepoNotFound") : null;
    }

    private IResult Refuse(HttpContext http, int status, string? code)
    {
        if (code is not null) http.Response.Headers["X-Error-Code"] = code;
        return Note(http, Results.StatusCode(status), status);
    }

    private IResult Note(HttpContext http, IResult? result, int status, bool byHub = true)
    {
        var headers = http.Request.Headers;
        Log.Enqueue(new(byHub, http.Request.Path, headers.Authorization.FirstOrDefault(), headers.Range.FirstOrDefault(), status));
        return result!;
    }

    /// The files as an import keeps the hub's list of them.
    public IReadOnlyList<HubFile> Listed() => [.. Files.OrderBy(f => f.Value.Length).Select(f => new HubFile(f.Key, f.Value.Length, Large.Contains(f.Key) ? Sha256(f.Value) : GitHash(f.Value)))];

    private static string Sha256(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static string GitHash(byte[] bytes) => Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {bytes.Length}\0"), .. bytes]));

    public async ValueTask DisposeAsync()
    {
        foreach (var server in new[] { hub, store })
        {
            using var now = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
            try { await server.StopAsync(now.Token); } catch (OperationCanceledException) { }
            await server.DisposeAsync();
        }
    }
}
