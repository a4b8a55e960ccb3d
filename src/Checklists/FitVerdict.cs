using FineTuneStudio.Engine.Training;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;
using static FineTuneStudio.Checklists.FactState;

namespace FineTuneStudio.Checklists;

/// The reading of a run's curves as a sentence and a state. Kept in reports as it stood, so its fields keep their names.
public sealed record FitVerdict(FactState State, string Sentence, int? Step, double? Gap, double GeneralisationLoss, int RisingStrip)
{
    internal static FitVerdict? Of(ChecklistSubject subject) => subject.Recipe is { } recipe ? Of(subject.Evaluations, recipe.Metric, subject.MajorityScore(recipe.Metric)) : null;

    public static FitVerdict? Of(IReadOnlyList<RunEvaluation> evaluations, Metric metric, double majorityScore)
    {
        if (Fit.Of([.. evaluations.Select(EvaluationPoint.Of)], metric, majorityScore) is not { } fit) return null;
        var ended = Say.Count(evaluations[^1].Step);
        (FactState State, string Sentence) said = fit.Kind switch
        {
            FitKind.Unstable => (Block, "Unstable: a loss is not a number. Lower the learning rate."),
            FitKind.OverFitting => (fit.GeneralisationLoss >= 5 || fit.RisingStrip >= 3 ? Block : Warn, OverFitting(evaluations, fit, Say.Count(fit.Step!.Value))),
            FitKind.UnderFitting => (Warn, "Under-fitting: even on the train part the model is barely better than guessing. Train longer, with a higher learning rate, or with more layers."),
            FitKind.StillLearning => (Warn, $"Still learning when it ended at step {ended}: the train loss was falling. Train for more epochs."),
            FitKind.WideGap => (Warn, "Not over-fitting by its losses, but the gap between train and validation is wide."),
            _ => (Pass, "Healthy: train and validation move together."),
        };
        return new(said.State, said.Sentence, fit.Step, fit.Gap, fit.GeneralisationLoss, fit.RisingStrip);
    }

    private static string OverFitting(IReadOnlyList<RunEvaluation> evaluations, Fit fit, string step)
    {
        if (!fit.HasLearned) return $"The validation loss has stood above its lowest since step {step}, and still the model is barely better than guessing on the train part: more epochs of this will not help. Try another learning rate, or a base model that knows more.";
        var best = evaluations.LastOrDefault(e => e.IsBest);
        var kept = best is null ? "" : best.Step <= fit.Step ? $" The best checkpoint, at step {Say.Count(best.Step)}, is from before." : $" The best checkpoint, at step {Say.Count(best.Step)}, is from after: look at the gap before you rely on it.";
        return $"Over-fitting since step {step}: the model goes on learning the train part and no longer gets better on the validation part.{kept}";
    }

    internal static (IReadOnlyList<Fact> Monitor, IReadOnlyList<Fact> NotIgnored) Facts(ChecklistSubject subject, IReadOnlyList<RunStep> steps)
    {
        const string how = "Launch a run with validation on.", m1 = "pass up to 5 %, block above 10 %", m4 = "pass up to 2 %, warn above";
        if (subject.Run is not { } run || subject.Recipe is not { } recipe || Of(subject) is not { } verdict)
            return ([Fact.Unmeasured("M1", "Gap between train sample and validation", m1, "deepchecks 0.10, MLflow 0.05", how)], [Fact.Unmeasured("M4", "Last against best evaluation", m4, "deepchecks 0.05", how)]);
        var last = subject.Evaluations[^1];
        double Goodness(RunEvaluation e) => recipe.Metric.IsHigherBetter() ? e[recipe.Metric] : -e[recipe.Metric];
        var best = subject.Evaluations.LastOrDefault(e => e.IsBest) ?? last;
        var fell = Goodness(best) == 0 ? 0 : (Goodness(best) - Goodness(last)) / Math.Abs(Goodness(best));
        bool IsNothing(RunEvaluation e) => recipe.Metric.IsShare() && e[recipe.Metric] == 0;
        var name = recipe.Metric.Name();
        return (
        [
            verdict.Gap is { } gap
                ? new("M1", "Gap between train sample and validation", $"{Say.Percent(gap)} at step {Say.Count(last.Step)}: {name} {Say.Score(last.TrainSampleMetric)} on the train sample, {Say.Score(Math.Abs(Goodness(last)))} on validation", gap <= 0.05 ? Pass : gap <= 0.10 ? Warn : Block, m1, "deepchecks 0.10, MLflow 0.05")
                : Fact.Unmeasured("M1", "Gap between train sample and validation", m1, "deepchecks 0.10, MLflow 0.05", recipe.Metric == Metric.ValidationLoss ? "Choose another metric than the validation loss for the run." : $"The train sample's {name} is 0, so there is nothing to hold the validation's against: the model has to learn something first."),
            new("M2", "Validation loss above its lowest", $"{Say.Number(Math.Round(verdict.GeneralisationLoss, 1))} % at the last evaluation", verdict.GeneralisationLoss < 2 ? Pass : verdict.GeneralisationLoss < 5 ? Warn : Block, "pass under 2 %, block from 5 %", "Prechelt 1998, generalisation loss"),
            new("M3", "Validation loss up while train loss down", $"{Say.Count(verdict.RisingStrip, "evaluation")} in a row at most", verdict.RisingStrip <= 1 ? Pass : verdict.RisingStrip == 2 ? Warn : Block, "pass up to 1, block from 3", "Prechelt 1998, the strips of its stopping criteria"),
        ],
        [
            new("verdict", "Verdict", verdict.Sentence, verdict.State, "over-fitting where the validation loss rose 3 evaluations in a row while the train loss fell, is 5 % above its lowest, or is 2 % above it while a gap over 10 % widens; under-fitting where the train rows have won under 0.30 of what guessing leaves to win, or their loss still falls", "Prechelt 1998; limits our own"),
            new("M4", "Last against best evaluation", $"{name} {Say.Score(Math.Abs(Goodness(last)))} last, {Say.Score(Math.Abs(Goodness(best)))} best at step {Say.Count(best.Step)}; that checkpoint of run {run.Number} is the one kept{(IsNothing(best) ? ", though it gets nothing right" : "")}", fell <= 0.02 && !IsNothing(best) ? Pass : Warn, m4, "deepchecks 0.05"),
            Stability(steps),
        ]);
    }

    private static Fact Stability(IReadOnlyList<RunStep> steps)
    {
        const string threshold = "warn at a loss over 3 times, or 3 gradient norms over 10 times, the median of the steps just before; block at not-a-number";
        if (steps.Count == 0) return Fact.Unmeasured("M6", "Stability", threshold, "limits our own", "It is counted while a run trains.");
        var jumps = Jumps.Of([.. steps.Select(s => (s.TrainLoss, s.GradientNorm))]);
        return new("M6", "Stability", $"{Say.Count(steps.Count, "step")}: {Say.Count(jumps.Loss, "jump")} of the loss, {Say.Count(jumps.GradientNorm, "jump")} of the gradient norm, {Say.Count(jumps.NotANumber, "value")} not a number",
            jumps.NotANumber > 0 ? Block : jumps.Loss > 0 || jumps.GradientNorm >= 3 ? Warn : Pass, threshold, "limits our own");
    }
}
