using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Splits;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;
using static FineTuneStudio.Checklists.FactState;

namespace FineTuneStudio.Checklists;

/// What can be counted in a dataset version.
internal static class DataFacts
{
    private const string Import = "Import labelled data on the Data page.";

    internal static async Task<IReadOnlyList<Fact>> Quality(StudioDb db, ChecklistSubject subject, CancellationToken cancel)
    {
        var answers = Answers.Of(subject.Project.Task);
        var name = char.ToUpperInvariant(answers.GivenRows[0]) + answers.GivenRows[1..];
        if (subject.Version is not { } version) return [Fact.Unmeasured("D5", name, "pass from 50", "our own", Import)];
        var facts = new List<Fact>
        {
            new("D5", name, $"{Say.Count(version.LabeledCount)} of {Say.Count(version.RowCount, "row")} in version {version.Number} carry {answers.One}; {Say.Count(version.RowCount - version.LabeledCount)} do not",
                version.LabeledCount < 50 ? Block : version.LabeledCount < version.RowCount ? Warn : Pass, $"block under 50 {answers.GivenRows}, warn while rows are {answers.Missing}", "deepchecks and Ludwig size checks; limit our own"),
        };
        var labels = answers.HasOneRight;
        if (subject.Project.Task is TextTask.SingleLabel or TextTask.TokenClassification) facts.Add(Smallest(subject));
        var distinct = await One(db, $"SELECT COUNT(DISTINCT r.TextKey) AS Value FROM VersionRows v JOIN Rows r ON r.Id = v.RowId WHERE v.VersionId = {version.Id}", cancel);
        var repeated = version.RowCount - distinct;
        var share = version.RowCount == 0 ? 0 : (double)repeated / version.RowCount;
        facts.Add(new("D6", "Exact duplicates", $"{Say.Count(repeated)} of {Say.Count(version.RowCount, "row")} ({Say.Percent(share)}) {(repeated == 1 ? "repeats" : "repeat")} another row's text",
            share <= 0.01 ? Pass : share <= 0.05 ? Warn : Block, "pass up to 1 %, block above 5 %", "deepchecks DataDuplicates 0.05"));
        facts.Add(labels ? await Conflicts(db, version, answers, cancel)
            : Fact.NotFor("D7", "Same text, different answers", subject.Project.Task == TextTask.Generation ? "a prompt may have several good answers" : "a question may have several right answers"));
        facts.Add(await Rejected(db, version.Id, cancel));
        // What no page reviews cannot be asked for.
        if (!answers.HasReview) return [.. facts, Fact.NotFor("D1b", $"{char.ToUpperInvariant(answers.Many[0])}{answers.Many[1..]} looked at by a person", $"the review is for single labels; look through the {answers.Many} in the file before it is uploaded")];
        var looked = await One(db, $"SELECT COUNT(DISTINCT RowId) AS Value FROM (SELECT d.RowId FROM Decisions d JOIN VersionRows v ON v.RowId = d.RowId AND v.VersionId = {version.Id} GROUP BY d.VersionId, d.RowId HAVING SUM(d.Kind = 'Label') > SUM(d.Kind = 'Undo'))", cancel);
        facts.Add(new("D1b", "Labels looked at by a person", $"{Say.Count(looked, "row")} of this version {(looked == 1 ? "has" : "have")} a decision from the review", looked >= 50 ? Pass : Warn, "pass from 50 reviewed rows", "our own, after the sample size of a label audit",
            looked >= 50 ? null : "Decide on rows in Review; a random sample of 50 already shows how good the labels are."));
        return facts;
    }

