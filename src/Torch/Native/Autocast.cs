namespace TorchSharp.Native;

/// <summary>
/// What torch.autocast("cpu", dtype=torch.bfloat16) is in Python; TorchSharp has no such thing. Until it is disposed, on the thread that made it,
/// matrix products and convolutions on the CPU read and write bfloat16, losses read float32, and what is between keeps the type it is given.
/// Weights that are cast are kept until the outermost one is left, so backward belongs outside.
/// </summary>
public sealed unsafe class Autocast : IDisposable
{
    private readonly long before;
    private bool disposed;

    public Autocast()
    {
        long found;
        Library.Check(Library.EnterAutocast(&found));
        before = found;
    }

    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        Library.Check(Library.LeaveAutocast(before));
    }
}
