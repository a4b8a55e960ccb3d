using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Labelled spans of each text: softmax over the BIO tags at the first token of each word, and <see cref="TrainingLoss"/> over those tokens. A
/// text that is longer than the recipe's length is learned from its beginning and measured in windows, so that the scores leave nothing out.
/// </summary>
internal sealed class TokenTagObjective(RunRecipe recipe, string baseFolder, IReadOnlyList<string> types)
    : EncoderObjective<TaggedTexts>(recipe, baseFolder, SpanTags.Names(types), EncoderHead.Token)
{
    private TrainingLoss? lossOf;

    public override double LossOfGuessing => Math.Log(Labels.Count);

    public static new void Check(FineTuneJob job)
    {
        if (job.Labels.Count == 0) throw new TrainingException("No row has a labelled span; mark some before training.");
        if (job.Labels.GroupBy(l => l).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new TrainingException($"The span type \"{twice.Key}\" is listed twice.");
        foreach (var row in job.Train.Concat(job.Validation).Cast<SpannedText>())
        {
            if (row.Spans.FirstOrDefault(s => s.Label < 0 || s.Label >= job.Labels.Count) is { } stray)
                throw new TrainingException($"Row {row.RowId} has a span of type number {stray.Label}, but types are numbered 0 to {job.Labels.Count - 1}.");
            if (row.Spans.FirstOrDefault(s => s.Start < 0 || s.End <= s.Start || s.End > row.Text.Length) is { } outside)
                throw new TrainingException($"Row {row.RowId} has a span from {outside.Start} to {outside.End}, but its text has {row.Text.Length} characters.");
        }
        if (job.Train.All(r => ((SpannedText)r).Spans.Count == 0)) throw new TrainingException("No train row has a labelled span; there is nothing to learn.");
    }

    protected override TaggedTexts Texts(IReadOnlyList<TrainingExample> rows, Tokenizer tokenizer, CancellationToken cancel) =>
        new(WindowedText.Of([.. rows.Select(r => r.Text)], tokenizer, Recipe.MaxLength, cancel), [.. rows.Select(r => ((SpannedText)r).Spans)], tokenizer.PadId);

    protected override TaggedTexts Texts(int[][] ids, int padId) =>
        new([.. ids.Select(row => new WindowedText([.. row.Select((_, i) => (i, i + 1))], [new(row, [.. row.Select((_, i) => i)])], new bool[row.Length]))], [.. ids.Select(_ => Array.Empty<TextSpan>())], padId);

    protected override void Prepare(TaggedTexts train) =>
        lossOf = TrainingLoss.For(Recipe, [.. Enumerable.Range(0, train.Count).SelectMany(row => train.TagsOf(row)).Where(t => t >= 0)], Labels.Count);

    protected override double WeightOf(TaggedTexts texts, int[] rows) => Math.Max(1e-9, lossOf!.WeightOf(rows.SelectMany(texts.TagsOf).Where(t => t >= 0)));

    protected override Tensor Loss(TaggedTexts texts, int[] rows)
    {
        var logits = Logits(texts, rows);
        var (places, tags) = texts.CountedTokens(rows, logits.shape[1]);
        // Empty texts teach nothing, and the mean of nothing is no number.
        return places.Length == 0 ? logits.sum() * 0 : lossOf!.Mean(logits.view(-1, Labels.Count).index_select(0, tensor(places)), tensor(tags));
    }

    protected override Evaluation Measure(TaggedTexts texts, IEnumerable<int[]> batches)
    {
        var (loss, counted, right, words) = (0.0, 0, 0, 0);
        List<IReadOnlyList<TextSpan>> actual = [], found = [];
        foreach (var rows in batches)
        {
            var logs = WindowedText.LogProbabilities(Logits, [.. rows.Select(r => texts[r])], texts.PadId, rows.Length);
            for (var i = 0; i < rows.Length; i++)
            {
                var (tags, said) = (texts.WordTagsOf(rows[i]), SpanTagger.Tags(texts[rows[i]], logs[i]));
                for (var word = 0; word < tags.Length; word++)
                {
                    if (tags[word] == said[word]) right++;
                    words++;
                    // A word without a token has a tag as well, but no probability of it.
                    if (logs[i][word] is not { } log) continue;
                    loss -= log[tags[word]];
                    counted++;
                }
                actual.Add(texts.SpansOf(rows[i]));
                found.Add(SpanTags.Spans(texts[rows[i]].Words, said));
            }
        }
        return new(counted == 0 ? 0 : loss / counted, new Dictionary<Metric, double>
        {
            [Metric.EntityF1] = actual.Count == 0 ? 0 : Entities.Evaluate(actual, found, types.Count).Micro.F1,
            [Metric.WordAccuracy] = words == 0 ? 0 : (double)right / words,
        });
    }

    public override void Dispose()
    {
        lossOf?.Dispose();
        base.Dispose();
    }
}

/// <summary>Texts with labelled spans. As rows of a batch they are their first windows; their other windows are for evaluation.</summary>
internal sealed class TaggedTexts(WindowedText[] texts, IReadOnlyList<TextSpan>[] spans, int padId) : TokenizedTexts([.. texts.Select(t => t.Windows[0].Ids)], padId)
{
    private readonly int[][] tags = [.. texts.Select((t, i) => SpanTags.Of(t.Words, spans[i]))];

    public int PadId { get; } = padId;

    public WindowedText this[int row] => texts[row];

    public override TokenizedTexts Stretches => new([.. texts.SelectMany(t => t.Windows).Select(w => w.Ids)], PadId);

    public IReadOnlyList<TextSpan> SpansOf(int row) => spans[row];

    /// <summary>The tag of each word.</summary>
    public int[] WordTagsOf(int row) => tags[row];

    /// <summary>The tag of each token of the first window, <see cref="SpanTags.Uncounted"/> where it carries none.</summary>
    public IEnumerable<int> TagsOf(int row) => texts[row].Windows[0].Heads.Select(word => word < 0 ? SpanTags.Uncounted : tags[row][word]);

    /// <summary>Places in the flattened batch [rows * length] of the tokens that carry a tag, and their tags.</summary>
    public (long[] Places, long[] Tags) CountedTokens(int[] rows, long length)
    {
        List<long> places = [], counted = [];
        for (var i = 0; i < rows.Length; i++)
            foreach (var (token, tag) in TagsOf(rows[i]).Index().Where(t => t.Item >= 0))
            {
                places.Add(i * length + token);
                counted.Add(tag);
            }
        return ([.. places], [.. counted]);
    }
}
