using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Texts as one row of token ids in a file, each document followed by an end token, read in blocks of equal length by their number. The file
/// is mapped and not loaded, is named after the text and the tokenizer that made it, and is made once for both: so a resumed run reads
/// what it read before. Safe to read from several threads.
/// </summary>
internal sealed unsafe partial class PackedIds : IDisposable
{
    /// <summary>Ahead of the ids: what the file is, bytes of an id, documents, tokens, and the key; all little-endian.</summary>
    private const int HeaderLength = 64;

    private const int DocumentsTogether = 512, CharactersTogether = 4_000_000;
    private static ReadOnlySpan<byte> Magic => "FTSIDS02"u8;

    private readonly MemoryMappedFile file;
    private readonly MemoryMappedViewAccessor view;
    private readonly byte* start;
    private readonly int idBytes;

    private PackedIds(string path, byte[] header)
    {
        (idBytes, Documents, Tokens) = (BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8)), BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(16)), BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(24)));
        Sha256 = Convert.ToHexStringLower(header.AsSpan(32));
        file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        start += view.PointerOffset + HeaderLength;
    }

    public long Documents { get; }

    /// <summary>Ids in all, an end token after each document included.</summary>
    public long Tokens { get; }

    /// <summary>SHA-256 of the texts, the tokenizer and the end token, lower-case hex.</summary>
    public string Sha256 { get; }

    /// <summary>Opens what is there for these texts and this tokenizer, or makes it.</summary>
    /// <param name="files">Text files as <see cref="TextDocuments"/> reads them; their order counts.</param>
    /// <param name="tokenizerFolder">The folder of the tokenizer.</param>
    /// <param name="endId">Put after each document that does not end with it.</param>
    /// <param name="special">Whether each document begins and ends with what the tokenizer adds to a text.</param>
    /// <param name="folder">Where packed files are kept; made if it is not there.</param>
    /// <exception cref="TrainingException">A text file is broken, or the texts are empty.</exception>
    public static PackedIds Open(IReadOnlyList<string> files, string tokenizerFolder, int endId, bool special, string folder, CancellationToken cancel = default)
    {
        var key = Key(files, tokenizerFolder, endId, special, cancel);
        var path = Path.Combine(folder, Convert.ToHexStringLower(key) + ".ids");
        if (ReadHeader(path, key) is not { } header)
        {
            Directory.CreateDirectory(folder);
            Write(path, key, files, Tokenizer.Load(tokenizerFolder), endId, special, cancel);
            // What changed while it was read would be kept under the name of what it was before.
            if (!Key(files, tokenizerFolder, endId, special, cancel).AsSpan().SequenceEqual(key))
            {
                File.Delete(path);
                throw new TrainingException("A text file or the tokenizer changed while it was read; start again when they stay as they are.");
            }
            header = ReadHeader(path, key)!;
        }
        return new(path, header);
    }

    /// <summary>
    /// Deletes from a folder what was packed of other texts, and what a killed process left half written. Nothing else in it is touched, nor
    /// what another process has open.
    /// </summary>
    /// <param name="kept">The <see cref="Sha256"/> of what stays.</param>
    public static void DeleteOthers(string folder, IReadOnlyCollection<string> kept)
    {
        foreach (var path in Directory.GetFiles(folder).Where(file => Name().Match(Path.GetFileName(file)) is { Success: true } name && !kept.Contains(name.Groups["key"].Value)))
            try
            {
                if (path.EndsWith(".ids") && !IsPacked(path)) continue;
                new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.None, 1, FileOptions.DeleteOnClose).Dispose();
            }
            catch (Exception held) when (held is IOException or UnauthorizedAccessException)
            {
            }
    }

    [GeneratedRegex(@"^(?<key>[0-9a-f]{64})\.ids(\.partial)?$")]
    private static partial Regex Name();

    /// <summary>Whether it begins as packed ids do, of any version of the form.</summary>
    private static bool IsPacked(string path)
    {
        using var stream = File.OpenRead(path);
        var begin = new byte[6];
        return stream.ReadAtLeast(begin, 6, throwOnEndOfStream: false) == 6 && begin.AsSpan().SequenceEqual(Magic[..6]);
    }

    /// <summary>How many blocks of a length there are; what is left at the end is in none.</summary>
    public long Blocks(int length) => Tokens / length;

    /// <summary>The ids of a block.</summary>
    /// <param name="index">Its number, from 0.</param>
    /// <param name="length">Ids in each block.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such block.</exception>
    public int[] Block(long index, int length)
    {
        if (index < 0 || index >= Blocks(length)) throw new ArgumentOutOfRangeException(nameof(index), $"There are {Blocks(length)} blocks of {length} tokens, but block {index} was asked for.");
        var ids = new int[length];
        var from = new ReadOnlySpan<byte>(start + index * length * idBytes, length * idBytes);
        if (idBytes == 4) from.CopyTo(MemoryMarshal.AsBytes(ids.AsSpan()));
        else for (var i = 0; i < length; i++) ids[i] = BinaryPrimitives.ReadUInt16LittleEndian(from[(2 * i)..]);
        return ids;
    }

    private static byte[] Key(IReadOnlyList<string> files, string tokenizerFolder, int endId, bool special, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Magic);
        hash.AppendData(BitConverter.GetBytes(endId));
        hash.AppendData(BitConverter.GetBytes(special));
        // Of a text file the kind counts, which says how it is read, and not its name.
        foreach (var (path, name) in TokenizerParts.Present(tokenizerFolder).Select(f => (f, Path.GetFileName(f))).Concat(files.Select(f => (f, TextDocuments.KindOf(f)))))
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(name));
            hash.AppendData(Hash(path, cancel));
        }
        return hash.GetHashAndReset();
    }

    /// <summary>SHA-256 of a file.</summary>
    internal static byte[] Hash(string path, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var stream = File.OpenRead(path);
        var part = new byte[1 << 20];
        while (stream.Read(part) is > 0 and var read)
        {
            cancel.ThrowIfCancellationRequested();
            hash.AppendData(part, 0, read);
        }
        return hash.GetHashAndReset();
    }

    /// <summary>The header of a complete file; null where there is none.</summary>
    private static byte[]? ReadHeader(string path, byte[] key)
    {
        if (!File.Exists(path)) return null;
        using var stream = File.OpenRead(path);
        var header = new byte[HeaderLength];
        return stream.ReadAtLeast(header, HeaderLength, throwOnEndOfStream: false) == HeaderLength && header.AsSpan(0, 8).SequenceEqual(Magic) && header.AsSpan(32).SequenceEqual(key)
            && BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8)) is 2 or 4
            && stream.Length == HeaderLength + BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(24)) * BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8)) ? header : null;
    }

    private static void Write(string path, byte[] key, IReadOnlyList<string> files, Tokenizer tokenizer, int endId, bool special, CancellationToken cancel)
    {
        // One name, so that what a killed process leaves is written over; another process that writes it now is told so by the system.
        var partial = path + ".partial";
        try
        {
            var (idBytes, documents, tokens) = (Math.Max(tokenizer.LargestId, endId) <= ushort.MaxValue ? 2 : 4, 0L, 0L);
            using (var stream = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20))
            {
                var (header, one) = (new byte[HeaderLength], new byte[4]);
                stream.Write(header);
                foreach (var texts in Together(TextDocuments.Read(files, cancel)))
                    foreach (var ids in tokenizer.EncodeIds(texts, int.MaxValue, cancel, addSpecialTokens: special))
                    {
                        // Of what the tokenizer makes nothing, nothing can be learned.
                        if (ids.Length == 0) continue;
                        var ends = ids[^1] == endId;
                        (documents, tokens) = (documents + 1, tokens + ids.Length + (ends ? 0 : 1));
                        foreach (var id in ends ? ids : ids.Append(endId))
                        {
                            BinaryPrimitives.WriteInt32LittleEndian(one, id);
                            stream.Write(one.AsSpan(0, idBytes));
                        }
                    }
                if (documents == 0) throw new TrainingException($"{string.Join(", ", files.Select(Path.GetFileName))} {(files.Count == 1 ? "has" : "have")} no text to train on.");
                Magic.CopyTo(header);
                BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), idBytes);
                BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(16), documents);
                BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(24), tokens);
                key.CopyTo(header, 32);
                stream.Position = 0;
                stream.Write(header);
                stream.Flush(flushToDisk: true);
            }
            File.Move(partial, path, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }

    /// <summary>Documents in bundles that keep all processors busy and fit into memory.</summary>
    private static IEnumerable<List<string>> Together(IEnumerable<string> documents)
    {
        var (bundle, characters) = (new List<string>(), 0L);
        foreach (var document in documents)
        {
            bundle.Add(document);
            characters += document.Length;
            if (bundle.Count < DocumentsTogether && characters < CharactersTogether) continue;
            yield return bundle;
            (bundle, characters) = ([], 0);
        }
        if (bundle.Count > 0) yield return bundle;
    }

    public void Dispose()
    {
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        file.Dispose();
    }
}
