namespace TorchSharp.Native;

// Other dtypes, devices, layouts and copies of the same numbers.
internal static partial class Ops
{
    internal static readonly Operator alias = new("alias");
    internal static readonly Operator clone = new("clone");
    internal static readonly Operator contiguous = new("contiguous");
    internal static readonly Operator copy_ = new("copy_");
    internal static readonly Operator detach = new("detach");
    internal static readonly Operator detach_ = new("detach_");
    internal static readonly Operator fill__Scalar = new("fill_", "Scalar");
    internal static readonly Operator to_dense = new("to_dense");
    internal static readonly Operator to_device = new("to", "device");
    internal static readonly Operator to_dtype = new("to", "dtype");
    internal static readonly Operator to_other = new("to", "other");
    internal static readonly Operator type_as = new("type_as");
    internal static readonly Operator zero_ = new("zero_");
}
