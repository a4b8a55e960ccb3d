namespace TorchSharp.Native;

// Elements picked, written or found by place, mask or value.
internal static partial class Ops
{
    internal static readonly Operator _unique2 = new("_unique2");
    internal static readonly Operator argsort = new("argsort");
    internal static readonly Operator argwhere = new("argwhere");
    internal static readonly Operator bincount = new("bincount");
    internal static readonly Operator bucketize_Tensor = new("bucketize", "Tensor");
    internal static readonly Operator diagonal_scatter = new("diagonal_scatter");
    internal static readonly Operator gather = new("gather");
    internal static readonly Operator index_Tensor = new("index", "Tensor");
    internal static readonly Operator index_add = new("index_add");
    internal static readonly Operator index_add_ = new("index_add_");
    internal static readonly Operator index_copy = new("index_copy");
    internal static readonly Operator index_copy_ = new("index_copy_");
    internal static readonly Operator index_fill__int_Scalar = new("index_fill_", "int_Scalar");
    internal static readonly Operator index_fill_int_Scalar = new("index_fill", "int_Scalar");
    internal static readonly Operator index_put_ = new("index_put_");
    internal static readonly Operator index_select = new("index_select");
    internal static readonly Operator isin_Tensor_Tensor = new("isin", "Tensor_Tensor");
    internal static readonly Operator masked_fill_Scalar = new("masked_fill", "Scalar");
    internal static readonly Operator masked_fill__Scalar = new("masked_fill_", "Scalar");
    internal static readonly Operator masked_scatter = new("masked_scatter");
    internal static readonly Operator masked_scatter_ = new("masked_scatter_");
    internal static readonly Operator masked_select = new("masked_select");
    internal static readonly Operator nonzero = new("nonzero");
    internal static readonly Operator nonzero_numpy = new("nonzero_numpy");
    internal static readonly Operator scatter__src = new("scatter_", "src");
    internal static readonly Operator scatter_add = new("scatter_add");
    internal static readonly Operator scatter_add_ = new("scatter_add_");
    internal static readonly Operator scatter_src = new("scatter", "src");
    internal static readonly Operator select_int = new("select", "int");
    internal static readonly Operator select_scatter = new("select_scatter");
    internal static readonly Operator slice_Tensor = new("slice", "Tensor");
    internal static readonly Operator slice_scatter = new("slice_scatter");
    internal static readonly Operator sort_stable = new("sort", "stable");
    internal static readonly Operator take = new("take");
    internal static readonly Operator take_along_dim = new("take_along_dim");
    internal static readonly Operator topk = new("topk");
    internal static readonly Operator unique_consecutive = new("unique_consecutive");
    internal static readonly Operator unique_dim = new("unique_dim");
    internal static readonly Operator where = new("where");
    internal static readonly Operator where_self = new("where", "self");
}
