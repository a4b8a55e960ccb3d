using FineTuneStudio.Accounts;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.SignalR;

namespace FineTuneStudio.Runs;

public sealed record StepPoint(int Step, double Epoch, double TrainLoss, double LearningRate, double GradientNorm, double ExamplesPerSecond, long MemoryBytes);

public sealed record EvaluationPoint(int Step, double Epoch, double ValidationLoss, IReadOnlyDictionary<Metric, double> Scores, double TrainSampleLoss, double TrainSampleMetric, bool IsBest)
{
    public double this[Metric metric] => metric == Metric.ValidationLoss ? ValidationLoss : Scores.GetValueOrDefault(metric, double.NaN);

    internal static EvaluationPoint Of(RunEvaluation e) => new(e.Step, e.Epoch, e.ValidationLoss, e.Scores, e.TrainSampleLoss, e.TrainSampleMetric, e.IsBest);
}

/// What is new of a run since the last message. RewoundTo: the run went on from a checkpoint; points at this step and later are replaced.
public sealed record RunUpdate(int? RewoundTo, IReadOnlyList<StepPoint> Steps, IReadOnlyList<EvaluationPoint> Evaluations, string State, int StepsDone, int TotalSteps);

public interface IRunClient
{
    Task Progress(RunUpdate update);

    /// The person may no longer see this run; nothing more will come.
    Task Ended(string sentence);
}

/// Live metrics of runs of every kind. A connection watches one run at a time; what it receives is decided anew at every message.
[Authorize]
public sealed class RunHub(WatchRun watch, CurrentUser user) : Hub<IRunClient>
{
    /// Kind and run are those of a TrainingRun.
    [Needs(Permission.ViewProject)]
    public async Task<RunUpdate> Watch(string projectId, string kind, int run, int sinceStep)
    {
        user.Set(Context.User!);
        try { return await watch.Handle(projectId, kind, run, Context.ConnectionId, sinceStep, Context.ConnectionAborted); }
        catch (Exception refusal) when (refusal is AccessDenied or ArgumentException) { throw new HubException(refusal.Message); }
    }

    [Open(OpenTo.SignedIn, "forgets the caller's own connection")]
    public override Task OnDisconnectedAsync(Exception? exception)
    {
        watch.Forget(Context.ConnectionId);
        return Task.CompletedTask;
    }
}
