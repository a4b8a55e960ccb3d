using System.IO.MemoryMappedFiles;

namespace FineTuneStudio.Engine.Weights;

/// <summary>A memory-mapped file with named tensors, checked completely before anything can be read from it. Nothing in it is ever executed.</summary>
public abstract unsafe class TensorFile : IDisposable
{
    readonly MemoryMappedFile map;
    readonly MemoryMappedViewAccessor view;
    bool disposed;

    /// <summary>Maps the file; the subclass checks it next and disposes it where it is refused.</summary>
    /// <exception cref="WeightFileException">The file is missing, cannot be opened, or is empty.</exception>
    private protected TensorFile(string path)
    {
        Name = Path.GetFileName(path);
        FileStream stream;
        try
        {
            stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WeightFileException(e is FileNotFoundException or DirectoryNotFoundException
                ? $"There is no file {Name} in this folder."
                : $"{Name} cannot be opened: {e.Message}");
        }
        using (stream)
        {
            Length = stream.Length;
            Span<byte> start = stackalloc byte[64];
            start = start[..stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
            CheckStart(start);
            // The mapping keeps its own handle on the file (leaveOpen: true), so the stream can go.
            map = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        }
        try
        {
            view = map.CreateViewAccessor(0, Length, MemoryMappedFileAccess.Read);
            byte* pointer = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
            Start = pointer + view.PointerOffset;
        }
        catch
        {
            view?.Dispose();
            map.Dispose();
            throw;
        }
    }

    /// <summary>The file's name without its folder.</summary>
    public string Name { get; }

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries { get; private protected set; } = new Dictionary<string, TensorEntry>();

    /// <summary>Free text that the file carries; empty if there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; private protected set; } = new Dictionary<string, string>();

    /// <summary>First byte of the mapped file, and how many there are.</summary>
    private protected byte* Start { get; }
    private protected long Length { get; }

    /// <summary>Opens safetensors, or a checkpoint of torch.save where the name ends as theirs do.</summary>
    /// <exception cref="WeightFileException">The file is missing or not sound; the sentence says why.</exception>
    public static TensorFile Open(string path) => TorchCheckpoint.IsNamedSo(path) ? TorchCheckpoint.Open(path) : SafetensorsFile.Open(path);

    /// <summary>Refuses, by its first bytes (at most 64), what cannot be such a file; it must refuse an empty one.</summary>
    private protected abstract void CheckStart(ReadOnlySpan<byte> start);

    /// <summary>The bytes of a tensor, valid until this file is disposed. Little-endian, row-major.</summary>
    /// <exception cref="WeightFileException">There is no such tensor, or it is larger than 2 GiB.</exception>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        if (!Entries.TryGetValue(name, out TensorEntry? entry))
            throw new WeightFileException($"{Name} has no tensor \"{SafetensorsHeader.Shown(name)}\".");
        TensorDtype.TrySize(entry.Dtype, out int size);
        if (entry.Elements * size > int.MaxValue)
            throw new WeightFileException($"{Name}: the tensor \"{SafetensorsHeader.Shown(name)}\" has {entry.Elements * size} bytes; more than {int.MaxValue} in one tensor is not supported.");
        return BytesOf(entry);
    }

    private protected abstract ReadOnlySpan<byte> BytesOf(TensorEntry entry);

    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        map.Dispose();
        GC.SuppressFinalize(this);
    }
}
