using System.Buffers.Binary;
using System.IO.Compression;
using FineTuneStudio.Ui;

namespace FineTuneStudio.BaseModels;

/// Takes the known files of a model out of a zip from someone who may wish us ill. Everything is checked before the first byte is
/// written, and the bytes are counted while they are written, because a zip may lie about its sizes.
public static class UnpackModelZip
{
    public const int MostEntries = 500;
    /// Weights hardly compress and vocabularies about threefold; a part that unpacks to more than this many times its size is a bomb.
    public const int HighestRatio = 100;
    /// Everything behind the files: their list, and the comment of the zip.
    public const int MostListBytes = 1 << 20;
    private const long SmallEnoughForAnyRatio = 1 << 20;

    public static void To(string folder, string zipFile, long mostBytes)
    {
        try
        {
            CheckList(zipFile);
            using var zip = ZipFile.OpenRead(zipFile);
            var entries = Checked(zip, mostBytes);
            var top = TopOf(entries);
            var inside = entries.Where(e => FolderOf(e.FullName) == top).ToList();
            ModelFiles.RequireModel([.. inside.Select(e => e.Name)], "the zip");
            Directory.CreateDirectory(folder);
            long written = 0;
            var taken = ModelFiles.Taken([.. inside.Select(e => e.Name)]);
            foreach (var entry in inside.Where(e => taken.Contains(e.Name)))
                written += Write(entry, Path.Combine(folder, entry.Name), mostBytes - written, mostBytes);
        }
        catch (InvalidDataException)
        {
            throw new ModelRefused("This is not a zip file that can be read: it is damaged, encrypted, cut off or of another format. Pack the model folder anew as a plain zip.");
        }
    }

    /// The reader of zips takes the whole list of entries into memory before it says how many there are; so the record at the end is asked
    /// first (APPNOTE 4.3.14 to 4.3.16). Where it says too few entries, the room between the list's beginning and the end of the file is what counts.
    private static void CheckList(string zipFile)
    {
        using var file = File.OpenRead(zipFile);
        var tail = new byte[(int)Math.Min(file.Length, 22 + 20 + ushort.MaxValue)];
        file.Position = file.Length - tail.Length;
        file.ReadExactly(tail);
        var end = tail.Length < 22 ? -1 : tail.AsSpan(0, tail.Length - 18).LastIndexOf("PK\u0005\u0006"u8);
        if (end < 0) return;
        long entries = BinaryPrimitives.ReadUInt16LittleEndian(tail.AsSpan(end + 10)), list = BinaryPrimitives.ReadUInt32LittleEndian(tail.AsSpan(end + 16));
        // As the reader does it: the larger record counts only where a field of the small one is full.
        var full = entries == ushort.MaxValue || list == uint.MaxValue || BinaryPrimitives.ReadUInt16LittleEndian(tail.AsSpan(end + 4)) == ushort.MaxValue;
        if (full && end >= 20 && tail.AsSpan(end - 20).StartsWith("PK\u0006\u0007"u8) && BinaryPrimitives.ReadInt64LittleEndian(tail.AsSpan(end - 12)) is var at and >= 0 && at <= file.Length - 56)
        {
            var large = new byte[56];
            file.Position = at;
            file.ReadExactly(large);
            (entries, list) = (BinaryPrimitives.ReadInt64LittleEndian(large.AsSpan(32)), BinaryPrimitives.ReadInt64LittleEndian(large.AsSpan(48)));
        }
        if (entries is < 0 or > MostEntries) throw TooMany(entries);
        if (file.Length - list > MostListBytes)
            throw new ModelRefused($"The list of the files in the zip takes {Say.Bytes(file.Length - list)}; that of a model folder takes a few kilobytes, and more than {Say.Bytes(MostListBytes)} is refused. Nothing was unpacked.");
    }

    private static ModelRefused TooMany(long entries) =>
        new($"The zip has {Say.Count(entries)} entries; a model folder has a dozen, and more than {Say.Count(MostEntries)} are refused.");

    private static List<ZipArchiveEntry> Checked(ZipArchive zip, long mostBytes)
    {
        if (zip.Entries.Count > MostEntries) throw TooMany(zip.Entries.Count);
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        long total = 0;
        foreach (var entry in zip.Entries)
        {
            var name = entry.FullName;
            if (name.StartsWith('/') || name.Contains('\\') || name.Contains(':') || name.Contains('\0') || name.Split('/').Contains(".."))
                throw new ModelRefused($"The zip has an entry named “{Short(name)}”, which points outside its folder. Nothing was unpacked; pack the model folder anew.");
            if ((entry.ExternalAttributes >> 16 & 0xF000) == 0xA000)
                throw new ModelRefused($"The zip has a symbolic link, “{Short(name)}”. Nothing was unpacked; pack the files themselves.");
            if (!seen.Add(name))
                throw new ModelRefused($"The zip has two entries named “{Short(name)}”. Nothing was unpacked; pack the model folder anew.");
            if (entry.Length > SmallEnoughForAnyRatio && entry.Length > entry.CompressedLength * HighestRatio)
                throw new ModelRefused($"“{Short(name)}” would unpack to {Say.Count(entry.Length / Math.Max(1, entry.CompressedLength))} times its size, like a zip bomb; {HighestRatio} times is the limit. Nothing was unpacked.");
            total += entry.Length;
            if (total > mostBytes)
                throw new ModelRefused($"The zip would unpack to more than {Say.Bytes(mostBytes)}, the limit of this server. Nothing was unpacked.");
        }
        return [.. zip.Entries.Where(e => e.Name.Length > 0 && !e.FullName.StartsWith("__MACOSX/", StringComparison.Ordinal))];
    }

    /// The folder in the zip that is the model: the outermost one with a config.json.
    private static string TopOf(List<ZipArchiveEntry> entries)
    {
        var tops = entries.Where(e => e.Name == "config.json").Select(e => FolderOf(e.FullName)).OrderBy(f => f.Count(c => c == '/')).ThenBy(f => f.Length == 0 ? 0 : 1).ToList();
        if (tops.Count == 0) return entries.Count == 0 ? "" : FolderOf(entries.MinBy(e => e.FullName.Count(c => c == '/'))!.FullName);
        if (tops.Count > 1 && tops[1].Length > 0 && tops[0].Length > 0 && tops[0].Count(c => c == '/') == tops[1].Count(c => c == '/'))
            throw new ModelRefused($"The zip has more than one model folder: “{Short(tops[0])}” and “{Short(tops[1])}”. Pack one at a time.");
        return tops[0];
    }

    private static long Write(ZipArchiveEntry entry, string file, long left, long mostBytes)
    {
        using var from = entry.Open();
        using var to = new FileStream(file, FileMode.CreateNew, FileAccess.Write);
        var buffer = new byte[1 << 17];
        long written = 0;
        for (int read; (read = from.Read(buffer)) > 0;)
        {
            written += read;
            if (written > left || written > entry.Length)
                throw new ModelRefused($"“{Short(entry.FullName)}” unpacks to more than the zip says, or to more than {Say.Bytes(mostBytes)}, the limit of this server. It was thrown away.");
            to.Write(buffer, 0, read);
        }
        return written;
    }

    private static string FolderOf(string name) => name.LastIndexOf('/') is var slash and >= 0 ? name[..slash] : "";

    private static string Short(string name) => name.Length <= 80 ? name : name[..80] + "…";
}
