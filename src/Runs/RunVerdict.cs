using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Runs;

/// What a run comes to, in a sentence or two.
public static class RunVerdict
{
    public static string Sentence(RunView view)
    {
        var run = view.Run;
        return run.State switch
        {
            RunState.Queued when view.CurveTrains => $"Waiting for a learning curve to end{(view.Ahead > 0 ? $", and {Say.Count(view.Ahead, "run")} before this one" : "")}.",
            RunState.Queued when view.Ahead == 0 => "Starting: the rows and the base model are being read.",
            RunState.Queued => $"Waiting: {Say.Count(view.Ahead, "run")} before this one.",
            RunState.Running when run.Asked == "cancel" => "Cancelling after this step.",
            RunState.Running when run.Asked == "stop" => "Stopping after this step; the best checkpoint is kept.",
            RunState.Running when run.StepsDone == 0 => "Starting: the rows are read and the base model is loaded.",
            RunState.Running => Learning(view),
            RunState.Interrupted => $"Interrupted at step {Say.Count(run.StepsDone)} of {Say.Count(run.TotalSteps)}{(run.Failure is null ? ", when the server stopped." : $". {run.Failure}")} " +
                (view.Checkpoint ? "It can go on from its last checkpoint." : "There is no checkpoint yet, so it would start from the beginning."),
            RunState.Failed => run.Failure ?? "The run failed.",
            RunState.Cancelled => $"Cancelled at step {Say.Count(run.StepsDone)}; no model was kept.",
            _ => (run.State == RunState.StoppedByPerson ? "Stopped by a person. " : run.StepsDone < run.TotalSteps ? "Finished early, because it no longer got better. " : "Finished. ") + Best(view) + OverFit(view),
        };
    }

    private static string Learning(RunView view)
    {
        if (view.Evaluations.Count == 0) return "Training; the first evaluation on the validation part is still to come.";
        var since = view.Evaluations.Count - 1 - Last(view.Evaluations);
        var trend = since == 0 ? "Still getting better. " : $"No better for {Say.Count(since, "evaluation")}{(view.Recipe.EarlyStoppingPatience > 0 ? $" (it stops after {view.Recipe.EarlyStoppingPatience})" : "")}. ";
        return trend + Best(view) + OverFit(view);
    }

    private static string Best(RunView view)
    {
        var at = Last(view.Evaluations);
        if (at < 0) return view.Run.HasModel ? "Nothing was evaluated; the last weights are the model." : "There is no model: nothing was evaluated.";
        var best = view.Evaluations[at];
        var metric = view.Recipe.Metric;
        return $"Best {metric.Name()} {Say.Number(best[metric])} at step {Say.Count(best.Step)} of {Say.Count(view.Run.TotalSteps)} ({(metric.IsHigherBetter() ? "higher is better" : "lower is better")}; {Say.Count(view.Split.Validation, "validation row")})." +
            (metric.IsShare() && best[metric] == 0 ? " So far it gets nothing right: it may need more epochs, a higher learning rate, or a base model that knows more." : "");
    }

    private static string OverFit(RunView view)
    {
        if (view.Evaluations.Count < 3 || Fit.Of(view.Evaluations, view.Recipe.Metric) is not { Kind: FitKind.OverFitting, Step: { } step }) return "";
        var (then, now) = (view.Evaluations.First(e => e.Step == step), view.Evaluations[^1]);
        return $" Its loss on rows it does not learn from rises: since step {Say.Count(step)} the validation loss went from {Say.Number(then.ValidationLoss)} to {Say.Number(now.ValidationLoss)} while the loss on train rows went from {Say.Number(then.TrainSampleLoss)} to {Say.Number(now.TrainSampleLoss)}.";
    }

    private static int Last(IReadOnlyList<EvaluationPoint> evaluations)
    {
        for (var i = evaluations.Count - 1; i >= 0; i--) if (evaluations[i].IsBest) return i;
        return -1;
    }
}
