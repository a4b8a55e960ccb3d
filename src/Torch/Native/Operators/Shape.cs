namespace TorchSharp.Native;

// The same elements in another shape or order, joined or taken apart.
internal static partial class Ops
{
    internal static readonly Operator as_strided = new("as_strided");
    internal static readonly Operator atleast_1d = new("atleast_1d");
    internal static readonly Operator atleast_2d = new("atleast_2d");
    internal static readonly Operator atleast_3d = new("atleast_3d");
    internal static readonly Operator broadcast_to = new("broadcast_to");
    internal static readonly Operator cat = new("cat");
    internal static readonly Operator chunk = new("chunk");
    internal static readonly Operator diagonal = new("diagonal");
    internal static readonly Operator expand = new("expand");
    internal static readonly Operator expand_as = new("expand_as");
    internal static readonly Operator flatten_using_ints = new("flatten", "using_ints");
    internal static readonly Operator flip = new("flip");
    internal static readonly Operator fliplr = new("fliplr");
    internal static readonly Operator flipud = new("flipud");
    internal static readonly Operator hstack = new("hstack");
    internal static readonly Operator mT = new("mT");
    internal static readonly Operator moveaxis_int = new("moveaxis", "int");
    internal static readonly Operator moveaxis_intlist = new("moveaxis", "intlist");
    internal static readonly Operator movedim_int = new("movedim", "int");
    internal static readonly Operator movedim_intlist = new("movedim", "intlist");
    internal static readonly Operator narrow = new("narrow");
    internal static readonly Operator numpy_T = new("numpy_T");
    internal static readonly Operator permute = new("permute");
    internal static readonly Operator ravel = new("ravel");
    internal static readonly Operator repeat = new("repeat");
    internal static readonly Operator repeat_interleave_self_Tensor = new("repeat_interleave", "self_Tensor");
    internal static readonly Operator repeat_interleave_self_int = new("repeat_interleave", "self_int");
    internal static readonly Operator reshape = new("reshape");
    internal static readonly Operator roll = new("roll");
    internal static readonly Operator split_Tensor = new("split", "Tensor");
    internal static readonly Operator split_sizes = new("split", "sizes");
    internal static readonly Operator squeeze = new("squeeze");
    internal static readonly Operator squeeze_ = new("squeeze_");
    internal static readonly Operator squeeze__dim = new("squeeze_", "dim");
    internal static readonly Operator squeeze_dim = new("squeeze", "dim");
    internal static readonly Operator stack = new("stack");
    internal static readonly Operator swapaxes = new("swapaxes");
    internal static readonly Operator swapdims = new("swapdims");
    internal static readonly Operator t = new("t");
    internal static readonly Operator tensor_split_indices = new("tensor_split", "indices");
    internal static readonly Operator tensor_split_sections = new("tensor_split", "sections");
    internal static readonly Operator tensor_split_tensor_indices_or_sections = new("tensor_split", "tensor_indices_or_sections");
    internal static readonly Operator tile = new("tile");
    internal static readonly Operator transpose_ = new("transpose_");
    internal static readonly Operator transpose_int = new("transpose", "int");
    internal static readonly Operator unbind_int = new("unbind", "int");
    internal static readonly Operator unflatten_int = new("unflatten", "int");
    internal static readonly Operator unfold = new("unfold");
    internal static readonly Operator unsqueeze = new("unsqueeze");
    internal static readonly Operator unsqueeze_ = new("unsqueeze_");
    internal static readonly Operator view = new("view");
    internal static readonly Operator view_as = new("view_as");
    internal static readonly Operator vstack = new("vstack");
}
