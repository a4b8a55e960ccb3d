namespace TorchSharp.Native;

// Products of vectors and matrices.
internal static partial class Ops
{
    internal static readonly Operator addmm = new("addmm");
    internal static readonly Operator addmm_ = new("addmm_");
    internal static readonly Operator baddbmm = new("baddbmm");
    internal static readonly Operator bmm = new("bmm");
    internal static readonly Operator dot = new("dot");
    internal static readonly Operator einsum = new("einsum");
    internal static readonly Operator inner = new("inner");
    internal static readonly Operator matmul = new("matmul");
    internal static readonly Operator mm = new("mm");
    internal static readonly Operator mv = new("mv");
    internal static readonly Operator outer = new("outer");
    internal static readonly Operator tensordot = new("tensordot");
    internal static readonly Operator vdot = new("vdot");
}
