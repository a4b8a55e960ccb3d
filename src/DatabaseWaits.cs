using Microsoft.Data.Sqlite;

namespace FineTuneStudio;

/// How long work in the background bears a database that cannot be written: locked by another program, or on a full disk.
public sealed class DatabaseWaits(IConfiguration configuration)
{
    /// How long one statement waits for a lock, in whole seconds.
    public int LockSeconds { get; } = configuration.GetValue("Database:LockSeconds", 30);

    /// How long a run waits until its numbers can be written before it is interrupted.
    public TimeSpan Patience { get; } = TimeSpan.FromSeconds(configuration.GetValue("Database:PatienceSeconds", 600));

    internal static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// Whether it may go away by itself or by freeing space, so that the same work can succeed later.
    internal static bool MayPass(Exception fault)
    {
        for (Exception? e = fault; e is not null; e = e.InnerException)
            // Busy, locked, out of memory, read-only, input or output, full, cannot open: https://www.sqlite.org/rescode.html
            if (e is SqliteException { SqliteErrorCode: 5 or 6 or 7 or 8 or 10 or 13 or 14 }) return true;
        return false;
    }

    /// Does it again until the database takes it or the server stops; any other fault goes out at once.
    internal static async Task Insist(Func<Task> write, ILogger log, string what, CancellationToken stopping)
    {
        for (var told = false; ; told = true)
            try { await write(); return; }
            catch (Exception e) when (MayPass(e))
            {
                if (!told) log.LogWarning(e, "The database cannot be written at the moment; this is tried again until it can: {What}", what);
                await Task.Delay(Pause, stopping);
            }
    }
}
