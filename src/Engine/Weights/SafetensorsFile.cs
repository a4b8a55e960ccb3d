using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;

namespace FineTuneStudio.Engine.Weights;

/// <summary>
/// A memory-mapped safetensors file whose header has been checked completely before anything can be read from it:
/// lengths, JSON, duplicate names, dtypes, shapes against sizes, and offsets that cover the data without gap or
/// overlap. Nothing in the file is ever executed.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    readonly MemoryMappedFile map;
    readonly MemoryMappedViewAccessor view;
    readonly string file;
    readonly byte* data;
    bool disposed;

    SafetensorsFile(MemoryMappedFile map, MemoryMappedViewAccessor view, byte* data, SafetensorsHeader header, string file)
    {
        this.data = data;
        (this.map, this.view, this.file) = (map, view, file);
        (Entries, Metadata) = (header.Entries, header.Metadata);
    }

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries { get; }

    /// <summary>The "__metadata__" of the header; empty if there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Maps the file and checks its header.</summary>
    /// <exception cref="WeightFileException">The file is missing or is not a sound safetensors file; the sentence says why.</exception>
    public static SafetensorsFile Open(string path)
    {
        string file = Path.GetFileName(path);
        FileStream stream;
        try
        {
            stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WeightFileException(e is FileNotFoundException or DirectoryNotFoundException
                ? $"There is no file {file} in this folder."
                : $"{file} cannot be opened: {e.Message}");
        }
        using (stream)
        {
            long length = stream.Length;
            Span<byte> start = stackalloc byte[64];
            start = start[..stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
            long headerLength = CheckStart(start, length, file);

            // The mapping keeps its own handle on the file (leaveOpen: true), so the stream can go.
            MemoryMappedFile map = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            MemoryMappedViewAccessor? view = null;
            try
            {
                view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
                byte* pointer = null;
                view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
                try
                {
                    pointer += view.PointerOffset;
                    SafetensorsHeader header = SafetensorsHeader.Parse(new(pointer + 8, (int)headerLength), length - 8 - headerLength, file);
                    return new(map, view, pointer + 8 + headerLength, header, file);
                }
                catch
                {
                    view.SafeMemoryMappedViewHandle.ReleasePointer();
                    throw;
                }
            }
            catch
            {
                view?.Dispose();
                map.Dispose();
                throw;
            }
        }
    }

    static long CheckStart(ReadOnlySpan<byte> start, long length, string file)
    {
        ulong headerLength = start.Length >= 8 ? BinaryPrimitives.ReadUInt64LittleEndian(start) : 0;
        bool plausible = start.Length > 8 && headerLength <= (ulong)SafetensorsHeader.MaxLength && start[8] == (byte)'{';
        if (!plausible && OtherFormat(start) is { } other) throw new WeightFileException($"{file} {other}");
        if (length < 8)
            throw new WeightFileException($"{file} is {length} bytes long, too small for a safetensors file, which begins with 8 bytes for the length of its header.");
        if (headerLength > (ulong)SafetensorsHeader.MaxLength)
            throw new WeightFileException($"{file} asks for a header of {headerLength} bytes; more than {SafetensorsHeader.MaxLength} is refused, and the file is probably not a safetensors file.");
        if (headerLength > (ulong)(length - 8))
            throw new WeightFileException($"{file} announces a header of {headerLength} bytes, but only {length - 8} follow; the file was probably cut off, so copy or download it again.");
        if (headerLength < 2 || start[8] != (byte)'{')
            throw new WeightFileException($"{file} is not a safetensors file: its header does not begin with an opening brace.");
        return (long)headerLength;
    }

    /// <summary>What a file that is not safetensors is, by its first bytes, as the end of a sentence.</summary>
    static string? OtherFormat(ReadOnlySpan<byte> start)
    {
        const string convert = "Convert it where it came from with safetensors.torch.save_file and import the result.";
        if (start.StartsWith("PK\x03\x04"u8))
            return $"is a zip archive, as torch.save writes it, not safetensors: it holds pickled Python objects, which can run any code when opened, so it is refused. {convert}";
        if (start.Length >= 2 && start[0] == 0x80 && start[1] is >= 2 and <= 5)
            return $"is a Python pickle, not safetensors: a pickle can run any code when opened, so it is refused. {convert}";
        if (start.StartsWith("version https://git-lfs"u8))
            return "is only a Git LFS pointer, not the weights themselves: fetch the real file with git lfs pull.";
        if (start.StartsWith("\x89HDF\r\n"u8) || start.StartsWith("GGUF"u8))
            return "is an HDF5 or GGUF file, not safetensors; export the model as safetensors and import that.";
        return null;
    }

    /// <summary>The bytes of a tensor, valid until this file is disposed. Little-endian, row-major.</summary>
    /// <exception cref="WeightFileException">There is no such tensor, or it is larger than 2 GiB.</exception>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        if (!Entries.TryGetValue(name, out TensorEntry? entry))
            throw new WeightFileException($"{file} has no tensor \"{SafetensorsHeader.Shown(name)}\".");
        if (entry.End - entry.Begin > int.MaxValue)
            throw new WeightFileException($"{file}: the tensor \"{SafetensorsHeader.Shown(name)}\" has {entry.End - entry.Begin} bytes; more than {int.MaxValue} in one tensor is not supported.");
        return new(data + entry.Begin, (int)(entry.End - entry.Begin));
    }

    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        map.Dispose();
    }
}
