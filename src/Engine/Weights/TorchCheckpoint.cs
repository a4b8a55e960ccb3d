using System.Text;

namespace FineTuneStudio.Engine.Weights;

/// <summary>
/// The tensors of a file of <c>torch.save(model.state_dict())</c>: a zip archive of stored records (PyTorch 1.6 and later), of which
/// <c>data.pkl</c> lists the tensors and <c>data/N</c> holds their numbers. The list is read as data by <see cref="TensorPickle"/>; nothing
/// in the file is ever executed. The file is mapped, and every tensor is checked to lie inside of its record.
/// </summary>
public sealed unsafe class TorchCheckpoint : TensorFile
{
    private static readonly string[] Endings = [".bin", ".pt", ".pth"];

    /// <summary>Where each tensor's numbers begin in the file, and its strides in elements where they are not laid out row by row.</summary>
    private readonly Dictionary<string, (long At, long[]? Strides)> places = new(StringComparer.Ordinal);

    private TorchCheckpoint(string path) : base(path)
    {
        try { Entries = Check(); }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether a file's name ends as those of such checkpoints do: .bin, .pt or .pth.</summary>
    public static bool IsNamedSo(string path) => Endings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase);

    /// <summary>Maps the file and checks its archive and its list of tensors.</summary>
    /// <exception cref="WeightFileException">The file is missing, broken, of the older format, or asks for anything but tensors; the sentence says which.</exception>
    public static new TorchCheckpoint Open(string path) => new(path);

    private protected override void CheckStart(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("PK\x03\x04"u8)) return;
        if (start.Length >= 2 && start[0] == 0x80 && start[1] is >= 2 and <= 5)
            throw new WeightFileException($"{Name} is a bare Python pickle, as torch.save wrote it before PyTorch 1.6; only the newer zip format is read. Load it with a recent PyTorch where you trust it, and save it again, best as safetensors.");
        if (SafetensorsFile.Foreign(start) is { } other) throw new WeightFileException($"{Name} {other}");
        throw new WeightFileException(Length == 0 ? $"{Name} is empty; copy or download it again." : $"{Name} is not a file of torch.save: it does not begin as a zip archive does. Copy or download it again, or bring the weights as safetensors.");
    }

    private Dictionary<string, TensorEntry> Check()
    {
        Bytes bytes = new(Start, Length);
        var records = StoredZip.Read(bytes, Name);
        var lists = records.Keys.Where(k => k.EndsWith("/data.pkl", StringComparison.Ordinal)).ToList();
        if (lists.Count != 1) throw new WeightFileException($"{Name} is a zip archive with {lists.Count} lists of tensors (data.pkl); a file of torch.save has one. Bring the weights as safetensors.");
        var prefix = lists[0][..^"data.pkl".Length];
        if (records.TryGetValue(prefix + "byteorder", out var order) && !bytes.At(order.Begin, (int)Math.Min(order.Length, 6)).SequenceEqual("little"u8))
            throw new WeightFileException($"{Name} was written on a big-endian machine; only little-endian numbers are read. Save it again as safetensors.");
        var (begin, length) = records[lists[0]];
        if (length > TensorPickle.MaxBytes) throw new WeightFileException($"{Name} has a list of tensors of {length} bytes; more than {TensorPickle.MaxBytes} is refused.");

        var entries = new Dictionary<string, TensorEntry>(StringComparer.Ordinal);
        foreach (var (tensor, said) in TensorPickle.Read(bytes.At(begin, (int)length), Name))
        {
            var shown = SafetensorsHeader.Shown(tensor);
            if (!records.TryGetValue($"{prefix}data/{said.Storage}", out var record))
                throw new WeightFileException($"{Name}: the tensor \"{shown}\" is in the record data/{SafetensorsHeader.Shown(said.Storage)}, which the archive does not have.");
            TensorDtype.TrySize(said.Dtype, out int size);
            if ((Int128)said.StorageElements * size != record.Length)
                throw new WeightFileException($"{Name}: the tensor \"{shown}\" is in a record of {said.StorageElements} numbers of {said.Dtype}, which needs {(Int128)said.StorageElements * size} bytes, but has {record.Length}.");
            Int128 count = 1, last = said.Offset;
            for (int i = 0; i < said.Shape.Length; i++)
            {
                count = Int128.Min(count, long.MaxValue) * said.Shape[i];
                last = Int128.Min(last, long.MaxValue) + (Int128)Math.Max(0, said.Shape[i] - 1) * said.Strides[i];
            }
            if (said.Shape.Contains(0)) count = 0;
            // A tensor that repeats its numbers (stride 0) could ask for any amount of memory.
            if (count > said.StorageElements || count > 0 && last >= said.StorageElements)
                throw new WeightFileException($"{Name}: the tensor \"{shown}\" of {said.Dtype} [{string.Join(", ", said.Shape)}] reaches beyond its record of {said.StorageElements} numbers.");
            long at = record.Begin + (count == 0 ? 0 : said.Offset * size);
            if (!entries.TryAdd(tensor, new(tensor, said.Dtype, said.Shape, at, at + (long)count * size)))
                throw new WeightFileException($"{Name}: the name \"{shown}\" is in the list twice.");
            places.Add(tensor, (at, count == 0 || IsRowMajor(said.Shape, said.Strides) ? null : said.Strides));
        }
        return entries;
    }

    private static bool IsRowMajor(long[] shape, long[] strides)
    {
        long step = 1;
        for (int i = shape.Length - 1; i >= 0; i--)
        {
            if (shape[i] != 1 && strides[i] != step) return false;
            step *= shape[i];
        }
        return true;
    }

    private protected override ReadOnlySpan<byte> BytesOf(TensorEntry entry)
    {
        var (at, strides) = places[entry.Name];
        TensorDtype.TrySize(entry.Dtype, out int size);
        int length = (int)(entry.Elements * size);
        if (strides is null) return new(Start + at, length);
        var copy = new byte[length];
        var index = new long[entry.Shape.Length];
        long from = 0;
        for (int to = 0; to < length; to += size)
        {
            new ReadOnlySpan<byte>(Start + at + from * size, size).CopyTo(copy.AsSpan(to));
            for (int d = index.Length - 1; d >= 0; d--)
            {
                from += strides[d];
                if (++index[d] < entry.Shape[d]) break;
                from -= index[d] * strides[d];
                index[d] = 0;
            }
        }
        return copy;
    }
}
