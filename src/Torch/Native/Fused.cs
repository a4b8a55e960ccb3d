using TorchSharp.Modules;

namespace TorchSharp.Native;

/// <summary>Updates that pass over memory once where libtorch's single operators take several passes.</summary>
internal static unsafe class Fused
{
    /// <summary>One AdamW step of contiguous float32 tensors on the CPU; false, with nothing changed, where they are others.</summary>
    internal static bool AdamW(IReadOnlyList<(Parameter p, torch.Tensor? grad, AdamW.State state)> items, double lr, double beta1, double beta2, double eps, double decay, double correction1, double correction2)
    {
        int n = items.Count;
        var handles = new nint[4 * n];
        for (int k = 0; k < n; k++)
        {
            handles[k] = items[k].p.Handle;
            handles[n + k] = items[k].grad!.Handle;
            handles[2 * n + k] = items[k].state.exp_avg.Handle;
            handles[3 * n + k] = items[k].state.exp_avg_sq.Handle;
        }
        int other;
        fixed (nint* h = handles)
            other = Library.AdamW(h, h + n, h + 2 * n, h + 3 * n, n, lr, beta1, beta2, eps, decay, correction1, correction2);
        GC.KeepAlive(items);
        Library.Check(other);
        return other == 0;
    }
}
