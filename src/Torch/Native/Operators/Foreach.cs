namespace TorchSharp.Native;

// One call over a whole list of tensors, for optimizers and gradient norms.
internal static partial class Ops
{
    internal static readonly Operator _foreach_add__List = new("_foreach_add_", "List");
    internal static readonly Operator _foreach_add__Scalar = new("_foreach_add_", "Scalar");
    internal static readonly Operator _foreach_addcdiv__Scalar = new("_foreach_addcdiv_", "Scalar");
    internal static readonly Operator _foreach_addcmul__Scalar = new("_foreach_addcmul_", "Scalar");
    internal static readonly Operator _foreach_div__Scalar = new("_foreach_div_", "Scalar");
    internal static readonly Operator _foreach_mul__Scalar = new("_foreach_mul_", "Scalar");
    internal static readonly Operator _foreach_norm_Scalar = new("_foreach_norm", "Scalar");
    internal static readonly Operator _foreach_sqrt = new("_foreach_sqrt");
}
