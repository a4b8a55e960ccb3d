using System.Text.Json.Serialization;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Reports;

/// A row of the test part with its true and its predicted spans.
public sealed record SpanExample(long RowId, string Text, IReadOnlyList<NamedSpan> Actual, IReadOnlyList<PredictedSpan> Predicted);

public sealed record PredictedSpan(int Start, int End, string Label, double Probability);

/// What a report of spans has besides its scores. Lost: true spans that begin amid a word, which no prediction can meet.
public sealed record SpanNumbers(SpanErrors Errors, int Actual, int Predicted, int Lost, IReadOnlyList<SpanExample> Wrong, int WrongRows, IReadOnlyList<SpanExample> Right)
{
    /// Of the others, those that end amid a word, which no prediction can meet either; null in reports from before they were counted.
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public int? EndsLost { get; init; }

    /// The sentence on both; null where there are none.
    [JsonIgnore]
    public string? Unreachable
    {
        get
        {
            static string? Amid(int spans, string verb) => spans > 0 ? $"{Say.Count(spans, "true span")} {verb}{(spans == 1 ? "s" : "")} amid a word" : null;
            string[] said = [.. new[] { Amid(Lost, "begin"), Amid(EndsLost ?? 0, "end") }.OfType<string>()];
            return said.Length == 0 ? null : $"{string.Join(", and ", said)}, where no prediction can; {(Lost + (EndsLost ?? 0) == 1 ? "it counts as a mistake" : "they count as mistakes")}.";
        }
    }

    /// True spans that begin amid a word, and others that end amid one.
    internal static (int Begin, int End) CountUnreachable(IReadOnlyList<SpannedText> rows)
    {
        var (begin, end) = (0, 0);
        foreach (var row in rows)
        {
            var words = Words.Of(row.Text);
            HashSet<int> starts = [.. words.Select(w => w.Start)], ends = [.. words.Select(w => w.End)];
            begin += row.Spans.Count(s => !starts.Contains(s.Start));
            end += row.Spans.Count(s => starts.Contains(s.Start) && !ends.Contains(s.End));
        }
        return (begin, end);
    }
}

/// Spans: entity F1, word accuracy, kinds of errors, and three baselines on the same rows.
internal sealed class MeasureSpans : MeasureTestPart
{
    private const int WrongKept = 15, RightKept = 5;

    internal override TestNumbers Handle(TestPart part)
    {
        List<SpannedText> test = [.. part.Examples(part.Test).Cast<SpannedText>()], train = [.. part.Examples(part.Train).Cast<SpannedText>()];
        var found = Predict(part, test);
        IReadOnlyList<IReadOnlyList<TextSpan>> actual = [.. test.Select(r => r.Spans)], predicted = [.. found.Select(f => (IReadOnlyList<TextSpan>)[.. f.Select(s => s.Span)])];
        part.Says("Drawing 1,000 resamples for each interval.");
        var ours = Side.Of(test, predicted, part.Labels.Count);
        List<(string, IReadOnlyList<TextSpan>)> known = [.. train.Select(r => (r.Text, r.Spans))];
        var (tags, list) = (MostFrequentTags.Fit(known), EntityList.Fit(known));
        Baseline Compare(string name, string how, Func<string, IReadOnlyList<TextSpan>> answer)
        {
            var theirs = Side.Of(test, [.. test.Select(r =>
            {
                part.Cancel.ThrowIfCancellationRequested();
                return answer(r.Text);
            })], part.Labels.Count);
            var (rows, against, metric) = part.Metric == Metric.WordAccuracy ? (ours.Words, theirs.Words, (Func<SpanCounts, double>)(c => c.Precision)) : (ours.Report.ByRow, theirs.Report.ByRow, c => c.F1);
            var interval = Entities.IntervalOfDifference(against, rows, metric);
            return new(name, how, theirs.Scores, new(ours.Scores.Of(part.Metric).Value - theirs.Scores.Of(part.Metric).Value, interval.Low, interval.High));
        }
        IReadOnlyList<Baseline> baselines =
        [
            Compare("Empty answer", "Marks nothing, as most words are outside every span.", _ => []),
            Compare("Most frequent tag of each word", "Gives each word the tag that it has most often in the train rows, whatever stands around it.", tags.Predict),
            Compare("List of known spans", $"Marks the {Say.Count(list.Count, "different span")} of the train rows wherever their words stand, the longest first.", text => list.Predict(text, part.Cancel)),
        ];
        SpanExample Example(int i) => new(test[i].RowId, test[i].Text, [.. test[i].Spans.OrderBy(s => s.Start).Select(s => new NamedSpan(s.Start, s.End, part.Labels[s.Label]))],
            [.. found[i].Select(f => new PredictedSpan(f.Span.Start, f.Span.End, part.Labels[f.Span.Label], f.Probability))]);
        // Most certain of a span that is not there first; then what was missed.
        var wrong = Enumerable.Range(0, test.Count).Where(i => ours.Report.ByRow[i] is var c && (c.Hits < c.Actual || c.Hits < c.Predicted)).ToList();
        double Certain(int i) => found[i].Where(f => !test[i].Spans.Contains(f.Span)).Select(f => f.Probability).DefaultIfEmpty(0).Max();
        var right = Enumerable.Range(0, test.Count).Where(i => ours.Report.ByRow[i] is { Actual: > 0 } c && c.Hits == c.Actual && c.Hits == c.Predicted);
        var (lost, endsLost) = SpanNumbers.CountUnreachable(test);
        return new(ours.Scores, [], baselines, [], wrong.Count, new(ours.Report.Errors, ours.Report.Micro.Actual, ours.Report.Micro.Predicted, lost,
            [.. wrong.OrderByDescending(Certain).Take(WrongKept).Select(Example)], wrong.Count, [.. right.Take(RightKept).Select(Example)]) { EndsLost = endsLost });
    }

