using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Weights;

/// <summary>Moves numbers between weight files and tensors, converting the floating-point type where they differ.</summary>
internal static class StoredTensor
{
    private static readonly Dictionary<string, ScalarType> Types = new()
    {
        ["F64"] = ScalarType.Float64, ["F32"] = ScalarType.Float32, ["F16"] = ScalarType.Float16, ["BF16"] = ScalarType.BFloat16,
        ["I64"] = ScalarType.Int64, ["I32"] = ScalarType.Int32, ["U8"] = ScalarType.Byte, ["BOOL"] = ScalarType.Bool,
    };

    /// <summary>Copies a stored tensor into <paramref name="target"/>, which has its shape, a floating type and lives on the CPU or a device.</summary>
    /// <exception cref="WeightFileException">The stored type is not a floating-point type.</exception>
    public static void CopyTo(TensorFile file, TensorEntry entry, Tensor target)
    {
        if (entry.Dtype is not ("F64" or "F32" or "F16" or "BF16"))
            throw new WeightFileException($"The tensor {entry.Name} is stored as {entry.Dtype}; expected F32, F16, BF16 or F64.");
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var source = empty(entry.Shape, dtype: Types[entry.Dtype]);
        file.Bytes(entry.Name).CopyTo(source.bytes);
        target.copy_(source);
    }

    /// <summary>The tensor's numbers as <paramref name="dtype"/> (F32, F16, ...), little-endian and row-major.</summary>
    public static byte[] Bytes(Tensor tensor, string dtype)
    {
        using var scope = NewDisposeScope();
        return tensor.detach().to(Types[dtype]).cpu().contiguous().bytes.ToArray();
    }
}
