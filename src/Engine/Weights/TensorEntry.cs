namespace FineTuneStudio.Engine.Weights;

/// <summary>One tensor in a weight file.</summary>
/// <param name="Name">Key in the header.</param>
/// <param name="Dtype">Type as safetensors spells it: F32, F16, BF16, I64, ...</param>
/// <param name="Shape">Sizes of the dimensions; empty for a scalar.</param>
/// <param name="Begin">First byte, counted from the start of the data part, or of the file for a checkpoint of PyTorch.</param>
/// <param name="End">Byte after the last one.</param>
public sealed record TensorEntry(string Name, string Dtype, long[] Shape, long Begin, long End)
{
    /// <summary>Number of elements; 1 for a scalar.</summary>
    public long Elements => Shape.Aggregate(1L, (product, size) => product * size);
}

/// <summary>The element types of the safetensors format and their sizes in bytes.</summary>
public static class TensorDtype
{
    static readonly Dictionary<string, int> Sizes = new(StringComparer.Ordinal)
    {
        ["BOOL"] = 1, ["U8"] = 1, ["I8"] = 1, ["F8_E5M2"] = 1, ["F8_E4M3"] = 1,
        ["I16"] = 2, ["U16"] = 2, ["F16"] = 2, ["BF16"] = 2,
        ["I32"] = 4, ["U32"] = 4, ["F32"] = 4,
        ["I64"] = 8, ["U64"] = 8, ["F64"] = 8, ["C64"] = 8,
    };

    /// <summary>Bytes of one element, or false for a type that the format does not know.</summary>
    public static bool TrySize(string dtype, out int bytes) => Sizes.TryGetValue(dtype, out bytes);

    /// <summary>All known types, in order of size.</summary>
    public static string Known => string.Join(", ", Sizes.OrderBy(s => s.Value).Select(s => s.Key));
}
