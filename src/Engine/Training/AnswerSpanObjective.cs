using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Answers that stand in a context: a softmax over the tokens for the beginning of the answer and one for its end, and the mean of the two
/// cross-entropies. A window without the answer is learned as having none, and a row's windows are learned in one step. Where a row has several right
/// answers the first is learned, and all of them count in the scores.
/// </summary>
internal sealed class AnswerSpanObjective(RunRecipe recipe, string baseFolder) : EncoderObjective<QuestionTexts>(recipe, baseFolder, [], EncoderHead.Answer)
{
    public override double LossOfGuessing => Math.Log(Recipe.MaxLength);

    public override string HeadSaid => NewHead ? $"the head for beginnings and ends of answers starts at random with seed {Recipe.Seed}." : "the head was kept, because the base model answers questions already.";

    public static new void Check(FineTuneJob job)
    {
        foreach (var row in job.Train.Concat(job.Validation).Cast<QuestionedText>())
        {
            if (TextPair.Split(row.Text).Second is not { } context) throw new TrainingException($"Row {row.RowId} has a question without a context.");
            if (row.Answers.FirstOrDefault(a => a.Text.Length == 0 || a.Start < 0 || a.End > context.Length || !context.AsSpan(a.Start).StartsWith(a.Text, StringComparison.Ordinal)) is { } stray)
                throw new TrainingException($"Row {row.RowId} has an answer at {stray.Start} that does not stand there in its context, which has {context.Length} characters.");
        }
        if (job.Train.All(r => ((QuestionedText)r).Answers.Count == 0)) throw new TrainingException("No train row has an answer; there is nothing to learn.");
    }

    protected override QuestionTexts Texts(IReadOnlyList<TrainingExample> rows, Tokenizer tokenizer, CancellationToken cancel)
    {
        QuestionTexts texts = new(WindowedQuestion.Of([.. rows.Select(r => r.Text)], tokenizer, Recipe.MaxLength, cancel), [.. rows.Select(r => ((QuestionedText)r).Answers)], tokenizer.PadId);
        if (texts.Split > 0) Say($"{texts.Split} of {texts.Count} rows are longer than {Recipe.MaxLength} tokens and are read in several windows.");
        return texts;
    }

    protected override QuestionTexts Texts(int[][] ids, int padId)
    {
        // A row that is too long for one window costs several whole ones, which overlap by a quarter.
        var step = Math.Max(1, Recipe.MaxLength * 3 / 4);
        QuestionWindow Window(int[] tokens) => new(tokens, new int[tokens.Length], 0, [.. tokens.Select((_, i) => (i, i + 1))]);
        WindowedQuestion Row(int[] row) => new(new(' ', row.Length), row.Length <= Recipe.MaxLength ? [Window(row)] : [.. row.Skip(Recipe.MaxLength).Chunk(step).Prepend([]).Select(_ => Window(row[..Recipe.MaxLength]))]);
        return new([.. ids.Select(Row)], [.. ids.Select(_ => Array.Empty<GoldAnswer>())], padId);
    }

    protected override double WeightOf(QuestionTexts texts, int[] rows) => rows.Sum(row => texts.Learned(row).Count);

    protected override Tensor Loss(QuestionTexts texts, int[] rows)
    {
        List<(QuestionWindow Window, int Start, int End)> windows = [.. rows.SelectMany(texts.Learned)];
        var (logits, mask) = WindowedQuestion.Logits(Logits, [.. windows.Select(w => w.Window)], texts.PadId);
        return AnswerSpans.Loss(logits, tensor(windows.Select(w => (long)w.Start).ToArray()), tensor(windows.Select(w => (long)w.End).ToArray()), mask);
    }

    protected override Evaluation Measure(QuestionTexts texts, IEnumerable<int[]> batches)
    {
        var (loss, windows, f1, exact, count) = (0.0, 0, 0.0, 0.0, 0);
        foreach (var rows in batches)
        {
            var logits = WindowedQuestion.Logits(Logits, [.. rows.Select(r => texts[r])], texts.PadId, rows.Length);
            for (var i = 0; i < rows.Length; i++)
            {
                var (question, answers) = (texts[rows[i]], texts.AnswersOf(rows[i]));
                for (var w = 0; w < logits[i].Length; w++)
                {
                    var (start, end) = question.Places(w, answers.FirstOrDefault());
                    loss += (Surprise(logits[i][w].Starts, start) + Surprise(logits[i][w].Ends, end)) / 2;
                }
                windows += logits[i].Length;
                var (found, given) = (AnswerSpans.Find(question, logits[i]).Text, answers.Select(a => a.Text).ToList());
                (f1, exact, count) = (f1 + AnswerOverlap.F1(found, given), exact + (AnswerOverlap.IsExactMatch(found, given) ? 1 : 0), count + 1);
            }
        }
        double Share(double sum) => count == 0 ? 0 : sum / count;
        return new(windows == 0 ? 0 : loss / windows, new Dictionary<Metric, double> { [Metric.AnswerF1] = Share(f1), [Metric.ExactMatch] = Share(exact) });
    }

    /// <summary>The cross-entropy of a softmax over the logits at one place.</summary>
    private static double Surprise(float[] logits, int place)
    {
        double top = logits.Max();
        return top + Math.Log(logits.Sum(l => Math.Exp(l - top))) - logits[place];
    }
}

/// <summary>Questions with contexts and right answers. What a row is long counts for batching by its first window.</summary>
internal sealed class QuestionTexts(WindowedQuestion[] rows, IReadOnlyList<GoldAnswer>[] answers, int padId) : TokenizedTexts([.. rows.Select(r => r.Windows[0].Ids)], padId)
{
    /// <summary>Windows of one row that a step learns from at most, so that a long context does not take the memory of a whole batch many times over.</summary>
    public const int LearnedWindows = 8;

    public int PadId { get; } = padId;

    public WindowedQuestion this[int row] => rows[row];

    public override TokenizedTexts Stretches => new([.. rows.SelectMany(r => r.Windows).Select(w => w.Ids)], PadId, [.. rows.SelectMany(r => r.Windows).Select(w => w.Types)]);

    public IReadOnlyList<GoldAnswer> AnswersOf(int row) => answers[row];

    /// <summary>Rows of more than one window.</summary>
    public int Split => rows.Count(r => r.Windows.Count > 1);

    /// <summary>What a row teaches: its windows with the tokens where the answer begins and ends. Of a very long context those with the answer, and others spread evenly.</summary>
    public IReadOnlyList<(QuestionWindow Window, int Start, int End)> Learned(int row)
    {
        var answer = answers[row].FirstOrDefault();
        var all = rows[row].Windows.Select((window, w) => (Window: window, Places: rows[row].Places(w, answer))).ToList();
        if (all.Count > LearnedWindows)
        {
            var holding = all.Where(w => w.Window.IsContext(w.Places.Start)).ToList();
            var others = all.Except(holding).ToList();
            var room = Math.Max(1, LearnedWindows - holding.Count);
            all = [.. holding, .. Enumerable.Range(0, Math.Min(room, others.Count)).Select(i => others[i * others.Count / Math.Min(room, others.Count)])];
        }
        return [.. all.Select(w => (w.Window, w.Places.Start, w.Places.End))];
    }
}
