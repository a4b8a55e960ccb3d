using System.Net;
using System.Security.Cryptography;
using FineTuneStudio.Ui;

namespace FineTuneStudio.BaseModels;

/// One file of the hub into a folder. It goes on from the bytes that are there, and has its name only when its hash is the one that the hub listed.
public sealed class DownloadHubFile(HubConnection hub, HubSettings settings, TimeProvider clock)
{
    private const int MostTries = 6;

    /// The bytes of a file that are in the folder already.
    internal static long Here(string folder, HubFile file)
    {
        if (File.Exists(Path.Combine(folder, file.Name))) return file.Size;
        var part = new FileInfo(Part(folder, file));
        return part.Exists ? Math.Min(part.Length, file.Size) : 0;
    }

    /// Moved is told the bytes of this file that are here. Throws ModelRefused, or HubInterrupted where it can go on later.
    internal async Task To(string folder, HubImport import, HubFile file, string? token, Action<long> moved, CancellationToken cancel)
    {
        if (File.Exists(Path.Combine(folder, file.Name))) return;
        Directory.CreateDirectory(folder);
        for (var tries = 1; ; tries++)
        {
            await Fetch(Part(folder, file), import, file, token, moved, cancel);
            var found = await HashOf(Part(folder, file), file, cancel);
            if (found == file.Hash) break;
            File.Delete(Part(folder, file));
            moved(0);
            if (tries == 2)
                throw new ModelRefused($"“{file.Name}” came twice with other bytes than {settings.Endpoint.Host} lists: the {(file.IsLarge ? "SHA-256" : "git hash")} is {found[..12]}…, expected {file.Hash[..12]}…. Something between the hub and this server changes it; nothing was imported.");
        }
        File.Move(Part(folder, file), Path.Combine(folder, file.Name));
    }

    private async Task Fetch(string part, HubImport import, HubFile file, string? token, Action<long> moved, CancellationToken cancel)
    {
        for (int failures = 0; ;)
        {
            var before = File.Exists(part) ? new FileInfo(part).Length : 0;
            if (before == file.Size && File.Exists(part)) return;
            if (before > file.Size) { File.Delete(part); before = 0; }
            try { await Append(part, before, import, file, token, moved, cancel); return; }
            catch (IOException e) when ((e.HResult & 0xffff) is 28 or 0x70) // ENOSPC, ERROR_DISK_FULL
            {
                throw new HubInterrupted("The disk of this server is full. What is downloaded is kept; free some space, then continue.");
            }
            catch (Exception e) when (e is IOException or HttpRequestException && !cancel.IsCancellationRequested)
            {
                var here = File.Exists(part) ? new FileInfo(part).Length : 0;
                failures = here > before ? 1 : failures + 1;
                if (failures == MostTries)
                    throw new HubInterrupted($"The download of “{file.Name}” was cut off at {Say.Bytes(here)} of {Say.Bytes(file.Size)} ({HubRefusal.Why(e)}), and {MostTries} tries did not bring more. What is here is kept; continue when {settings.Endpoint.Host} can be reached.");
                await Task.Delay(settings.Pause * (1 << failures - 1), clock, cancel);
            }
        }
    }

    private async Task Append(string part, long from, HubImport import, HubFile file, string? token, Action<long> moved, CancellationToken cancel)
    {
        using var answer = await hub.Get($"/{import.Repository}/resolve/{import.Commit}/{Uri.EscapeDataString(file.Name)}", token, from, file.IsLarge, cancel);
        if (answer.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable) { File.Delete(part); throw new IOException("the hub does not go on from there"); }
        if (!answer.IsSuccessStatusCode) throw HubRefusal.Of(answer, settings.Endpoint, import.Repository, file.Name, token is not null);
        // A store that cannot go on from the middle sends everything anew.
        if (answer.StatusCode != HttpStatusCode.PartialContent) from = 0;
        else if (answer.Content.Headers.ContentRange?.From != from) throw new IOException("the hub sent another part of the file than the one asked for");
        await using var body = await answer.Content.ReadAsStreamAsync(cancel);
        await using var to = new FileStream(part, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read);
        to.SetLength(from);
        to.Position = from;
        var buffer = new byte[1 << 17];
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        while (from < file.Size)
        {
            silence.CancelAfter(settings.Silence);
            int read;
            // Never more than was listed: the hash says whether it was all.
            try { read = await body.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, file.Size - from)), silence.Token); }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested) { throw new IOException($"nothing came for {settings.Silence.TotalSeconds:0} seconds"); }
            if (read == 0) throw new IOException("the connection ended early");
            await to.WriteAsync(buffer.AsMemory(0, read), cancel);
            moved(from += read);
        }
        to.Flush(flushToDisk: true);
    }

    private static async Task<string> HashOf(string path, HubFile file, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(file.IsLarge ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        if (!file.IsLarge) hash.AppendData(System.Text.Encoding.ASCII.GetBytes($"blob {file.Size}\0"));
        await using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        var buffer = new byte[1 << 20];
        for (int read; (read = await stream.ReadAsync(buffer, cancel)) > 0;) hash.AppendData(buffer, 0, read);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static string Part(string folder, HubFile file) => Path.Combine(folder, file.Name + ".part");
}
