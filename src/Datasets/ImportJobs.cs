using System.Collections.Concurrent;
using System.Threading.Channels;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

/// Runs imports one after the other, off the request threads. What was under way when the server stopped is done again from the start.
public sealed class ImportJobs(IDbContextFactory<StudioDb> databases, IServiceScopeFactory scopes, ILogger<ImportJobs> log) : BackgroundService
{
    private readonly Channel<int> queue = Channel.CreateUnbounded<int>();
    private readonly ConcurrentDictionary<int, CancellationTokenSource> cancels = new();
    private readonly ConcurrentDictionary<int, ImportProgress> progress = new();

    internal void Enqueue(int importId) => queue.Writer.TryWrite(importId);

    internal ImportProgress? Of(int importId) => progress.GetValueOrDefault(importId);

    /// True where it was running and has been told to stop.
    internal bool Cancel(int importId)
    {
        if (!cancels.TryGetValue(importId, out var source)) return false;
        try { source.Cancel(); } catch (ObjectDisposedException) { return false; }
        return true;
    }

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        await DatabaseWaits.Insist(Recover, log, "finding the imports that were cut off", stopping);
        await foreach (var id in queue.Reader.ReadAllAsync(stopping))
            // Whatever happens to one import, the server and the next one go on.
            try { await Run(id, stopping); }
            catch (Exception e) when (!stopping.IsCancellationRequested) { log.LogError(e, "Import {Import} could not be marked as ended; the next start of the server does it again", id); }

        async Task Recover()
        {
            await using var db = await databases.CreateDbContextAsync(stopping);
            foreach (var id in await db.Imports.Where(i => i.State == ImportState.Importing).OrderBy(i => i.Id).Select(i => i.Id).ToListAsync(stopping)) Enqueue(id);
        }
    }

    private async Task Run(int importId, CancellationToken stopping)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        cancels[importId] = cancel;
        try
        {
            await using (var db = await databases.CreateDbContextAsync(stopping))
                if (!await db.Imports.AnyAsync(i => i.Id == importId && i.State == ImportState.Importing, stopping)) return;
            await using var scope = scopes.CreateAsyncScope();
            await Task.Run(() => scope.ServiceProvider.GetRequiredService<WriteVersion>()
                .Handle(importId, null, (share, accepted, rejected) => progress[importId] = new(share, accepted, rejected), cancel.Token), stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested) { }
        catch (OperationCanceledException) { await Stop(importId, stopping, ImportState.Received, "The import was stopped; nothing of it was kept. It can be started again."); }
        catch (DataFileException e) { await Stop(importId, stopping, ImportState.Failed, e.Message); }
        catch (Exception e)
        {
            log.LogError(e, "Import {Import} failed", importId);
            await Stop(importId, stopping, ImportState.Failed, $"The import failed on the server ({e.GetType().Name}: {e.Message}); nothing of it was kept.");
        }
        finally
        {
            cancels.TryRemove(importId, out _);
            progress.TryRemove(importId, out _);
        }
    }

    private Task Stop(int importId, CancellationToken stopping, ImportState state, string sentence) => DatabaseWaits.Insist(async () =>
    {
        await using var scope = scopes.CreateAsyncScope();
        await scope.ServiceProvider.GetRequiredService<WriteVersion>().Sweep(importId, CancellationToken.None, keepRejected: state == ImportState.Failed);
        await using var db = await databases.CreateDbContextAsync();
        await db.Imports.Where(i => i.Id == importId).ExecuteUpdateAsync(s => s.SetProperty(i => i.State, state).SetProperty(i => i.Problem, sentence).SetProperty(i => i.VersionId, (int?)null));
    }, log, $"the end of import {importId}", stopping);
}

public sealed record ImportProgress(double Share, int Accepted, int Rejected);
