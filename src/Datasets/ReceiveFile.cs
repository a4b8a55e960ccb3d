using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

public sealed class UploadRefused(string message, long? offset = null) : Exception(message)
{
    /// Where the upload goes on, when that is the matter.
    public long? Offset { get; } = offset;
}

/// Takes a file in chunks. What is acknowledged is on the disk and recorded: a killed server, a closed browser or a lost connection costs at most one chunk.
public sealed class ReceiveFile(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, IConfiguration configuration, TimeProvider clock)
{
    public const int ChunkBytes = 16 << 20;
    /// What one hash of a Place covers; upload.js compares blocks of the same size.
    public const int BlockBytes = 4 << 20;
    private static readonly ConcurrentDictionary<int, SemaphoreSlim> Turns = new();

    /// Blocks are the SHA-256 hashes, in lower hexadecimal, of the whole blocks that are here already; only Begin gives them.
    public sealed record Place(int Id, long Offset, long Size, IReadOnlyList<string>? Blocks = null);

    public long MaxBytes => configuration.GetValue("Uploads:MaxBytes", 2147483648L);

    /// Begins an upload, or finds the unfinished one of the same person, name, size and first bytes. A file can be edited behind its first
    /// bytes and keep its size: who goes on compares the blocks, and sends again from the first that differs, where Append refuses it.
    [Needs(Permission.UploadData)]
    public async Task<Place> Begin(string projectId, string fileName, long size, byte[] head, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UploadData, cancel);
        fileName = Path.GetFileName(fileName.Replace('\\', '/')).Trim();
        if (fileName.Length == 0) throw new UploadRefused("The file has no name; choose a file with a name.");
        if (size <= 0) throw new UploadRefused($"“{fileName}” is empty: it has no byte at all.");
        if (size > MaxBytes) throw new UploadRefused($"“{fileName}” has {Bytes(size)}; at most {Bytes(MaxBytes)} are taken. Split it, or raise Uploads:MaxBytes in appsettings.json.");
        await using var db = await databases.CreateDbContextAsync(cancel);
        var unfinished = await db.Imports.AsNoTracking().Where(i => i.ProjectId == projectId && i.CreatedById == pass.UserId && i.State == ImportState.Receiving && i.FileName == fileName && i.Size == size)
            .OrderByDescending(i => i.Id).ToListAsync(cancel);
        foreach (var import in unfinished)
            if (await SameHead(PathOf(import), import.Received, head, cancel)) return new(import.Id, import.Received, size, await Blocks(PathOf(import), import.Received, cancel));
        // The file itself, and its rows in the database with their indexes.
        if (new DriveInfo(folder.Uploads).AvailableFreeSpace is var free && free < 2 * size + (256L << 20))
            throw new UploadRefused($"The server has {Bytes(free)} free; “{fileName}” needs about {Bytes(2 * size + (256L << 20))} for the file and its rows. Make room on the server first.");
        var begun = new Import
        {
            ProjectId = projectId, FileName = DataLimits.Clip(fileName, 200), Size = size, Received = 0, State = ImportState.Receiving,
            StoredAs = Guid.NewGuid().ToString("N"), CreatedById = pass.UserId, CreatedAt = clock.GetUtcNow().UtcDateTime,
        };
        db.Imports.Add(begun);
        await db.SaveChangesAsync(cancel);
        return new(begun.Id, 0, size);
    }

    [Needs(Permission.UploadData)]
    public async Task<Place> Where(string projectId, int importId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.UploadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var import = await Find(db, projectId, importId, cancel);
        return new(import.Id, import.Received, import.Size);
    }

    /// Appends a chunk. It may begin before what is here already; what overlaps must be the same bytes.
    [Needs(Permission.UploadData)]
    public async Task<Place> Append(string projectId, int importId, long offset, Stream chunk, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.UploadData, cancel);
        var turn = Turns.GetOrAdd(importId, _ => new SemaphoreSlim(1));
        await turn.WaitAsync(cancel);
        try
        {
            await using var db = await databases.CreateDbContextAsync(cancel);
            var import = await Find(db, projectId, importId, cancel);
            if (import.State != ImportState.Receiving) throw new UploadRefused($"“{import.FileName}” is {import.State.ToString().ToLowerInvariant()}; nothing more is taken for it.", import.Received == import.Size ? import.Size : null);
            if (offset < 0 || offset > import.Received) throw new UploadRefused($"The chunk begins at byte {offset}, but {import.Received} bytes are here; go on from there.", import.Received);
            var received = await Write(PathOf(import), import, offset, chunk, cancel);
            // Whoever discards the file does not wait for a chunk; what is given up stays so.
            var kept = await db.Imports.Where(i => i.Id == importId && i.State == ImportState.Receiving).ExecuteUpdateAsync(s => s.SetProperty(i => i.Received, received)
                .SetProperty(i => i.State, received == import.Size ? ImportState.Received : ImportState.Receiving), cancel);
            if (kept == 0) throw new UploadRefused($"“{import.FileName}” was discarded while it was sent; nothing more is taken for it.");
            return new(importId, received, import.Size);
        }
        finally { turn.Release(); }
    }

    /// Gives up a file that is not imported, and removes it from the disk.
    [Needs(Permission.UploadData)]
    public async Task Discard(string projectId, int importId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.UploadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var import = await Find(db, projectId, importId, cancel);
        var changed = await db.Imports.Where(i => i.Id == importId && (i.State == ImportState.Receiving || i.State == ImportState.Received || i.State == ImportState.Failed))
            .ExecuteUpdateAsync(s => s.SetProperty(i => i.State, ImportState.Cancelled), cancel);
        if (changed == 0) throw new UploadRefused($"“{import.FileName}” is {import.State.ToString().ToLowerInvariant()} and cannot be discarded.");
        // A chunk on its way still writes; the file goes when it has ended.
        var turn = Turns.GetOrAdd(importId, _ => new SemaphoreSlim(1));
        await turn.WaitAsync(CancellationToken.None);
        try { File.Delete(PathOf(import)); }
        finally { turn.Release(); }
    }

    internal string PathOf(Import import) => Path.Combine(folder.Uploads, import.StoredAs);

    internal static string Bytes(long n) => n switch
    {
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{n / (double)(1L << 30):0.##} GB"),
        >= 1L << 20 => string.Create(CultureInfo.InvariantCulture, $"{n / (double)(1L << 20):0.#} MB"),
        >= 1L << 10 => string.Create(CultureInfo.InvariantCulture, $"{n / (double)(1L << 10):0.#} kB"),
        _ => $"{n} bytes",
    };

    private static async Task<Import> Find(StudioDb db, string projectId, int importId, CancellationToken cancel) =>
        await db.Imports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == importId && i.ProjectId == projectId, cancel)
        ?? throw new UploadRefused($"There is no upload {importId} in this project; begin it again.");

    private static async Task<long> Write(string path, Import import, long offset, Stream chunk, CancellationToken cancel)
    {
        await using var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 1 << 16);
        if (file.Length < import.Received) throw new UploadRefused($"The server lost a part of “{import.FileName}”; discard it and upload it again.");
        // Bytes beyond what was recorded come from a chunk that was cut off: they are not trusted.
        file.SetLength(import.Received);
        file.Position = offset;
        var buffer = new byte[1 << 17];
        var here = new byte[1 << 17];
        for (int read; (read = await chunk.ReadAsync(buffer, cancel)) > 0;)
        {
            if (file.Position + read > import.Size) throw new UploadRefused($"More bytes came than the {import.Size} of “{import.FileName}”; the file changed while it was sent. Discard it and upload it again.");
            var known = (int)Math.Clamp(import.Received - file.Position, 0, read);
            if (known > 0)
            {
                await file.ReadExactlyAsync(here.AsMemory(0, known), cancel);
                if (!here.AsSpan(0, known).SequenceEqual(buffer.AsSpan(0, known)))
                    throw new UploadRefused($"This is not the “{import.FileName}” whose upload began: its bytes differ. Discard the unfinished one and upload this.");
            }
            await file.WriteAsync(buffer.AsMemory(known, read - known), cancel);
        }
        file.Flush(flushToDisk: true);
        return file.Length;
    }

    private static async Task<IReadOnlyList<string>?> Blocks(string path, long received, CancellationToken cancel)
    {
        if (received < BlockBytes) return null;
        var hashes = new List<string>();
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 0);
        var block = new byte[BlockBytes];
        for (var end = (long)BlockBytes; end <= received && await file.ReadAtLeastAsync(block, BlockBytes, throwOnEndOfStream: false, cancel) == BlockBytes; end += BlockBytes)
            hashes.Add(Convert.ToHexStringLower(SHA256.HashData(block)));
        return hashes;
    }

    private static async Task<bool> SameHead(string path, long received, byte[] head, CancellationToken cancel)
    {
        var length = (int)Math.Min(received, head.Length);
        if (length == 0) return true;
        if (!File.Exists(path)) return false;
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var here = new byte[length];
        return await file.ReadAtLeastAsync(here, length, throwOnEndOfStream: false, cancel) == length && here.AsSpan().SequenceEqual(head.AsSpan(0, length));
    }
}
