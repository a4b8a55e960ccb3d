using System.Collections.Concurrent;
using System.Threading.Channels;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.BaseModels;

public sealed record HubProgress(long Bytes, long Total, double BytesPerSecond, string File)
{
    public TimeSpan? Left => BytesPerSecond >= 1 ? TimeSpan.FromSeconds(Math.Min((Total - Bytes) / BytesPerSecond, 1e7)) : null;
}

/// Downloads models from the hub one after the other, off the request threads. What was under way when the server stopped goes on from the
/// bytes that are on the disk; only where a token was needed somebody has to give it again, because it is kept nowhere but here in memory.
public sealed class HubDownloads(IDbContextFactory<StudioDb> databases, IServiceScopeFactory scopes, StudioFolder folder, DownloadHubFile download, HubSettings settings,
    TimeProvider clock, ILogger<HubDownloads> log) : BackgroundService
{
    private readonly Channel<int> queue = Channel.CreateUnbounded<int>();
    private readonly ConcurrentDictionary<int, CancellationTokenSource> cancels = new();
    private readonly ConcurrentDictionary<int, string> tokens = new();
    private readonly ConcurrentDictionary<int, HubProgress> progress = new();

    internal void Enqueue(int id, string? token)
    {
        if (token is not null) tokens[id] = token;
        queue.Writer.TryWrite(id);
    }

    internal HubProgress? Of(int id) => progress.GetValueOrDefault(id);

    /// The bytes of an import that are on the disk.
    internal long Here(HubImport import) => import.Files().Sum(f => DownloadHubFile.Here(Staging(import), f));

    /// For one that its owner gave up: stops it if it runs, and takes everything of it away.
    internal async Task GiveUp(int id, CancellationToken cancel)
    {
        if (cancels.TryGetValue(id, out var running))
            try { running.Cancel(); return; } catch (ObjectDisposedException) { }
        await Sweep(id, cancel);
    }

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        await DatabaseWaits.Insist(Recover, log, "finding the downloads that were cut off", stopping);
        await foreach (var id in queue.Reader.ReadAllAsync(stopping))
            // Whatever happens to one download, the server and the next one go on.
            try { await Run(id, stopping); }
            catch (Exception e) when (!stopping.IsCancellationRequested) { log.LogError(e, "Download {Download} could not be marked as ended; the next start of the server does it again", id); }

        async Task Recover()
        {
            await using var db = await databases.CreateDbContextAsync(stopping);
            foreach (var id in await db.HubImports.Where(i => i.State == HubImportState.Cancelled).Select(i => i.Id).ToListAsync(stopping)) await Sweep(id, stopping);
            foreach (var cut in await db.HubImports.AsNoTracking().Where(i => i.State == HubImportState.Downloading).OrderBy(i => i.Id).ToListAsync(stopping))
                if (!cut.NeedsToken) queue.Writer.TryWrite(cut.Id);
                else if (!tokens.ContainsKey(cut.Id)) await Stop(cut.Id, HubImportState.Interrupted, "The server was started anew, and it keeps access tokens nowhere. Give the token again to go on with what is already here.", true, stopping);
        }
    }

    private async Task Run(int id, CancellationToken stopping)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        cancels[id] = cancel;
        try
        {
            HubImport? import;
            await using (var db = await databases.CreateDbContextAsync(stopping))
                import = await db.HubImports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id, stopping);
            if (import?.State == HubImportState.Cancelled) throw new OperationCanceledException();
            if (import?.State != HubImportState.Downloading) return;
            await Download(import, cancel.Token);
            await using var scope = scopes.CreateAsyncScope();
            await scope.ServiceProvider.GetRequiredService<ImportBaseModel>().FromHub(import, Staging(import), cancel.Token);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested) { }
        catch (OperationCanceledException) { await Sweep(id, stopping); }
        catch (HubInterrupted e) { await Stop(id, HubImportState.Interrupted, e.Message, e.NeedsToken, stopping); }
        catch (ModelRefused e) { await Stop(id, HubImportState.Failed, e.Message, false, stopping); }
        catch (Exception e)
        {
            log.LogError(e, "Download {Download} failed", id);
            await Stop(id, HubImportState.Interrupted, $"The import was stopped on the server ({e.GetType().Name}: {e.Message.TrimEnd('.')}). What is downloaded is kept.", false, stopping);
        }
        finally
        {
            cancels.TryRemove(id, out _);
            tokens.TryRemove(id, out _);
            progress.TryRemove(id, out _);
        }
    }

    private async Task Download(HubImport import, CancellationToken cancel)
    {
        settings.RequireOpen();
        if (import.Hub != settings.Address) throw new ModelRefused($"This import was begun at {import.Hub}, and the hub of this server is now {settings.Address}. Begin it anew there.");
        var here = Here(import);
        settings.RequireRoom(import.Repository, import.Bytes - here);
        var token = tokens.GetValueOrDefault(import.Id);
        var (since, counted, speed) = (clock.GetTimestamp(), here, 0.0);
        foreach (var file in import.Files())
        {
            var others = here - DownloadHubFile.Here(Staging(import), file);
            Show(others + DownloadHubFile.Here(Staging(import), file));
            await download.To(Staging(import), import, file, token, moved => Show(others + moved), cancel);
            here = others + file.Size;

            void Show(long bytes)
            {
                var passed = clock.GetElapsedTime(since).TotalSeconds;
                if (passed >= 0.5)
                {
                    var rate = Math.Max(0, bytes - counted) / passed;
                    (since, counted, speed) = (clock.GetTimestamp(), bytes, speed == 0 ? rate : 0.7 * speed + 0.3 * rate);
                }
                progress[import.Id] = new(bytes, import.Bytes, speed, file.Name);
            }
        }
    }

    private Task Stop(int id, HubImportState state, string sentence, bool needsToken, CancellationToken stopping) => DatabaseWaits.Insist(async () =>
    {
        await using var db = await databases.CreateDbContextAsync(stopping);
        if (state == HubImportState.Failed && await db.HubImports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id, stopping) is { } failed) Discard(failed);
        var stopped = await db.HubImports.Where(i => i.Id == id && i.State == HubImportState.Downloading)
            .ExecuteUpdateAsync(s => s.SetProperty(i => i.State, state).SetProperty(i => i.Problem, sentence).SetProperty(i => i.NeedsToken, i => i.NeedsToken || needsToken), stopping);
        // Cancelled while it was failing by itself.
        if (stopped == 0) await Sweep(id, stopping);
    }, log, $"the end of download {id}", stopping);

    private Task Sweep(int id, CancellationToken stopping) => DatabaseWaits.Insist(async () =>
    {
        await using var db = await databases.CreateDbContextAsync(stopping);
        if (await db.HubImports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id && i.State == HubImportState.Cancelled, stopping) is not { } cancelled) return;
        Discard(cancelled);
        await db.HubImports.Where(i => i.Id == id).ExecuteDeleteAsync(stopping);
    }, log, $"the end of download {id}", stopping);

    private string Staging(HubImport import) => Path.Combine(folder.Uploads, import.StoredAs);

    private void Discard(HubImport import) { if (Directory.Exists(Staging(import))) Directory.Delete(Staging(import), recursive: true); }
}
