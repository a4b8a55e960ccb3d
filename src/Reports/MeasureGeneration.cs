using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Reports;

/// Answers to prompts: how well the given answers are foreseen, on all test rows, and how near the written ones come, on some of them,
/// drawn at random; the base model as it was before the run does the same.
internal sealed class MeasureGeneration : MeasureTestPart
{
    /// Writing takes a hundred times as long as reading.
    internal const int WrittenRows = 64;
    private const int LongestAnswer = 256, SamplesKept = 12, Resamples = 1000, Seed = 1;

    /// What written answers are measured by.
    internal static readonly IReadOnlyList<Metric> OfWritten = [Metric.ExactMatch, Metric.LastNumber, Metric.Rouge1, Metric.Rouge2, Metric.RougeL, Metric.Chrf];

    private sealed record Measurements(IReadOnlyList<AnswerLoss> Losses, IReadOnlyList<WrittenAnswer> Written, TextLengths? Lengths);

    internal override TestNumbers Handle(TestPart part)
    {
        List<AnsweredPrompt> rows = [.. part.Examples(part.Test).Cast<AnsweredPrompt>()], train = [.. part.Examples(part.Train).Cast<AnsweredPrompt>()];
        var given = Drawn(rows.Count).Select(i => rows[i]).ToList();
        var tuned = Measure(part, part.ModelFolder, "the fine-tuned model", train, rows, given);
        var before = Measure(part, part.BaseFolder, "the base model", null, rows, given);
        part.Says("Drawing 1,000 resamples for each interval.");
        var (ours, theirs) = (ScoresOf(tuned, given), ScoresOf(before, given));
        var interval = Difference(part.Metric, before, tuned);
        Baseline baseline = new("Base model before fine-tuning", "The same model as it was imported, on the same prompts in the same format.", theirs,
            new(ours.Of(part.Metric).Value - theirs.Of(part.Metric).Value, interval.Low, interval.High));
        IReadOnlyList<AnswerSample> samples = [.. given.Take(SamplesKept).Select((row, i) => new AnswerSample(row.RowId, row.Text, row.Answer, before.Written[i].Text, tuned.Written[i].Text) { Cut = tuned.Written[i].PromptCut })];
        return new(ours, [], [baseline], [], 0) { Samples = samples, WrittenRows = given.Count, WrittenSeed = Seed, CutPrompts = tuned.Written.Count(w => w.PromptCut is not null), Lengths = tuned.Lengths };
    }

    /// The rows that are answered, in the order of the file. Files are often sorted, so the first rows would not speak for the others.
    internal static IReadOnlyList<int> Drawn(int rows)
    {
        int[] all = [.. Enumerable.Range(0, rows)];
        new Random(Seed).Shuffle(all);
        return [.. all.Take(WrittenRows).Order()];
    }

    private static Measurements Measure(TestPart part, string folder, string name, IReadOnlyList<AnsweredPrompt>? train, IReadOnlyList<AnsweredPrompt> rows, IReadOnlyList<AnsweredPrompt> given)
    {
        part.Says($"Loading {name}.");
        using var generator = TextGenerator.Load(folder, part.Recipe.PromptFormat);
        var losses = generator.Losses(rows, part.MaxLength, done => part.Says($"Reading the answers of the test part with {name}: {Say.Count(done)} of {Say.Count(rows.Count, "row")}."), part.Cancel);
        var options = new GenerationOptions { MaxNewTokens = LongestAnswer };
        var written = generator.Answers([.. given.Select(r => r.Text)], options, part.MaxLength, 8,
            done => part.Says($"Letting {name} answer: {Say.Count(done)} of {Say.Count(given.Count, "prompt")}."), part.Cancel);
        if (train is null) return new(losses, written, null);
        CutRows Cut(IReadOnlyList<AnsweredPrompt> of) => generator.CountCut(of, part.MaxLength, part.Cancel) is var (prompts, answers) ? new(of.Count, prompts, answers) : throw new InvalidOperationException();
        part.Says("Counting the rows that the max length cut.");
        var limits = generator.Limits(options, part.MaxLength);
        return new(losses, written, new(part.MaxLength, generator.MaxPositions, limits.Prompt, limits.Answer, Cut(train), Cut(rows)));
    }

    private static Scores ScoresOf(Measurements found, IReadOnlyList<AnsweredPrompt> given)
    {
        double[] loss = [.. found.Losses.Select(l => l.Loss)], tokens = [.. found.Losses.Select(l => (double)l.Tokens)], right = [.. found.Losses.Select(l => (double)l.Right)];
        var pairs = given.Select((row, i) => (found.Written[i].Text, Reference: row.Answer)).ToList();
        Measured Ratio(double[] parts, Func<double, double> of) => BootstrapMean.OfRatio(parts, tokens, of, Resamples) is var i ? new(of(parts.Sum() / tokens.Sum()), i.Low, i.High) : throw new InvalidOperationException();
        Measured Mean(Func<string, string, double> of)
        {
            double[] values = [.. pairs.Select(p => of(p.Text, p.Reference))];
            var interval = BootstrapMean.Of(values, Resamples);
            return new(values.Average(), interval.Low, interval.High);
        }
        var values = new Dictionary<Metric, Measured>
        {
            [Metric.ValidationLoss] = Ratio(loss, mean => mean), [Metric.Perplexity] = Ratio(loss, Math.Exp), [Metric.TokenAccuracy] = Ratio(right, share => share),
            [Metric.ExactMatch] = Mean((text, reference) => TextOverlap.IsExactMatch(text, reference) ? 1 : 0),
        };
        if (pairs.Any(p => TextOverlap.HasRougeWords(p.Reference)))
        {
            (values[Metric.Rouge1], values[Metric.Rouge2]) = (Mean((text, reference) => TextOverlap.Rouge(text, reference, 1).F1), Mean((text, reference) => TextOverlap.Rouge(text, reference, 2).F1));
            values[Metric.RougeL] = Mean((text, reference) => TextOverlap.RougeL(text, reference).F1);
        }
        if (pairs.Any(p => TextOverlap.LastNumber(p.Reference) is not null)) values[Metric.LastNumber] = Mean((text, reference) => TextOverlap.IsLastNumberEqual(text, reference) ? 1 : 0);
        var counts = TextOverlap.CountCharacters([.. pairs.Select(p => p.Text)], [.. pairs.Select(p => p.Reference)]);
        var chrf = BootstrapMean.OfDraws(pairs.Count, counts.Chrf, Resamples);
        values[Metric.Chrf] = new(counts.Chrf([.. Enumerable.Range(0, pairs.Count)]), chrf.Low, chrf.High);
        return new(found.Losses.Count, values, null, []);
    }

    /// Of the project's metric, fine-tuned minus base, both on the same drawn rows.
    private static Interval Difference(Metric metric, Measurements before, Measurements tuned) => BootstrapMean.OfDraws(tuned.Losses.Count, rows =>
    {
        double Of(IReadOnlyList<AnswerLoss> losses)
        {
            double tokens = rows.Sum(row => (double)losses[row].Tokens);
            return metric == Metric.TokenAccuracy ? rows.Sum(row => (double)losses[row].Right) / tokens : Math.Exp(rows.Sum(row => losses[row].Loss) / tokens);
        }
        return Of(tuned.Losses) - Of(before.Losses);
    }, Resamples);
}