    /// The scores of one model, and what their intervals are drawn from.
    private sealed record Side(EntityReport Report, IReadOnlyList<SpanCounts> Words, Scores Scores)
    {
        public static Side Of(IReadOnlyList<SpannedText> test, IReadOnlyList<IReadOnlyList<TextSpan>> predicted, int types)
        {
            var report = Entities.Evaluate([.. test.Select(r => r.Spans)], predicted, types);
            // Right words and all words of each row; their precision is the accuracy.
            IReadOnlyList<SpanCounts> words = [.. test.Select((row, i) =>
            {
                var its = Engine.Text.Words.Of(row.Text);
                int[] tags = SpanTags.Of(its, row.Spans), said = SpanTags.Of(its, predicted[i]);
                return new SpanCounts(tags.Where((tag, w) => tag == said[w]).Count(), its.Count, its.Count);
            })];
            SpanCounts all = new(words.Sum(w => w.Hits), words.Sum(w => w.Predicted), words.Sum(w => w.Actual));
            Interval f1 = Entities.Interval(report.ByRow, c => c.F1), accuracy = Entities.Interval(words, c => c.Precision);
            return new(report, words, new(test.Count, new Dictionary<Metric, Measured> { [Metric.EntityF1] = new(report.Micro.F1, f1.Low, f1.High), [Metric.WordAccuracy] = new(all.Precision, accuracy.Low, accuracy.High) },
                null, [.. report.PerType.Select((t, i) => new LabelScore(i, t.Precision, t.Recall, t.F1, t.Actual))]));
        }
    }

    /// Spans with the version's labels, whatever the order in the model folder.
    private static IReadOnlyList<FoundSpan>[] Predict(TestPart part, IReadOnlyList<SpannedText> test)
    {
        part.Says("Loading the model.");
        using var tagger = SpanTagger.Load(part.ModelFolder);
        var place = tagger.Types.Select(t => part.Labels.ToList().IndexOf(t)).ToArray();
        if (place.Contains(-1) || place.Length != part.Labels.Count)
            throw new ReportRefused($"The model of run {part.RunNumber} knows {Say.Count(place.Length, "span type")}, but the data version has {Say.Count(part.Labels.Count)}; they must be the same. Launch the run again.");
        var raw = tagger.Predict([.. test.Select(r => r.Text)], part.MaxLength, 32, done =>
        {
            part.Cancel.ThrowIfCancellationRequested();
            part.Says($"Scoring the test part: {Say.Count(done)} of {Say.Count(test.Count, "row")}.");
        });
        return [.. raw.Select(row => (IReadOnlyList<FoundSpan>)[.. row.Select(f => f with { Span = f.Span with { Label = place[f.Span.Label] } })])];
    }
}
