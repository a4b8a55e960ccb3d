using System.Buffers.Binary;
using System.Text;

namespace FineTuneStudio.Engine.Weights;

/// <summary>
/// Where the entries of a zip archive lie, for archives that only store: no compression, so that an entry is a range of the mapped
/// file and nothing can unpack to more than the file has. Zip64 is known (APPNOTE 4.3 to 4.5). Every range is checked to be inside of the
/// file and to overlap no other.
/// </summary>
internal static class StoredZip
{
    const int MaxEntries = 200_000, MaxName = 1000, EndLength = 22, LocatorLength = 20, End64Length = 56, CentralLength = 46, LocalLength = 30;

    /// <summary>The entries by name: first byte and length of each, in bytes of the file.</summary>
    /// <exception cref="WeightFileException">It is no sound archive of this kind.</exception>
    public static Dictionary<string, (long Begin, long Length)> Read(Bytes file, string name)
    {
        long end = FindEnd(file, name);
        var record = file.At(end, EndLength);
        long count = BinaryPrimitives.ReadUInt16LittleEndian(record[10..]), listLength = BinaryPrimitives.ReadUInt32LittleEndian(record[12..]), list = BinaryPrimitives.ReadUInt32LittleEndian(record[16..]);
        if (end >= LocatorLength && file.At(end - LocatorLength, LocatorLength) is var locator && locator.StartsWith("PK\x06\x07"u8))
        {
            long at = BinaryPrimitives.ReadInt64LittleEndian(locator[8..]);
            if (at < 0 || at > end - LocatorLength - End64Length || !file.At(at, 4).SequenceEqual("PK\x06\x06"u8)) throw Bad(name, "its end names a place for its list where none is");
            var wide = file.At(at, End64Length);
            (count, listLength, list) = (BinaryPrimitives.ReadInt64LittleEndian(wide[32..]), BinaryPrimitives.ReadInt64LittleEndian(wide[40..]), BinaryPrimitives.ReadInt64LittleEndian(wide[48..]));
        }
        if (count is < 0 or > MaxEntries) throw Bad(name, $"it says that it has {count} entries; at most {MaxEntries} are read");
        if (list < 0 || listLength < 0 || list > end || listLength > end - list) throw Bad(name, "its list of entries lies outside of the file");
        return Entries(file, name, count, list, list + listLength);
    }

    static long FindEnd(Bytes file, string name)
    {
        for (long at = file.Length - EndLength, last = Math.Max(0, at - ushort.MaxValue); at >= last; at--)
            if (file.At(at, 4).SequenceEqual("PK\x05\x06"u8)) return at;
        throw Bad(name, "its end is missing; the file was probably cut off, so copy or download it again");
    }

    static Dictionary<string, (long, long)> Entries(Bytes file, string name, long count, long at, long listEnd)
    {
        var entries = new Dictionary<string, (long, long)>(StringComparer.Ordinal);
        List<(long Begin, long End, string Name)> ranges = [];
        long listBegin = at;
        for (long i = 0; i < count; i++)
        {
            if (listEnd - at < CentralLength || !file.At(at, 4).SequenceEqual("PK\x01\x02"u8)) throw Bad(name, $"its list of {count} entries breaks off at number {i + 1}");
            var central = file.At(at, CentralLength);
            int flags = BinaryPrimitives.ReadUInt16LittleEndian(central[8..]), method = BinaryPrimitives.ReadUInt16LittleEndian(central[10..]);
            long packed = BinaryPrimitives.ReadUInt32LittleEndian(central[20..]), length = BinaryPrimitives.ReadUInt32LittleEndian(central[24..]), local = BinaryPrimitives.ReadUInt32LittleEndian(central[42..]);
            int nameLength = BinaryPrimitives.ReadUInt16LittleEndian(central[28..]), extra = BinaryPrimitives.ReadUInt16LittleEndian(central[30..]), comment = BinaryPrimitives.ReadUInt16LittleEndian(central[32..]);
            if (nameLength is 0 or > MaxName || listEnd - at - CentralLength < nameLength + extra + comment) throw Bad(name, $"its list of {count} entries breaks off at number {i + 1}");
            var entry = Encoding.UTF8.GetString(file.At(at + CentralLength, nameLength));
            var shown = SafetensorsHeader.Shown(entry);
            Widen(file.At(at + CentralLength + nameLength, extra), ref length, ref packed, ref local);
            if ((flags & 1) != 0) throw Bad(name, $"its entry \"{shown}\" is encrypted");
            if (entry.Split('/') is [_, "code", ..]) throw new WeightFileException($"{name} is a TorchScript program, not a state dict; programs are never run here. Save model.state_dict() instead, best as safetensors.");
            if (method != 0 || packed != length) throw Bad(name, $"its entry \"{shown}\" is compressed, which torch.save never does; what unpacks is not read");
            if (local < 0 || length < 0 || local > listBegin - LocalLength || !file.At(local, 4).SequenceEqual("PK\x03\x04"u8)) throw Bad(name, $"its entry \"{shown}\" does not begin where the list says");
            var header = file.At(local, LocalLength);
            long begin = local + LocalLength + BinaryPrimitives.ReadUInt16LittleEndian(header[26..]) + BinaryPrimitives.ReadUInt16LittleEndian(header[28..]);
            if (begin > listBegin || length > listBegin - begin) throw Bad(name, $"its entry \"{shown}\" ends outside of the file; the file was probably cut off, so copy or download it again");
            if (!entries.TryAdd(entry, (begin, length))) throw Bad(name, $"it has two entries named \"{shown}\"");
            ranges.Add((local, begin + length, shown));
            at += CentralLength + nameLength + extra + comment;
        }
        ranges.Sort();
        for (int i = 1; i < ranges.Count; i++)
            if (ranges[i].Begin < ranges[i - 1].End) throw Bad(name, $"its entries \"{ranges[i - 1].Name}\" and \"{ranges[i].Name}\" overlap");
        return entries;
    }

    /// <summary>The 64-bit numbers of the extra field, where the 32-bit ones are full.</summary>
    static void Widen(ReadOnlySpan<byte> extra, ref long length, ref long packed, ref long local)
    {
        while (extra.Length >= 4)
        {
            int size = BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]);
            if (size > extra.Length - 4) return;
            if (BinaryPrimitives.ReadUInt16LittleEndian(extra) == 1)
            {
                var wide = extra.Slice(4, size);
                Take(ref wide, ref length);
                Take(ref wide, ref packed);
                Take(ref wide, ref local);
            }
            extra = extra[(4 + size)..];
        }

        static void Take(ref ReadOnlySpan<byte> wide, ref long number)
        {
            if (number != uint.MaxValue || wide.Length < 8) return;
            number = BinaryPrimitives.ReadInt64LittleEndian(wide);
            wide = wide[8..];
        }
    }

    static WeightFileException Bad(string name, string why) => new($"{name} is not a sound zip archive as torch.save writes it: {why}.");
}

/// <summary>Bytes that may be more than a span can hold.</summary>
internal readonly unsafe struct Bytes(byte* start, long length)
{
    public long Length => length;

    /// <summary>The bytes from <paramref name="at"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">They are not all there.</exception>
    public ReadOnlySpan<byte> At(long at, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(at);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(at, length - count);
        return new(start + at, count);
    }
}
