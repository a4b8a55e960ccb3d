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

    private readonly Lock machine = new();
    private readonly SemaphoreSlim oneTrains = new(1);
    private bool training;
    private Measuring? measuring;

    /// Waits for what trains now and until a step that is being measured has stopped: two would slow each other down and draw from one random generator.
    internal IDisposable TakeToTrain(CancellationToken cancel, bool curve = false)
    {
        oneTrains.Wait(cancel);
        Measuring? waited;
        lock (machine) (training, waited) = (true, measuring);
        CurveTrains = curve;
        var taken = new Training(this);
        try { waited?.StopAndWait(cancel); }
        catch { taken.Dispose(); throw; }
        return taken;
    }

    /// Whether it is a learning curve that trains, so that runs wait.
    internal bool CurveTrains { get; private set; }

    /// Whether a run trains, or waits for a step that is being measured to stop.
    internal bool RunWants { get { lock (machine) return training; } }

    /// Null where a run trains, which trains says, or somebody else measures.
    internal Measuring? TakeToMeasure(out bool trains)
    {
        lock (machine)
        {
            trains = training;
            return training || measuring is not null ? null : measuring = new(this);
        }
    }

    private sealed class Training(TrainerSignals signals) : IDisposable
    {
        public void Dispose()
        {
            lock (signals.machine) signals.training = signals.CurveTrains = false;
            signals.oneTrains.Release();
        }
    }

    /// The machine while a step is measured.
    internal sealed class Measuring(TrainerSignals signals) : IDisposable
    {
        private readonly CancellationTokenSource runWaits = new();
        private readonly TaskCompletionSource over = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// Cancelled when a run wants to train.
        public CancellationToken RunWaits => runWaits.Token;

        public void StopAndWait(CancellationToken cancel)
        {
            runWaits.Cancel();
            over.Task.Wait(cancel);
        }

        public void Dispose()
        {
            lock (signals.machine) signals.measuring = null;
            over.TrySetResult();
        }
    }

    private sealed record Request(int RunId, StopRequest What);

    private sealed record Estimate(int RunId, double Seconds);
}
