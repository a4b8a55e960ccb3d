using System.Text.Json;

namespace FineTuneStudio.Engine.Weights;

/// <summary>
/// Reads and checks the JSON header of a safetensors file. Format: 8 bytes little-endian header length, the
/// header (a JSON object: name to dtype, shape, data_offsets; "__metadata__" to strings), then the data, which
/// the tensors must cover completely, without gaps and without overlap.
/// </summary>
sealed class SafetensorsHeader
{
    /// <summary>Largest header that is read, in bytes; the same limit as the reference implementation.</summary>
    public const long MaxLength = 100_000_000;

    public required IReadOnlyDictionary<string, TensorEntry> Entries { get; init; }
    public required IReadOnlyDictionary<string, string> Metadata { get; init; }

    public static SafetensorsHeader Parse(ReadOnlySpan<byte> json, long dataLength, string file)
    {
        Dictionary<string, TensorEntry> entries = new(StringComparer.Ordinal);
        Dictionary<string, string>? metadata = null;
        try
        {
            Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 8 });
            Expect(ref reader, JsonTokenType.StartObject, file, "an object at the top");
            while (Next(ref reader, file).TokenType == JsonTokenType.PropertyName)
            {
                string name = reader.GetString()!;
                if (name == "__metadata__")
                {
                    if (metadata is not null) throw Duplicate(file, name);
                    metadata = ReadMetadata(ref reader, file);
                    continue;
                }
                if (!entries.TryAdd(name, ReadEntry(ref reader, name, file))) throw Duplicate(file, name);
            }
            if (reader.Read()) throw Bad(file, "there is more after the closing brace");
        }
        catch (JsonException e)
        {
            throw Bad(file, $"it is no valid JSON near byte {e.BytePositionInLine ?? 0}");
        }
        catch (InvalidOperationException)
        {
            throw Bad(file, "a name in it is not valid UTF-8");
        }
        CheckOffsets(entries.Values, dataLength, file);
        return new() { Entries = entries, Metadata = metadata ?? [] };
    }

    static Dictionary<string, string> ReadMetadata(ref Utf8JsonReader reader, string file)
    {
        Dictionary<string, string> metadata = new(StringComparer.Ordinal);
        Expect(ref reader, JsonTokenType.StartObject, file, "an object for __metadata__");
        while (Next(ref reader, file).TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            Expect(ref reader, JsonTokenType.String, file, $"text for the metadata \"{Shown(key)}\"");
            if (!metadata.TryAdd(key, reader.GetString()!)) throw Duplicate(file, key);
        }
        return metadata;
    }

    static TensorEntry ReadEntry(ref Utf8JsonReader reader, string name, string file)
    {
        string? dtype = null;
        long[]? shape = null, offsets = null;
        Expect(ref reader, JsonTokenType.StartObject, file, $"an object for the tensor \"{Shown(name)}\"");
        while (Next(ref reader, file).TokenType == JsonTokenType.PropertyName)
        {
            string field = reader.GetString()!;
            switch (field)
            {
                case "dtype" when dtype is null:
                    Expect(ref reader, JsonTokenType.String, file, $"a dtype for the tensor \"{Shown(name)}\"");
                    dtype = reader.GetString()!;
                    break;
                case "shape" when shape is null:
                    shape = ReadNumbers(ref reader, name, field, file);
                    break;
                case "data_offsets" when offsets is null:
                    offsets = ReadNumbers(ref reader, name, field, file);
                    break;
                case "dtype" or "shape" or "data_offsets":
                    throw Duplicate(file, $"{name}.{field}");
                default:
                    throw Bad(file, $"the tensor \"{Shown(name)}\" has the unknown field \"{Shown(field)}\"");
            }
        }
        if (dtype is null || shape is null || offsets is not { Length: 2 })
            throw Bad(file, $"the tensor \"{Shown(name)}\" needs a dtype, a shape and two data_offsets");
        if (!TensorDtype.TrySize(dtype, out int size))
            throw new WeightFileException($"{file}: the tensor \"{Shown(name)}\" has the unknown dtype \"{Shown(dtype)}\"; known are {TensorDtype.Known}.");
        if (offsets[0] > offsets[1])
            throw new WeightFileException($"{file}: the tensor \"{Shown(name)}\" ends at byte {offsets[1]}, before it begins at byte {offsets[0]}.");
        long? bytes = ByteLength(shape, size);
        if (bytes != offsets[1] - offsets[0])
            throw new WeightFileException($"{file}: the tensor \"{Shown(name)}\" of {dtype} [{string.Join(", ", shape)}] needs {bytes?.ToString() ?? "more than 2^63"} bytes, but its offsets give it {offsets[1] - offsets[0]}.");
        return new(name, dtype, shape, offsets[0], offsets[1]);
    }

    static long[] ReadNumbers(ref Utf8JsonReader reader, string name, string field, string file)
    {
        Expect(ref reader, JsonTokenType.StartArray, file, $"a list for {field} of the tensor \"{Shown(name)}\"");
        List<long> numbers = [];
        while (Next(ref reader, file).TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
                throw Bad(file, $"{field} of the tensor \"{Shown(name)}\" holds something else than whole numbers from 0");
            numbers.Add(number);
        }
        return [.. numbers];
    }

    /// <summary>Product of the shape and the element size, or null when it does not fit in 63 bits.</summary>
    public static long? ByteLength(ReadOnlySpan<long> shape, int elementSize)
    {
        Int128 bytes = elementSize;
        bool empty = shape.Contains(0);
        foreach (long size in shape)
        {
            bytes *= size;
            if (!empty && bytes > long.MaxValue) return null;
        }
        return empty ? 0 : (long)bytes;
    }

    static void CheckOffsets(IEnumerable<TensorEntry> entries, long dataLength, string file)
    {
        long at = 0;
        string before = "the header";
        foreach (TensorEntry entry in entries.OrderBy(e => e.Begin).ThenBy(e => e.End))
        {
            if (entry.End > dataLength)
                throw new WeightFileException($"{file}: the tensor \"{Shown(entry.Name)}\" ends at byte {entry.End} of the data, but there are only {dataLength}; the file was probably cut off, so copy or download it again.");
            if (entry.Begin < at)
                throw new WeightFileException($"{file}: the tensor \"{Shown(entry.Name)}\" begins at byte {entry.Begin} and overlaps {before}, which ends at byte {at}.");
            if (entry.Begin > at)
                throw new WeightFileException($"{file}: bytes {at} to {entry.Begin} before the tensor \"{Shown(entry.Name)}\" belong to no tensor.");
            at = entry.End;
            before = $"\"{Shown(entry.Name)}\"";
        }
        if (at != dataLength)
            throw new WeightFileException($"{file}: {dataLength - at} bytes after the last tensor belong to no tensor.");
    }

    static ref Utf8JsonReader Next(ref Utf8JsonReader reader, string file)
    {
        if (!reader.Read()) throw Bad(file, "it stops too early");
        return ref reader;
    }

    static void Expect(ref Utf8JsonReader reader, JsonTokenType kind, string file, string what)
    {
        if (Next(ref reader, file).TokenType != kind) throw Bad(file, $"expected {what}");
    }

    static WeightFileException Bad(string file, string why) => new($"{file}: the header cannot be read: {why}.");

    static WeightFileException Duplicate(string file, string name) => new($"{file}: the name \"{Shown(name)}\" is in the header twice.");

    /// <summary>A name from the file, made safe to print: control characters and length are cut.</summary>
    public static string Shown(string name)
    {
        string clean = string.Concat(name.Take(80).Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c));
        return name.Length > 80 ? clean + "..." : clean;
    }
}
