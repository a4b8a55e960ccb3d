using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

/// Everything the page of a pretraining says, as of now. Made is the base model that came of it, once it is over.
public sealed record PretrainView(TrainingView All, PretrainRun Run, BaseModel? From, IReadOnlyList<string> HeldOut, BaseModel? Made) : TrainingView(All)
{
    /// What it comes to, in a sentence or two.
    public string Sentence => Run.State switch
    {
        RunState.Queued when CurveTrains => $"Waiting for a learning curve to end{(Ahead > 0 ? $", and {Say.Count(Ahead, "run")} before this one" : "")}.",
        RunState.Queued when Ahead == 0 => "Starting.",
        RunState.Queued => $"Waiting: {Say.Count(Ahead, "run")} before this one.",
        RunState.Running when Run.Asked == "cancel" => "Cancelling after this step.",
        RunState.Running when Run.Asked == "stop" => "Stopping after this step; the best model is kept.",
        RunState.Running when Run.StepsDone == 0 => "Starting: the texts are read and cut into tokens, which takes a while for large ones.",
        RunState.Running => $"Learning. {HeldOutSentence}",
        RunState.Interrupted => $"Interrupted at step {Say.Count(Run.StepsDone)}{(Run.Failure is null ? ", when the server stopped." : $". {Run.Failure}")} " +
            (Checkpoint ? "It can go on from its last checkpoint." : "There is no checkpoint yet, so it would start from the beginning."),
        RunState.Failed => Run.Failure ?? "It failed.",
        RunState.Cancelled => $"Cancelled at step {Say.Count(Run.StepsDone)}; no model was kept.",
        _ => $"{(Run.State == RunState.StoppedByPerson ? "Stopped by a person." : "Finished.")} {(Run.HasModel ? HeldOutSentence : "There is no model: it was stopped before anything was measured.")}",
    };

    /// What is held out, and how much that is once it is known.
    public string HeldOutSaid => Run.Choice is var choice && choice.HeldOut.Count == 0 && choice.Share == 0 ? "nothing"
        : (choice.HeldOut.Count > 0 ? HeldOut.Count > 0 ? string.Join(", ", HeldOut) : "a text that was removed since" : $"one document of {Say.Count((long)Math.Round(1 / choice.Share))}")
        + (Run.HeldOutWords is { } words ? $", {Say.Count(words, "word")}" : "");

    private string HeldOutSentence
    {
        get
        {
            if (Evaluations.FirstOrDefault(e => e.Step == 0) is not { } before) return Recipe.EvaluationsPerEpoch == 0 ? "Nothing is held out, so nothing is measured." : "Nothing is measured yet.";
            if (Evaluations.LastOrDefault(e => e.IsBest) is not { } best) return $"Perplexity on the held-out text is {Say.Number(before[Metric.Perplexity])} before the first step; what it comes to is still to be measured.";
            return $"Perplexity on the held-out text went from {Say.Number(before[Metric.Perplexity])} before the first step to {Say.Number(best[Metric.Perplexity])} at step {Say.Count(best.Step)} (lower is better)."
                + (best[Metric.Perplexity] > before[Metric.Perplexity] ? " The text made the model worse: try a lower learning rate, or more text." : "");
        }
    }
}

public sealed class ShowPretraining(IDbContextFactory<StudioDb> databases, ProjectAccess access, TrainerSignals signals, StudioFolder folder)
{
    /// Null where the project has no such pretraining.
    [Needs(Permission.ViewProject)]
    public async Task<PretrainView?> Handle(string projectId, int pretraining, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await db.PretrainRuns.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == projectId && r.Number == pretraining, cancel) is not { } found) return null;
        var from = await db.BaseModels.AsNoTracking().SingleOrDefaultAsync(m => m.Id == found.FromModelId, cancel);
        var held = found.Choice.HeldOut;
        return new(await TrainingView.Read(db, found, [Metric.Perplexity, Metric.TokenAccuracy], signals, folder, cancel), found, from,
            await db.PretrainTexts.Where(t => held.Contains(t.Id)).Select(t => t.Name).ToListAsync(cancel),
            await db.BaseModels.AsNoTracking().SingleOrDefaultAsync(m => m.ProjectId == projectId && m.PretrainingNumber == pretraining, cancel));
    }
}
