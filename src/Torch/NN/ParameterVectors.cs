using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class utils
        {
            /// <summary>All elements of the parameters in one dimension, in order.</summary>
            public static Tensor parameters_to_vector(IEnumerable<Parameter> tensors)
            {
                using var scope = NewDisposeScope();
                return scope.MoveToOuter(cat(tensors.Select(t => t.view(-1)).ToArray()));
            }

            /// <summary>Fills the parameters, in order, from one dimension.</summary>
            public static void vector_to_parameters(Tensor vec, IEnumerable<Parameter> tensors)
            {
                using var quiet = no_grad();
                using var scope = NewDisposeScope();
                long at = 0;
                foreach (var t in tensors)
                {
                    t.copy_(vec.narrow(0, at, t.numel()).view_as(t));
                    at += t.numel();
                }
            }
        }
    }
}
