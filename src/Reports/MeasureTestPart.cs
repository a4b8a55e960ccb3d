using FineTuneStudio.Checklists;
using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Projects;
using FineTuneStudio.Splits;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

/// One part of a split with its labels as positions in the version's label set.
internal sealed record PartRows(IReadOnlyList<long> RowIds, IReadOnlyList<string> Texts, IReadOnlyList<int> Labels)
{
    internal static async Task<PartRows> Read(StudioDb db, Split split, SplitPart part, IReadOnlyList<string> labels, CancellationToken cancel)
    {
        var index = labels.Select((name, i) => (name, i)).ToDictionary(l => l.name, l => l.i, StringComparer.Ordinal);
        var rows = await (from s in db.SplitRows
                          where s.SplitId == split.Id && s.Part == part
                          join v in db.VersionRows on new { VersionId = split.VersionId, s.RowId } equals new { v.VersionId, v.RowId }
                          join r in db.Rows on s.RowId equals r.Id
                          where v.Label != null
                          orderby v.Position
                          select new { r.Id, r.Text, v.Label }).AsNoTracking().ToListAsync(cancel);
        return new([.. rows.Select(r => r.Id)], [.. rows.Select(r => r.Text)], [.. rows.Select(r => index[r.Label!])]);
    }
}

/// The numbers of a report: the fine-tuned model and two baselines on the same test rows.
internal static class MeasureTestPart
{
    private const int MistakesKept = 20;

    internal static Scores ScoresOf(IReadOnlyList<int> labels, IReadOnlyList<int> predictions, int classes, out int[][] confusion)
    {
        var report = Classification.Evaluate(labels, predictions, classes);
        Interval accuracy = Bootstrap.Of(labels, predictions, classes, r => r.Accuracy), macro = Bootstrap.Of(labels, predictions, classes, r => r.MacroF1);
        confusion = report.Confusion;
        return new(report.Count, new(report.Accuracy, accuracy.Low, accuracy.High), new(report.MacroF1, macro.Low, macro.High), report.WeightedF1, report.PerLabel);
    }

    internal static IReadOnlyList<Baseline> Baselines(PartRows train, PartRows test, IReadOnlyList<int> predicted, IReadOnlyList<string> labels, GoalMetric metric, Action<string> says, CancellationToken cancel)
    {
        Func<ClassificationReport, double> of = metric == GoalMetric.MacroF1 ? r => r.MacroF1 : r => r.Accuracy;
        Baseline Compare(string name, string how, IReadOnlyList<int> theirs)
        {
            var scores = ScoresOf(test.Labels, theirs, labels.Count, out _);
            var difference = Bootstrap.OfDifference(test.Labels, theirs, predicted, labels.Count, of);
            return new(name, how, scores, new(of(Classification.Evaluate(test.Labels, predicted, labels.Count)) - of(Classification.Evaluate(test.Labels, theirs, labels.Count)), difference.Low, difference.High));
        }
        var majority = MajorityLabel.Fit(train.Labels, labels.Count).Label;
        says($"Training the baseline: TF-IDF with logistic regression on {Say.Count(train.Texts.Count, "train row")}.");
        var linear = TfIdfLogisticRegression.Fit(train.Texts, train.Labels, labels.Count, cancel).Predict(test.Texts);
        cancel.ThrowIfCancellationRequested();
        says("Drawing 1,000 resamples for each interval.");
        return
        [
            Compare("Majority label", $"Always answers “{labels[majority]}”, the most frequent train label.", [.. Enumerable.Repeat(majority, test.Labels.Count)]),
            Compare("TF-IDF with logistic regression", "Words and word pairs weighted by TF-IDF, logistic regression (C = 1), trained on the same train rows.", linear),
        ];
    }

    internal static (IReadOnlyList<Mistake> Top, int All) Mistakes(PartRows test, float[][] probabilities, IReadOnlyList<int> predicted, IReadOnlyList<string> labels)
    {
        var wrong = Enumerable.Range(0, test.Labels.Count).Where(i => predicted[i] != test.Labels[i]).ToList();
        return ([.. wrong.OrderByDescending(i => probabilities[i][predicted[i]]).Take(MistakesKept)
            .Select(i => new Mistake(test.RowIds[i], test.Texts[i], labels[test.Labels[i]], labels[predicted[i]], probabilities[i][predicted[i]], probabilities[i][test.Labels[i]]))], wrong.Count);
    }

    /// The facts that only the test part can give, added to the checklist of the run.
    internal static MeasuredChecklist WithTestFacts(MeasuredChecklist checklist, Scores model, IReadOnlyList<Baseline> baselines, GoalMetric metric, double? validationScore, double testScore, int looks)
    {
        var best = baselines.MaxBy(b => b.Scores.Of(metric).Value)!;
        double ours = model.Of(metric).Value, theirs = best.Scores.Of(metric).Value, gain = theirs >= 1 ? 0 : (ours - theirs) / (1 - theirs);
        checklist = checklist
            .With(DosAndDonts.NoSkippedValidation, new("V11", "Looks at the test part", $"{Say.Count(looks, "look")}, this report included", looks <= 1 ? FactState.Pass : looks <= 3 ? FactState.Warn : FactState.Block, "pass at 1, block above 3", "our own: every look adapts a choice to the test part"))
            .With(DosAndDonts.NoScratch, new("P3", "Better than a simple model", $"{ReportSentences.Name(metric)} {Say.Score(ours)} against {Say.Score(theirs)} of {best.Name}; gain {Say.Score(gain)} of what was left to win",
                gain <= 0 ? FactState.Block : gain >= 0.10 && best.Difference.Low > 0 ? FactState.Pass : FactState.Warn, "pass from 0.10 with the interval above 0, block at 0 or less", "deepchecks simple model comparison 0.1"));
        if (validationScore is not { } validation) return checklist;
        var bias = validation - testScore;
        return checklist.With(DosAndDonts.NoIgnoredFit, new("H6", "Validation above test", $"{Say.Signed(bias)}: {Say.Score(validation)} on validation at the best checkpoint, {Say.Score(testScore)} on test", bias <= 0.05 ? FactState.Pass : bias <= 0.10 ? FactState.Warn : FactState.Block, "pass up to 0.05, block above 0.10", "MLflow 0.05, deepchecks 0.10"));
    }
}
