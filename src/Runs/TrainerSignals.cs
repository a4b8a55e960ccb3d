using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Runs;

/// What pages and the trainer's thread say to each other without going through the database: there is work, please stop, so much time is left.
public sealed class TrainerSignals
{
    private readonly SemaphoreSlim work = new(0);
    private volatile Request asked = new(0, StopRequest.None);
    private volatile Estimate left = new(0, 0);

    internal void Wake() => work.Release();

    /// Also returns by itself after a while, for a run that another process queued.
    internal void WaitForWork(CancellationToken cancel) => work.Wait(TimeSpan.FromSeconds(10), cancel);

    internal void Ask(int runId, StopRequest what) => asked = new(runId, what);

    internal StopRequest Asked(int runId) => asked is { } a && a.RunId == runId ? a.What : StopRequest.None;

    internal void Expect(int runId, double secondsLeft) => left = new(runId, secondsLeft);

    internal double? SecondsLeft(int runId) => left is { } l && l.RunId == runId && double.IsFinite(l.Seconds) ? l.Seconds : null;

    private sealed record Request(int RunId, StopRequest What);

    private sealed record Estimate(int RunId, double Seconds);
}