    internal static async Task<IReadOnlyList<Fact>> Balance(StudioDb db, ChecklistSubject subject, CancellationToken cancel)
    {
        if (subject.Project.Task is TextTask.Generation or TextTask.QuestionAnswering) return
        [
            Answered(subject),
            Fact.NotFor("D3", "Balance of classes", subject.Project.Task == TextTask.Generation ? "written answers belong to no classes, of which one could be rare" : "answers are places in a context and belong to no classes, of which one could be rare"),
        ];
        const string ratio = "warn under 0.10, block when the label also has under 100 train rows";
        if (subject.Version is { } numbered && subject.Project.Task == TextTask.Regression)
            return [Fact.NotFor("D3", "Balance of classes", "numbers belong to no classes, of which one could be rare; the version's page shows how they are spread"), await Conflicts(db, numbered, Answers.Of(subject.Project.Task), cancel)];
        if (subject.Version is not { } version || subject.Labels.Count == 0) return [Fact.Unmeasured("D3", "Imbalance ratio", ratio, "evalml class imbalance check", Import)];
        int most = subject.Labels.Max(l => l.Count), named = subject.Labels.Sum(l => l.Count), labelled = Math.Max(1, version.LabeledCount);
        var least = subject.Labels.MinBy(l => l.Count)!;
        var worst = (double)least.Count / (least.Count + most);
        var inTrain = subject.Parts.FirstOrDefault(p => p.Name == least.Name)?.Train ?? least.Count;
        var smallest = (double)least.Count / labelled;
        if (subject.HasSpans)
            return
            [
                new("labels", "Spans of each type", $"{Say.Count(subject.Labels.Count, "type")}, from {Say.Count(least.Count)} (“{least.Name}”) to {Say.Count(most)} (“{subject.Labels.MaxBy(l => l.Count)!.Name}”) spans", least.Count >= 100 ? Pass : least.Count >= 5 ? Warn : Block, "pass from 100 spans of each type, block under 5", "limits as for labels of texts"),
                new("D3", "Imbalance ratio", $"{Say.Score(worst)} for the rarest type “{least.Name}”, in spans (0.5 is perfect balance)", worst >= 0.10 ? Pass : Warn, "warn under 0.10", "evalml class imbalance check: 0.10"),
                await Conflicts(db, version, Answers.Of(subject.Project.Task), cancel),
            ];
        // A row may bear several labels, and then the shares of all labels together are more than the whole.
        var even = (double)named / labelled / subject.Labels.Count;
        return
        [
            new("labels", "Label counts", least.Count == most ? $"{Say.Count(subject.Labels.Count, "label")} with {Say.Count(most, "row")} each" : $"{Say.Count(subject.Labels.Count, "label")}, from {Say.Count(least.Count)} (“{least.Name}”) to {Say.Count(most)} (“{subject.Labels.MaxBy(l => l.Count)!.Name}”) rows",
                subject.Labels.Count < 2 ? Block : Pass, "block under 2 labels", "a classifier needs two"),
            new("D3", "Imbalance ratio", $"{Say.Score(worst)} for the rarest label “{least.Name}” (0.5 is perfect balance)", worst >= 0.10 ? Pass : inTrain < 100 ? Block : Warn, ratio, "evalml class imbalance check: 0.10, 100 rows"),
            new("D3b", "Share of the rarest label", $"{Say.Percent(smallest)} of the labelled rows; an even share of {Say.Count(subject.Labels.Count, "label")} would be {Say.Percent(even)}",
                smallest >= 0.1 * even ? Pass : Warn, "warn under a tenth of an even share", "cleanlab under-represented class check"),
            subject.Project.Task == TextTask.MultiLabel ? new("D3c", "The metric suits the balance", $"The project's metric is {subject.Project.Metric.Name()}{(subject.Project.Metric == Metric.MacroF1 ? ", which counts every label the same" : ", in which rare labels weigh little")}",
                subject.Project.Metric == Metric.MacroF1 || smallest >= 0.5 * even ? Pass : Warn, "warn for another metric than macro-F1 when the rarest label has under half an even share", "Google's guide on imbalanced data; limit our own")
            : new("D3c", "The metric suits the balance", $"The project's metric is {(subject.Project.Metric == Metric.MacroF1 ? "macro-F1, which counts every label the same" : "accuracy, which hides rare labels")}",
                subject.Project.Metric == Metric.MacroF1 || smallest >= 0.5 * even ? Pass : smallest < 0.1 * even ? Block : Warn, "warn for accuracy when the rarest label has under half an even share", "Google's guide on imbalanced data; limit our own"),
            await Conflicts(db, version, Answers.Of(subject.Project.Task), cancel),
        ];
    }

