namespace TorchSharp.Native;

// Tensors made from nothing, from a range, or in the likeness of another.
internal static partial class Ops
{
    internal static readonly Operator arange_start_step = new("arange", "start_step");
    internal static readonly Operator diag = new("diag");
    internal static readonly Operator diag_embed = new("diag_embed");
    internal static readonly Operator diagflat = new("diagflat");
    internal static readonly Operator empty_like = new("empty_like");
    internal static readonly Operator empty_memory_format = new("empty", "memory_format");
    internal static readonly Operator eye_m = new("eye", "m");
    internal static readonly Operator full = new("full");
    internal static readonly Operator full_like = new("full_like");
    internal static readonly Operator linspace = new("linspace");
    internal static readonly Operator meshgrid_indexing = new("meshgrid", "indexing");
    internal static readonly Operator new_empty = new("new_empty");
    internal static readonly Operator new_full = new("new_full");
    internal static readonly Operator new_ones = new("new_ones");
    internal static readonly Operator new_zeros = new("new_zeros");
    internal static readonly Operator one_hot = new("one_hot");
    internal static readonly Operator ones = new("ones");
    internal static readonly Operator ones_like = new("ones_like");
    internal static readonly Operator scalar_tensor = new("scalar_tensor");
    internal static readonly Operator tril = new("tril");
    internal static readonly Operator tril_ = new("tril_");
    internal static readonly Operator triu = new("triu");
    internal static readonly Operator triu_ = new("triu_");
    internal static readonly Operator zeros = new("zeros");
    internal static readonly Operator zeros_like = new("zeros_like");
}
