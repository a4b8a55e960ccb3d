using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>Until it is disposed, operations on this thread record no history.</summary>
    public static IDisposable no_grad() => new GradMode(false);

    public static IDisposable enable_grad(bool enabled = true) => new GradMode(enabled);

    public static IDisposable set_grad_enabled(bool mode = true) => new GradMode(mode);

    /// <summary>Like no_grad and faster: the tensors made in it can never take part in autograd.</summary>
    public static IDisposable inference_mode(bool mode = true) => new InferenceMode(mode);

    public static unsafe bool is_grad_enabled() => Library.GradEnabled() != 0;

    public static unsafe bool is_inference_mode_enabled() => Library.InferenceEnabled() != 0;

    private sealed unsafe class GradMode : IDisposable
    {
        private readonly int before = Library.GradEnabled();
        private bool disposed;

        internal GradMode(bool enabled) => Library.SetGradEnabled(enabled ? 1 : 0);

        public void Dispose()
        {
            if (disposed) return;
            disposed = true;
            Library.SetGradEnabled(before);
        }
    }

    private sealed unsafe class InferenceMode(bool enabled) : IDisposable
    {
        private nint guard = Library.InferenceGuard(enabled ? 1 : 0);

        public void Dispose()
        {
            if (guard != 0) Library.InferenceUnguard(guard);
            guard = 0;
        }
    }

    public static class autograd
    {
        /// <summary>Adds the gradients of <paramref name="tensors"/> to the grad of the graph's leaves (or of <paramref name="inputs"/> only).</summary>
        public static unsafe void backward(IList<Tensor> tensors, IList<Tensor>? grad_tensors = null, bool? retain_graph = null, bool create_graph = false, IList<Tensor>? inputs = null)
        {
            nint[] roots = Handles(tensors), grads = Handles(grad_tensors), leaves = Handles(inputs);
            fixed (nint* r = roots, g = grads, l = leaves)
                Library.Check(Library.Backward(r, roots.Length, g, grads.Length, (retain_graph ?? create_graph) ? 1 : 0, create_graph ? 1 : 0, l, leaves.Length));
            GC.KeepAlive(tensors);
            GC.KeepAlive(grad_tensors);
            GC.KeepAlive(inputs);
        }

        /// <summary>The gradients of <paramref name="outputs"/> with respect to <paramref name="inputs"/>, one each; grad fields stay as they are.</summary>
        public static unsafe IList<Tensor> grad(IList<Tensor> outputs, IList<Tensor> inputs, IList<Tensor>? grad_outputs = null, bool retain_graph = false, bool create_graph = false, bool allow_unused = false)
        {
            nint[] roots = Handles(outputs), leaves = Handles(inputs), grads = Handles(grad_outputs), results = new nint[inputs.Count];
            fixed (nint* r = roots, l = leaves, g = grads, o = results)
                Library.Check(Library.AutogradGrad(r, roots.Length, l, leaves.Length, g, grads.Length, retain_graph || create_graph ? 1 : 0, create_graph ? 1 : 0, allow_unused ? 1 : 0, o));
            GC.KeepAlive(outputs);
            GC.KeepAlive(inputs);
            GC.KeepAlive(grad_outputs);
            return results.Select(h => h == 0 ? null! : new Tensor(h)).ToList();
        }

        private static nint[] Handles(IList<Tensor>? tensors) => tensors is null ? [] : [.. tensors.Select(t => t.Handle)];
    }
}
