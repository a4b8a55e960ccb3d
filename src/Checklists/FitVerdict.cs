using FineTuneStudio.Engine.Training;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;
using static FineTuneStudio.Checklists.FactState;

namespace FineTuneStudio.Checklists;

/// Over-fitting, under-fitting, unstable or healthy, read from a run's evaluations.
/// M1 is the gap between train sample and validation on the metric, M2 Prechelt's generalisation loss (1998), M3 how many
/// evaluations in a row the validation loss rose while the train loss fell.
public sealed record FitVerdict(FactState State, string Sentence, int? Step, double? Gap, double GeneralisationLoss, int RisingStrip)
{
    internal static FitVerdict? Of(ChecklistSubject subject) => subject.Recipe is { } recipe ? Of(subject.Evaluations, recipe.Metric, subject.MajorityScore(recipe.Metric)) : null;

    public static FitVerdict? Of(IReadOnlyList<RunEvaluation> evaluations, Metric metric, double majorityScore)
    {
        if (evaluations.Count == 0) return null;
        var gaps = evaluations.Select(e => Gap1(e, metric)).ToList();
        var (lowest, loss, strip, longest) = (double.PositiveInfinity, 0.0, 0, 0);
        int? since = null;
        var turned = evaluations[0].Step;
        for (var i = 0; i < evaluations.Count; i++)
        {
            var now = evaluations[i];
            // A new lowest takes back whatever looked like over-fitting before it.
            if (now.ValidationLoss < lowest) (lowest, turned, since) = (now.ValidationLoss, now.Step, null);
            loss = 100 * (now.ValidationLoss / lowest - 1);
            var rises = i > 0 && now.ValidationLoss > evaluations[i - 1].ValidationLoss && now.TrainSampleLoss < evaluations[i - 1].TrainSampleLoss;
            strip = rises ? strip + 1 : 0;
            longest = Math.Max(longest, strip);
            if (strip >= 3 || loss >= 5) since = turned;
        }
        var last = evaluations[^1];
        var gap = gaps[^1];
        if (!evaluations.All(e => double.IsFinite(e.ValidationLoss) && double.IsFinite(e.TrainSampleLoss)))
            return new(Block, "Unstable: a loss is not a number. Lower the learning rate.", evaluations.First(e => !double.IsFinite(e.ValidationLoss) || !double.IsFinite(e.TrainSampleLoss)).Step, gap, loss, longest);
        var rising = gaps.Count >= 3 && gap > gaps[^2] && gaps[^2] > gaps[^3];
        if (loss > 0 && gap > 0.10 && rising) since ??= turned;
        if (since is { } step)
        {
            var best = evaluations.LastOrDefault(e => e.IsBest);
            var kept = best is null ? "" : best.Step <= step ? $" The best checkpoint, at step {Say.Count(best.Step)}, is from before." : $" The best checkpoint, at step {Say.Count(best.Step)}, is from after: look at the gap before you rely on it.";
            return new(loss >= 5 || strip >= 3 ? Block : Warn, $"Over-fitting since step {Say.Count(step)}: the model goes on learning the train part and no longer gets better on the validation part.{kept}", step, gap, loss, longest);
        }
        var gain = !metric.IsBestAtOne() || metric == Metric.TokenAccuracy ? (double?)null : (last.TrainSampleMetric - majorityScore) / (1 - majorityScore);
        if (gain < 0.30) return new(Warn, "Under-fitting: even on the train part the model is barely better than guessing. Train longer, with a higher learning rate, or with more layers.", last.Step, gap, loss, longest);
        if (StillLearning(evaluations)) return new(Warn, $"Still learning when it ended at step {Say.Count(last.Step)}: the train loss was falling. Train for more epochs.", last.Step, gap, loss, longest);
        return new(gap > 0.10 ? Warn : Pass, gap > 0.10 ? "Not over-fitting by its losses, but the gap between train and validation is wide." : "Healthy: train and validation move together.", null, gap, loss, longest);
    }

    /// Over the last fifth of the run, the train sample's loss fell faster than a hundredth of itself an epoch.
    private static bool StillLearning(IReadOnlyList<RunEvaluation> evaluations)
    {
        var last = evaluations[^1];
        var before = evaluations.LastOrDefault(e => e.Step <= last.Step * 0.8);
        if (before is null || last.Epoch <= before.Epoch || last.TrainSampleLoss < 0.05) return false;
        return (last.TrainSampleLoss - before.TrainSampleLoss) / before.TrainSampleLoss / (last.Epoch - before.Epoch) < -0.05;
    }