    private static Fact Answered(ChecklistSubject subject)
    {
        const string threshold = "pass up to 5 %, block above 95 %";
        var name = subject.Project.Task == TextTask.Generation ? "Prompts without an answer" : "Questions that nobody answered";
        if (subject.Version is not { } version) return Fact.Unmeasured("D8", name, threshold, "deepchecks 0.05, evalml 0.95", Import);
        var missing = version.RowCount - version.LabeledCount;
        var share = version.RowCount == 0 ? 1 : (double)missing / version.RowCount;
        return new("D8", name, $"{Say.Count(missing)} of {Say.Count(version.RowCount, "row")} ({Say.Percent(share)})", share <= 0.05 ? Pass : share > 0.95 ? Block : Warn, threshold, "deepchecks 0.05, evalml 0.95");
    }

    private static Fact Smallest(ChecklistSubject subject)
    {
        const string threshold = "pass from 100, block under 5";
        const string source = "evalml 100 rows a class, AutoTrain 5 examples a class";
        if (subject.Parts.Count == 0) return Fact.Unmeasured("D4", "Train rows of the rarest label", threshold, source, "Freeze a split on the Split page.");
        var least = subject.Parts.MinBy(p => p.Train)!;
        return new("D4", subject.HasSpans ? "Train rows of the rarest kind" : "Train rows of the rarest label", subject.HasSpans ? $"{Say.Count(least.Train)} of the kind “{least.Name}”, which is the rarest type in the text" : $"{Say.Count(least.Train)} for “{least.Name}”", least.Train >= 100 ? Pass : least.Train >= 5 ? Warn : Block, threshold, source);
    }

    private static async Task<Fact> Conflicts(StudioDb db, DatasetVersion version, Answers answers, CancellationToken cancel)
    {
        var locked = await LabelledRows.Locked(db, version.ProjectId, cancel);
        var rows = (await LabelledRows.Read(db, version.Id, answers, cancel)).Conflicting(locked).Count;
        var share = version.LabeledCount == 0 ? 0 : (double)rows / version.LabeledCount;
        return new("D7", $"Same text, different {answers.Many}", $"{Say.Count(rows, "row")} ({Say.Percent(share)}) {(rows == 1 ? "shares its" : "share their")} text with a row that {(answers.IsLabel ? "is labelled otherwise" : $"has another {answers.One.Split(' ')[^1]}")}{(locked.Count > 0 ? ", not counting texts of a locked test part" : "")}",
            rows == 0 ? Pass : share <= 0.01 ? Warn : Block, "pass at 0, block above 1 %", "deepchecks ConflictingLabels 0");
    }

    private static async Task<Fact> Rejected(StudioDb db, int versionId, CancellationToken cancel)
    {
        const string threshold = "pass up to 0.1 %, block above 2 %";
        // A reviewed version has its rows from the import at the start of its line.
        var line = await db.Versions.AsNoTracking().Select(v => new { v.Id, v.ParentId, v.ImportId }).ToDictionaryAsync(v => v.Id, cancel);
        int? at = versionId;
        while (at is { } id && line[id].ImportId is null) at = line[id].ParentId;
        var import = at is { } found ? await db.Imports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == line[found].ImportId, cancel) : null;
        if (import is null) return Fact.Unmeasured("D13", "Rows rejected at import", threshold, "our own", "It is counted when a file is imported; this version came without one.");
        var total = import.RowsAccepted + import.RowsRejected;
        var share = total == 0 ? 0 : (double)import.RowsRejected / total;
        return new("D13", "Rows rejected at import", $"{Say.Count(import.RowsRejected)} of {Say.Count(total, "row")} ({Say.Percent(share)}) of “{import.FileName}”", share <= 0.001 ? Pass : share <= 0.02 ? Warn : Block, threshold, "our own");
    }

    internal static async Task<int> One(StudioDb db, FormattableString sql, CancellationToken cancel) => await db.Database.SqlQuery<int>(sql).SingleAsync(cancel);
}
