using FineTuneStudio.Checklists;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Splits;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

/// A labelled row of a part, its answer as the version stores it.
internal sealed record PartRow(long RowId, string Text, string Answer)
{
    internal static async Task<IReadOnlyList<PartRow>> Read(StudioDb db, Split split, SplitPart part, CancellationToken cancel) =>
        await (from s in db.SplitRows
               where s.SplitId == split.Id && s.Part == part
               join v in db.VersionRows on new { VersionId = split.VersionId, s.RowId } equals new { v.VersionId, v.RowId }
               join r in db.Rows on s.RowId equals r.Id
               where v.Label != null
               orderby v.Position
               select new PartRow(r.Id, r.Text, v.Label!)).AsNoTracking().ToListAsync(cancel);
}

/// What a report measures on, and where it says how far it is. Metric is the project's; BaseFolder holds the model before the run.
internal sealed record TestPart(TextTask Task, Metric Metric, int RunNumber, string ModelFolder, string BaseFolder, RunRecipe Recipe, IReadOnlyList<string> Labels,
    IReadOnlyList<PartRow> Train, IReadOnlyList<PartRow> Test, Action<string> Says, CancellationToken Cancel)
{
    public int MaxLength => Recipe.MaxLength;

    /// The rows as training would get them.
    public IReadOnlyList<TrainingExample> Examples(IReadOnlyList<PartRow> rows)
    {
        var (answers, index) = (Answers.Of(Task), Labels.Select((name, i) => (name, i)).ToDictionary(l => l.name, l => l.i, StringComparer.Ordinal));
        return [.. rows.Select(r => answers.Example(r.RowId, r.Text, r.Answer, index))];
    }

    public IReadOnlyList<int> LabelsOf(IReadOnlyList<PartRow> rows) => [.. Examples(rows).Select(e => ((LabeledText)e).Label)];
}

/// What was measured. Baselines are on the same rows, their differences paired.
internal sealed record TestNumbers(Scores Model, int[][] Confusion, IReadOnlyList<Baseline> Baselines, IReadOnlyList<Mistake> Mistakes, int MistakeCount, SpanNumbers? Spans = null, LabelSets? LabelSets = null, NumberErrors? NumberErrors = null)
{
    /// Of a task that writes: some answers, how many rows were answered and what they were drawn with, and how many of their prompts lost their beginning.
    public IReadOnlyList<AnswerSample>? Samples { get; init; }
    public int? WrittenRows { get; init; }
    public int? WrittenSeed { get; init; }
    public int? CutPrompts { get; init; }
    public TextLengths? Lengths { get; init; }

    /// Of a task that finds answers in a context.
    public AnswerNumbers? Answers { get; init; }
}

/// The numbers of a report: the fine-tuned model and simple baselines on the same test rows.
internal abstract class MeasureTestPart
{
    internal static MeasureTestPart Of(TextTask task) => task switch
    {
        TextTask.SingleLabel => new MeasureSingleLabel(),
        TextTask.TokenClassification => new MeasureSpans(),
        TextTask.Generation => new MeasureGeneration(),
        TextTask.MultiLabel => new MeasureMultiLabel(),
        TextTask.Regression => new MeasureRegression(),
        TextTask.QuestionAnswering => new MeasureQuestions(),
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    internal abstract TestNumbers Handle(TestPart part);

    /// The facts that only the test part can give, added to the checklist of the run.
    internal static MeasuredChecklist WithTestFacts(MeasuredChecklist checklist, Scores model, IReadOnlyList<Baseline> baselines, Metric metric, double? validationScore, double testScore, int looks)
    {
        var best = Strongest(baselines, metric);
        double ours = model.Of(metric).Value, theirs = best.Scores.Of(metric).Value, gain = Gain(metric, ours, theirs);
        checklist = checklist
            .With(DosAndDonts.NoSkippedValidation, new("V11", "Looks at the test part", $"{Say.Count(looks, "look")}, this report included", looks <= 1 ? FactState.Pass : looks <= 3 ? FactState.Warn : FactState.Block, "pass at 1, block above 3", "our own: every look adapts a choice to the test part"))
            .With(DosAndDonts.NoScratch, new("P3", "Better than a simple model", $"{metric.Name()} {Say.Score(ours)} against {Say.Score(theirs)} of {best.Name}; gain {Say.Score(gain)} of what was left to win",
                gain <= 0 ? FactState.Block : gain >= 0.10 && (metric.IsHigherBetter() ? best.Difference.Low > 0 : best.Difference.High < 0) ? FactState.Pass : FactState.Warn, "pass from 0.10 with the interval above 0, block at 0 or less", "deepchecks simple model comparison 0.1"));
        if (validationScore is not { } validation) return checklist;
        var bias = metric.IsHigherBetter() ? validation - testScore : testScore - validation;
        if (!metric.IsBestAtOne()) bias /= Math.Max(Math.Abs(testScore), 1e-12);
        return checklist.With(DosAndDonts.NoIgnoredFit, new("H6", "Validation above test", $"{Say.Signed(bias)}: {Say.Score(validation)} on validation at the best checkpoint, {Say.Score(testScore)} on test", bias <= 0.05 ? FactState.Pass : bias <= 0.10 ? FactState.Warn : FactState.Block, "pass up to 0.05, block above 0.10", "MLflow 0.05, deepchecks 0.10"));
    }

    /// A baseline that leaves words out is weaker for it, which whoever compares with it has to know.
    internal static string WordsUsed((int Used, int Seen) words) =>
        words.Used == words.Seen ? "" : $" Of the {Say.Count(words.Seen)} different words there, only the {Say.Count(words.Used)} most frequent are used, so that its weights fit in memory; with all of them it could be better.";

    internal static Baseline Strongest(IReadOnlyList<Baseline> baselines, Metric metric) =>
        metric.IsHigherBetter() ? baselines.MaxBy(b => b.Scores.Of(metric).Value)! : baselines.MinBy(b => b.Scores.Of(metric).Value)!;

    /// How much of what a simple model leaves to win the fine-tuned one wins; of a metric without a best value, how much better it is in proportion.
    private static double Gain(Metric metric, double ours, double theirs) => metric.IsBestAtOne() ? theirs >= 1 ? 0 : (ours - theirs) / (1 - theirs)
        : theirs == 0 ? 0 : (metric.IsHigherBetter() ? ours - theirs : theirs - ours) / Math.Abs(theirs);
}
