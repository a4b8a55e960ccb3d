using TorchSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class utils
        {
            /// <summary>
            /// Scales the gradients so that their norm over all parameters is at most <paramref name="max_norm"/> and returns the
            /// norm before (Pascanu et al. 2013). Parameters without a gradient do not count.
            /// </summary>
            public static double clip_grad_norm_(IEnumerable<Parameter> tensors, double max_norm, double norm_type = 2)
            {
                using var quiet = no_grad();
                using var scope = NewDisposeScope();
                var grads = tensors.Select(t => t.grad).OfType<Tensor>().ToArray();
                if (grads.Length == 0) return 0;
                Tensor norm;
                if (double.IsPositiveInfinity(norm_type)) norm = stack(grads.Select(g => g.abs().max())).max();
                else
                {
                    var each = grads.All(g => g.dtype == grads[0].dtype && g.is_floating_point())
                        ? CallList(Ops._foreach_norm_Scalar, grads, norm_type)
                        : [.. grads.Select(g => Call(Ops.linalg_vector_norm, g, norm_type))];
                    norm = Call(Ops.linalg_vector_norm, stack(each), norm_type);
                }
                double total = norm.ToDouble(), scale = max_norm / (total + 1e-6);
                if (scale < 1) CallVoid(Ops._foreach_mul__Scalar, grads, scale);
                return total;
            }

            /// <summary>Clamps every element of the gradients to [-clip_value, clip_value].</summary>
            public static void clip_grad_value_(IEnumerable<Parameter> tensors, double clip_value)
            {
                using var quiet = no_grad();
                using var scope = NewDisposeScope();
                foreach (var t in tensors) t.grad?.clamp_(-clip_value, clip_value);
            }
        }
    }
}
