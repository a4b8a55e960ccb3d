using FineTuneStudio.Ui;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Shell;

/// Brings the database to this version in a copy beside it that takes its place when it is whole. One migration can be several transactions to SQLite,
/// and a kill between two of them would leave what no version can read.
internal static class UpgradeDatabase
{
    internal static string CopyOf(string file) => file + ".upgrade";

    /// Writes nothing where nothing is to be done, so that a full disk or a lock keeps nobody from the pages that free space.
    /// Throws DatabaseNotUpgraded with a sentence; the database is then as it was.
    internal static async Task Run(string file, int lockSeconds)
    {
        // Where the name is a link, what it leads to is replaced, and not the link.
        if (File.Exists(file) && File.ResolveLinkTarget(file, returnFinalTarget: true) is { } target) file = target.FullName;
        if (!await IsBehind(file, lockSeconds)) return;
        var copy = CopyOf(file);
        try
        {
            using var alone = Alone(file, copy + ".lock");
            // Another server may have done it since.
            if (!await IsBehind(file, lockSeconds)) return;
            try { await Replace(file, copy, lockSeconds); }
            finally { Discard(copy); }
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException) { throw new DatabaseNotUpgraded(Sentence(file, e), e); }
    }

    internal static string Sentence(string file, Exception fault)
    {
        // The copy, and at most every table once more while it is made anew.
        var room = 2 * (File.Exists(file) ? new FileInfo(file).Length : 0) + (16L << 20);
        return $"The database {file} could not be brought to this version and is as it was: " + fault switch
        {
            SqliteException { SqliteErrorCode: 13 } => $"the disk is full. It is done in a copy, for which {Say.Bytes(room)} must be free; {Say.Bytes(new DriveInfo(Path.GetDirectoryName(file)!).AvailableFreeSpace)} are. Free what is missing and start again.",
            SqliteException { SqliteErrorCode: 5 or 6 } => "another program has it open. Stop that program and start again.",
            _ => fault.Message,
        };
    }

    private static async Task Replace(string file, string copy, int lockSeconds)
    {
        var exists = File.Exists(file);
        await using (var old = Open(file, lockSeconds))
        {
            if (exists)
            {
                await old.Database.OpenConnectionAsync();
                // Takes in the -wal and deletes it, because it must never meet another database; fails where any other program has this one open.
                await old.Database.ExecuteSqlRawAsync("PRAGMA journal_mode=DELETE");
                // From here to the end nobody else writes what the copy would lack.
                await old.Database.ExecuteSqlRawAsync("PRAGMA main.locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
            }
            Discard(copy);
            if (exists) await old.Database.ExecuteSqlRawAsync("VACUUM INTO {0}", copy);
            await using var made = Open(copy, lockSeconds);
            // A server that was killed while it migrated left its mark, for which the next would wait for ever.
            if (exists) await made.Database.ExecuteSqlRawAsync("DROP TABLE IF EXISTS \"__EFMigrationsLock\"");
            await made.Database.MigrateAsync();
            await made.Database.ExecuteSqlRawAsync("PRAGMA journal_mode=DELETE");
        }
        if (new[] { file, copy }.SelectMany(Rest).FirstOrDefault(File.Exists) is { } rest) throw new IOException($"{rest} is still there, which another program holds.");
        if (exists && !OperatingSystem.IsWindows()) File.SetUnixFileMode(copy, File.GetUnixFileMode(file));
        File.Move(copy, file, overwrite: true);
    }

    private static async Task<bool> IsBehind(string file, int lockSeconds)
    {
        await using var db = Open(file, lockSeconds);
        return (await db.Database.GetPendingMigrationsAsync()).Any();
    }

    // Without a pool, so that a file is closed when its context is.
    private static StudioDb Open(string file, int lockSeconds) =>
        new(new DbContextOptionsBuilder<StudioDb>().UseSqlite(new SqliteConnectionStringBuilder { DataSource = file, ForeignKeys = true, DefaultTimeout = lockSeconds, Pooling = false }.ToString()).Options);

    private static string[] Rest(string file) => [file + "-wal", file + "-journal"];

    private static void Discard(string copy)
    {
        foreach (var part in new[] { copy, copy + "-shm" }.Concat(Rest(copy))) File.Delete(part);
    }

    private static FileStream Alone(string file, string locked)
    {
        try { return new(locked, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 1, FileOptions.DeleteOnClose); }
        catch (IOException e) when (File.Exists(locked)) { throw new DatabaseNotUpgraded($"Another server brings the database {file} to this version at the moment; start this one when that is done.", e); }
    }
}

public sealed class DatabaseNotUpgraded(string message, Exception inner) : Exception(message, inner);
