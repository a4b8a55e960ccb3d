using FineTuneStudio.Engine.FewShot;

namespace FineTuneStudio.FewShot;

/// What pages and the thread that measures curves say to each other without going through the database: there is work, please stop, so far it is.
public sealed class CurveSignals
{
    private readonly SemaphoreSlim work = new(0);
    private volatile Place standing = new(0, null);
    private volatile int stop;

    internal void Wake() => work.Release();

    /// Also returns by itself after a while, for a curve that another process queued.
    internal void WaitForWork(CancellationToken cancel) => work.Wait(TimeSpan.FromSeconds(10), cancel);

    internal void AskStop(int curveId) => stop = curveId;

    internal void ForgetStop(int curveId) { if (stop == curveId) stop = 0; }

    internal bool StopAsked(int curveId) => stop == curveId;

    internal void Stand(int curveId, CurveProgress? at) => standing = new(curveId, at);

    /// Null where the curve is not being measured now.
    internal CurveProgress? Standing(int curveId) => standing is { } s && s.CurveId == curveId ? s.At : null;

    private sealed record Place(int CurveId, CurveProgress? At);
}
