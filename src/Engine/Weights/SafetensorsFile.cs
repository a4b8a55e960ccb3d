using System.Buffers.Binary;

namespace FineTuneStudio.Engine.Weights;

/// <summary>
/// A memory-mapped safetensors file whose header has been checked completely before anything can be read from it:
/// lengths, JSON, duplicate names, dtypes, shapes against sizes, and offsets that cover the data without gap or
/// overlap. Nothing in the file is ever executed.
/// </summary>
public sealed unsafe class SafetensorsFile : TensorFile
{
    readonly long dataAt;

    SafetensorsFile(string path) : base(path)
    {
        try
        {
            int headerLength = (int)BinaryPrimitives.ReadInt64LittleEndian(new(Start, 8));
            dataAt = 8 + headerLength;
            SafetensorsHeader header = SafetensorsHeader.Parse(new(Start + 8, headerLength), Length - dataAt, Name);
            (Entries, Metadata) = (header.Entries, header.Metadata);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Maps the file and checks its header.</summary>
    /// <exception cref="WeightFileException">The file is missing or is not a sound safetensors file; the sentence says why.</exception>
    public static new SafetensorsFile Open(string path) => new(path);

    private protected override void CheckStart(ReadOnlySpan<byte> start)
    {
        ulong headerLength = start.Length >= 8 ? BinaryPrimitives.ReadUInt64LittleEndian(start) : 0;
        bool plausible = start.Length > 8 && headerLength <= (ulong)SafetensorsHeader.MaxLength && start[8] == (byte)'{';
        if (!plausible && OtherFormat(start) is { } other) throw new WeightFileException($"{Name} {other}");
        if (Length < 8)
            throw new WeightFileException($"{Name} is {Length} bytes long, too small for a safetensors file, which begins with 8 bytes for the length of its header.");
        if (headerLength > (ulong)SafetensorsHeader.MaxLength)
            throw new WeightFileException($"{Name} asks for a header of {headerLength} bytes; more than {SafetensorsHeader.MaxLength} is refused, and the file is probably not a safetensors file.");
        if (headerLength > (ulong)(Length - 8))
            throw new WeightFileException($"{Name} announces a header of {headerLength} bytes, but only {Length - 8} follow; the file was probably cut off, so copy or download it again.");
        if (headerLength < 2 || start[8] != (byte)'{')
            throw new WeightFileException($"{Name} is not a safetensors file: its header does not begin with an opening brace.");
    }

    /// <summary>What a file that is not safetensors is, by its first bytes, as the end of a sentence.</summary>
    static string? OtherFormat(ReadOnlySpan<byte> start)
    {
        const string convert = "Convert it where it came from with safetensors.torch.save_file and import the result.";
        if (start.StartsWith("PK\x03\x04"u8))
            return $"is a zip archive, as torch.save writes it, not safetensors. If it holds a state dict, give it its usual name, {ModelWeights.TorchFile}: its tensors are read, and nothing else. {convert}";
        if (start.Length >= 2 && start[0] == 0x80 && start[1] is >= 2 and <= 5)
            return $"is a Python pickle, not safetensors: a pickle can run any code when opened, so it is refused. {convert}";
        return Foreign(start);
    }

    /// <summary>What is neither safetensors nor of torch.save, by its first bytes, as the end of a sentence.</summary>
    internal static string? Foreign(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("version https://git-lfs"u8))
            return "is only a Git LFS pointer, not the weights themselves: fetch the real file with git lfs pull.";
        if (start.StartsWith("\x89HDF\r\n"u8) || start.StartsWith("GGUF"u8))
            return "is an HDF5 or GGUF file, not safetensors; export the model as safetensors and import that.";
        return null;
    }

    private protected override ReadOnlySpan<byte> BytesOf(TensorEntry entry) => new(Start + dataAt + entry.Begin, (int)(entry.End - entry.Begin));
}
