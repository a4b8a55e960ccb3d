using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace FineTuneStudio.Engine.Weights;

/// <summary>Writes safetensors files: the same tensors give the same bytes, and a file is there completely or not at all.</summary>
public static class SafetensorsWriter
{
    /// <summary>
    /// Writes to a temporary file beside <paramref name="path"/>, forces it to disk and renames it. Tensors are laid out by
    /// element size (largest first), then by name, so that every one is aligned; the data is asked for one tensor at a time.
    /// </summary>
    /// <param name="tensors">Name, dtype as the format spells it, shape, and a function giving the little-endian bytes.</param>
    /// <exception cref="WeightFileException">A name is there twice, a dtype is unknown, or the bytes do not fit the shape.</exception>
    public static void Write(
        string path,
        IEnumerable<(string Name, string Dtype, long[] Shape, Func<ReadOnlyMemory<byte>> Data)> tensors,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        string file = Path.GetFileName(path);
        var ordered = tensors
            .Select(t => (t.Name, t.Dtype, t.Shape, t.Data, Size: Size(t.Dtype, t.Name, file)))
            .OrderByDescending(t => t.Size).ThenBy(t => t.Name, StringComparer.Ordinal)
            .Select(t => (t.Name, t.Dtype, t.Shape, t.Data, Bytes: ByteLength(t.Shape, t.Size, t.Name, file)))
            .ToList();
        byte[] header = Header(ordered.Select(t => (t.Name, t.Dtype, t.Shape, t.Bytes)).ToList(), metadata, file);

        string temporary = $"{path}.{Environment.ProcessId}-{Environment.CurrentManagedThreadId}.tmp";
        try
        {
            using (FileStream stream = new(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20))
            {
                Span<byte> length = stackalloc byte[8];
                BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
                stream.Write(length);
                stream.Write(header);
                foreach (var tensor in ordered)
                {
                    ReadOnlySpan<byte> bytes = tensor.Data().Span;
                    if (bytes.Length != tensor.Bytes)
                        throw new WeightFileException($"{file} cannot be written: the tensor \"{tensor.Name}\" of {tensor.Dtype} [{string.Join(", ", tensor.Shape)}] needs {tensor.Bytes} bytes, but got {bytes.Length}.");
                    stream.Write(bytes);
                }
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    static byte[] Header(List<(string Name, string Dtype, long[] Shape, long Bytes)> tensors, IReadOnlyDictionary<string, string>? metadata, string file)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata.OrderBy(m => m.Key, StringComparer.Ordinal)) json.WriteString(key, value);
                json.WriteEndObject();
            }
            HashSet<string> names = new(StringComparer.Ordinal) { "__metadata__" };
            long at = 0;
            foreach (var (name, dtype, shape, bytes) in tensors)
            {
                if (!names.Add(name)) throw new WeightFileException($"{file} cannot be written: the name \"{name}\" is used twice.");
                json.WriteStartObject(name);
                json.WriteString("dtype", dtype);
                json.WriteStartArray("shape");
                foreach (long size in shape) json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += bytes);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        // Spaces up to a multiple of 8 keep the data aligned, as the reference writer does.
        int padding = (8 - buffer.WrittenCount % 8) % 8;
        return [.. buffer.WrittenSpan, .. Enumerable.Repeat((byte)' ', padding)];
    }

    static int Size(string dtype, string name, string file) =>
        TensorDtype.TrySize(dtype, out int size)
            ? size
            : throw new WeightFileException($"{file} cannot be written: the tensor \"{name}\" has the unknown dtype \"{dtype}\"; known are {TensorDtype.Known}.");

    static long ByteLength(long[] shape, int size, string name, string file) =>
        shape.All(s => s >= 0) && SafetensorsHeader.ByteLength(shape, size) is { } bytes
            ? bytes
            : throw new WeightFileException($"{file} cannot be written: the shape [{string.Join(", ", shape)}] of the tensor \"{name}\" is impossible.");
}
