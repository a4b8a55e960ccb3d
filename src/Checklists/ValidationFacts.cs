using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Quality;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;
using static FineTuneStudio.Checklists.FactState;

namespace FineTuneStudio.Checklists;

/// Whether the model was, and could be, validated.
internal static class ValidationFacts
{
    private const string MakeSplit = "Freeze a split on the Split page.", LaunchRun = "Launch a run on the Runs page.";

    internal static IReadOnlyList<Fact> Regularly(ChecklistSubject subject)
    {
        const string often = "pass from 5 evaluations and one an epoch, block at 1 or none", reachable = "block when patience is at least the number of evaluations";
        if (subject.Run is not { } run || subject.Recipe is not { } recipe)
            return [Fact.Unmeasured("V3", "Evaluations done", often, "limit our own", LaunchRun), Fact.Unmeasured("V4", "Early stopping can fire", reachable, "arithmetic", LaunchRun)];
        var done = subject.Evaluations.Count;
        var epochs = subject.Evaluations.Select(e => e.Epoch).DefaultIfEmpty().Max();
        var each = epochs > 0 ? done / epochs : 0;
        var enough = done <= 1 ? Block : done >= 5 && each >= 0.999 ? Pass : Warn;
        if (!run.IsOver && enough != Pass) enough = Warn;
        var planned = TrainingPlan.For(recipe, subject.TrainRows).EvaluationSteps.Count;
        var patience = recipe.EarlyStoppingPatience;
        return
        [
            new("V3", "Evaluations done", $"{Say.Count(done, "evaluation")} on {Say.Count(subject.ValidationRows, "validation row")} in run {run.Number}" + (each > 0 ? $", {Say.Number(Math.Round(each, 1))} an epoch" : ""), enough, often, "limit our own"),
            new("V4", "Early stopping can fire", patience == 0 ? "Early stopping is off" : $"It waits for {Say.Count(patience, "evaluation")} without improvement; the run plans {Say.Count(planned)}",
                patience == 0 ? Warn : patience >= planned ? Block : patience < planned - 1 ? Pass : Warn, reachable, "arithmetic"),
        ];
    }

    internal static async Task<IReadOnlyList<Fact>> NotSkipped(StudioDb db, ChecklistSubject subject, CancellationToken cancel)
    {
        const string sizes = "pass from 1,068 rows, block under 97: so many make a share of them known to ± 3 and to ± 10 points";
        if (subject.Split is not { } split) return [Fact.Unmeasured("V1", "Train, validation and test exist", "block without validation rows", "arithmetic", MakeSplit), Fact.Unmeasured("V2", "The test part is large enough", sizes, "Wilson interval", MakeSplit)];
        int train = subject.TrainRows, validation = subject.ValidationRows, test = subject.TestRows;
        var half = test == 0 ? 1 : 1.96 * Math.Sqrt(0.25 / test);
        var answers = Answers.Of(subject.Project.Task);
        var leaked = !answers.HasPartInCommon ? await DataFacts.One(db, $"""
            SELECT COUNT(*) AS Value FROM SplitRows h JOIN Rows hr ON hr.Id = h.RowId
            WHERE h.SplitId = {split.Id} AND h.Part <> 'Train' AND hr.TextKey IN
              (SELECT r.TextKey FROM SplitRows t JOIN Rows r ON r.Id = t.RowId WHERE t.SplitId = {split.Id} AND t.Part = 'Train')
            """, cancel) : await Sharing(db, split.Id, answers, cancel);
        return
        [
            new("V1", "Train, validation and test exist", $"Split {split.Number}: {Say.Count(train)} train, {Say.Count(validation)} validation, {Say.Count(test, "test row")}", validation == 0 || train == 0 ? Block : test == 0 ? Warn : Pass, "block without validation rows, warn without test rows", "arithmetic"),
            new("V2", "The test part is large enough", test == 0 ? "There is no test row" : $"{Say.Count(test, "test row")}; {Known(subject.Project.Task, half)}", half <= 0.03 ? Pass : half <= 0.10 ? Warn : Block, sizes, "Wilson interval; deepchecks 100 test rows"),
            new("V5", $"No {answers.Together} on both sides", $"{Say.Count(leaked, "held-out row")} {(leaked == 1 ? "has" : "have")} the same {answers.Together} as a train row{(answers.HasPairs ? "; where rows are pairs, their first texts are compared" : "")}", leaked == 0 ? Pass : Block, "block above 0", "deepchecks index leakage 0"),
            .. Shares(subject),
        ];
    }

