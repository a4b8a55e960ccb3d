using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Runs;

/// A stretch of training: from a start or a restart to an end or an interruption.
internal sealed record Stretch(int RunId, Action<TrainingEvent> Report, Func<StopRequest> Stop, bool Resume, CancellationToken Cancel);

/// What differs between the kinds of work that the trainer does.
public abstract class TrainingKind
{
    internal abstract string Kind { get; }

    /// Reads what a run needs; what it answers with trains it.
    internal abstract Func<Stretch, FineTuneResult> Prepare(StudioDb db, TrainingRun run);

    /// The best model is on disk and the run about to be over: a sentence on what became of it. After a kill in this moment it happens again.
    internal virtual string Keep(int runId, FineTuneResult result) => "";

    /// The base model that Keep has made of a run; null where it has made none.
    internal virtual BaseModel? Made(StudioDb db, TrainingRun run) => null;

    /// Whether an error leaves something of worth on the disk: then the run is interrupted, not failed.
    internal virtual bool OutlivesErrors(int runId) => false;

    /// The run is over: removes what nobody needs any more of its folder.
    internal abstract void Clear(int runId, RunState state);
}