    private static double? Gap1(RunEvaluation e, Metric metric)
    {
        if (metric == Metric.ValidationLoss || e.TrainSampleMetric == 0) return null;
        return (metric.IsHigherBetter() ? e.TrainSampleMetric - e[metric] : e[metric] - e.TrainSampleMetric) / Math.Abs(e.TrainSampleMetric);
    }

    internal static (IReadOnlyList<Fact> Monitor, IReadOnlyList<Fact> NotIgnored) Facts(ChecklistSubject subject, IReadOnlyList<RunStep> steps)
    {
        const string how = "Launch a run with validation on.", m1 = "pass up to 5 %, block above 10 %", m4 = "pass up to 2 %, warn above";
        if (subject.Run is not { } run || subject.Recipe is not { } recipe || Of(subject) is not { } verdict)
            return ([Fact.Unmeasured("M1", "Gap between train sample and validation", m1, "deepchecks 0.10, MLflow 0.05", how)], [Fact.Unmeasured("M4", "Last against best evaluation", m4, "deepchecks 0.05", how)]);
        var last = subject.Evaluations[^1];
        double Goodness(RunEvaluation e) => recipe.Metric.IsHigherBetter() ? e[recipe.Metric] : -e[recipe.Metric];
        var best = subject.Evaluations.MaxBy(Goodness)!;
        var fell = Goodness(best) == 0 ? 0 : (Goodness(best) - Goodness(last)) / Math.Abs(Goodness(best));
        var name = recipe.Metric.Name();
        return (
        [
            verdict.Gap is { } gap
                ? new("M1", "Gap between train sample and validation", $"{Say.Percent(gap)} at step {Say.Count(last.Step)}: {name} {Say.Score(last.TrainSampleMetric)} on the train sample, {Say.Score(Math.Abs(Goodness(last)))} on validation", gap <= 0.05 ? Pass : gap <= 0.10 ? Warn : Block, m1, "deepchecks 0.10, MLflow 0.05")
                : Fact.Unmeasured("M1", "Gap between train sample and validation", m1, "deepchecks 0.10, MLflow 0.05", "Choose another metric than the validation loss for the run."),
            new("M2", "Validation loss above its lowest", $"{Say.Number(Math.Round(verdict.GeneralisationLoss, 1))} % at the last evaluation", verdict.GeneralisationLoss < 2 ? Pass : verdict.GeneralisationLoss < 5 ? Warn : Block, "pass under 2 %, block from 5 %", "Prechelt 1998, GL"),
            new("M3", "Validation loss up while train loss down", $"{Say.Count(verdict.RisingStrip, "evaluation")} in a row at most", verdict.RisingStrip <= 1 ? Pass : verdict.RisingStrip == 2 ? Warn : Block, "pass up to 1, block from 3", "Prechelt 1998, UP"),
        ],
        [
            new("verdict", "Verdict", verdict.Sentence, verdict.State, "over-fitting: M3 ≥ 3, M2 ≥ 5 or M1 > 10 % and rising; under-fitting: gain on train under 0.30 or loss still falling", "Prechelt 1998; limits our own"),
            new("M4", "Last against best evaluation", $"{name} {Say.Score(Math.Abs(Goodness(last)))} last, {Say.Score(Math.Abs(Goodness(best)))} best at step {Say.Count(best.Step)}; the best checkpoint of run {run.Number} is the one kept", fell <= 0.02 ? Pass : Warn, m4, "deepchecks 0.05"),
            Stability(steps),
        ]);
    }

    private static Fact Stability(IReadOnlyList<RunStep> steps)
    {
        const string threshold = "warn when a loss is over 3 times, or a gradient norm over 10 times, the run's median; block at not-a-number";
        if (steps.Count == 0) return Fact.Unmeasured("M6", "Stability", threshold, "limits our own", "It is counted while a run trains.");
        double Median(Func<RunStep, double> of) { var sorted = steps.Select(of).Where(double.IsFinite).Order().ToList(); return sorted.Count == 0 ? 0 : sorted[sorted.Count / 2]; }
        double loss = Median(s => s.TrainLoss), norm = Median(s => s.GradientNorm);
        int broken = steps.Count(s => !double.IsFinite(s.TrainLoss)), jumps = steps.Count(s => s.TrainLoss > 3 * loss && s.Step > steps[^1].Step / 10), norms = steps.Count(s => s.GradientNorm > 10 * norm);
        return new("M6", "Stability", $"{Say.Count(steps.Count, "step")}: {Say.Count(jumps, "jump")} of the loss, {Say.Count(norms, "jump")} of the gradient norm, {Say.Count(broken, "value")} not a number",
            broken > 0 ? Block : jumps > 0 || norms >= 3 ? Warn : Pass, threshold, "limits our own");
    }
}