    /// Only where a metric is a share of rows does their number alone say how well it is known.
    private static string Known(TextTask task, double half) => task switch
    {
        TextTask.SingleLabel or TextTask.MultiLabel or TextTask.QuestionAnswering => $"a share of them, such as accuracy or exact match, is known to ± {Say.Number(Math.Round(half * 100, 1))} points",
        _ => "its metrics are no shares of rows, so how well they are known is in the intervals of the report",
    };

    /// Whether train and test are alike in what their answers are.
    private static IReadOnlyList<Fact> Shares(ChecklistSubject subject)
    {
        var task = subject.Project.Task;
        var why = task switch
        {
            TextTask.Regression => "a number need not have been in the train rows for the model to answer it",
            TextTask.Generation => "written answers belong to no classes",
            _ => "answers are places in a context and belong to no classes",
        };
        const string same = "Train and test have the same labels in the same shares", trained = "Every test label was trained on";
        if (task is TextTask.Generation or TextTask.QuestionAnswering) return [Fact.NotFor("V9", same, why), Fact.NotFor("V10", trained, why)];
        var unseen = subject.Parts.Where(p => p.Train == 0 && p.Test > 0).Select(p => p.Name).ToList();
        var drift = CramerV(subject.Parts);
        return
        [
            new("V9", task == TextTask.Regression ? "Low and high numbers are spread alike over train and test" : same, $"Cramér's V {Say.Score(drift)} (0 is the same)", drift < 0.15 ? Pass : drift <= 0.3 ? Warn : Block, "pass under 0.15, block above 0.3", "deepchecks label drift 0.15"),
            task == TextTask.Regression ? Fact.NotFor("V10", trained, why)
                : new("V10", trained, unseen.Count == 0 ? "Yes" : $"{Say.Count(unseen.Count, "label")} in the test part {(unseen.Count == 1 ? "has" : "have")} no train row: {string.Join(", ", unseen.Take(5))}", unseen.Count == 0 ? Pass : Block, "block above 0", "deepchecks new label 0"),
        ];
    }

    /// Held-out rows that share with a train row what a split keeps together.
    private static async Task<int> Sharing(StudioDb db, int splitId, Answers answers, CancellationToken cancel)
    {
        var (train, held) = (new HashSet<UInt128>(), new List<UInt128>());
        await foreach (var row in (from s in db.SplitRows where s.SplitId == splitId join r in db.Rows on s.RowId equals r.Id select new { s.Part, r.Text }).AsAsyncEnumerable().WithCancellation(cancel))
        {
            var key = TextNormalization.Hash128(answers.Key(row.Text));
            if (row.Part == SplitPart.Train) train.Add(key);
            else held.Add(key);
        }
        return held.Count(train.Contains);
    }

    /// Association between a row's part (train or test) and its label: sqrt(chi² / n), 0 to 1.
    internal static double CramerV(IReadOnlyList<PartCounts> parts)
    {
        double train = parts.Sum(p => p.Train), test = parts.Sum(p => p.Test), all = train + test, chi = 0;
        if (train == 0 || test == 0) return 0;
        foreach (var part in parts)
        {
            double row = part.Train + part.Test;
            if (row == 0) continue;
            double expectTrain = row * train / all, expectTest = row * test / all;
            chi += (part.Train - expectTrain) * (part.Train - expectTrain) / expectTrain + (part.Test - expectTest) * (part.Test - expectTest) / expectTest;
        }
        return Math.Sqrt(chi / all);
    }
}
