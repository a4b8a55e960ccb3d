using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>A question with a stretch of its context that fits into the model.</summary>
/// <param name="Ids">Token ids with the special tokens.</param>
/// <param name="Types">0 for the first segment, 1 for the second.</param>
/// <param name="Nothing">The place of the token that stands for "there is no answer": the one that begins the row, [CLS].</param>
/// <param name="Offsets">UTF-16 offsets in the context of each token; (0, 0) for those that are not of it.</param>
internal sealed record QuestionWindow(int[] Ids, int[] Types, int Nothing, (int Start, int End)[] Offsets)
{
    /// <summary>Whether a token is of the context and holds more than blanks, so that an answer may begin or end there.</summary>
    public bool IsContext(int token) => Offsets[token].End > Offsets[token].Start;
}

/// <summary>
/// A question and its context in windows of tokens. Only the context is cut: where it does not fit beside the question it becomes several windows,
/// each of which repeats the last quarter of the one before. A question that takes more than half of a window loses its end.
/// </summary>
/// <param name="Windows">At least one.</param>
internal sealed record WindowedQuestion(string Context, IReadOnlyList<QuestionWindow> Windows)
{
    /// <param name="text">Question and context as a <see cref="TextPair"/>.</param>
    /// <param name="maxLength">Tokens of a window with its special tokens.</param>
    public static WindowedQuestion Of(string text, Tokenizer tokenizer, int maxLength)
    {
        var (question, pair) = TextPair.Split(text);
        var context = pair ?? "";
        var room = Math.Max(2, maxLength - tokenizer.Encode("", "", int.MaxValue).Length);
        (question, var asked) = Shortened(question, tokenizer, room / 2);
        var first = tokenizer.Encode(question, context, new EncodingOptions { MaxLength = maxLength, Strategy = TruncationStrategy.OnlySecond, WithOverflow = true, Stride = Math.Max(0, (room - asked) / 4) });
        var units = SpanTags.Utf16Offsets(context);
        return new(context, [.. first.Overflowing.Prepend(first).Select(w => Window(w, context, units))]);
    }

    /// <summary>On all processors, in the order of the texts.</summary>
    public static WindowedQuestion[] Of(IReadOnlyList<string> texts, Tokenizer tokenizer, int maxLength, CancellationToken cancel = default)
    {
        var windowed = new WindowedQuestion[texts.Count];
        Parallel.For(0, texts.Count, new ParallelOptions { CancellationToken = cancel }, i => windowed[i] = Of(texts[i], tokenizer, maxLength));
        return windowed;
    }

    private static (string Question, int Tokens) Shortened(string question, Tokenizer tokenizer, int most)
    {
        var options = new EncodingOptions { AddSpecialTokens = false };
        while (true)
        {
            var encoding = tokenizer.Encode(question, null, options);
            if (encoding.Length <= most || question.Length == 0) return (question, encoding.Length);
            // A shorter text can be cut into other tokens, hence the loop; each turn takes at least one character.
            var end = encoding.Offsets[most].Start;
            var units = SpanTags.Utf16Offsets(question);
            question = question[..Math.Min(units is null ? end : units[end], question.Length - 1)];
        }
    }

    private static QuestionWindow Window(Encoding window, string context, int[]? units)
    {
        var offsets = new (int, int)[window.Length];
        for (var i = 0; i < offsets.Length; i++)
        {
            if (window.SequenceIds[i] != 1) continue;
            var (start, end) = window.Offsets[i];
            if (units is not null) (start, end) = (units[start], units[end]);
            // Some tokenizers count the blank before a word as a part of its first token.
            while (start < end && char.IsWhiteSpace(context[start])) start++;
            if (start < end) offsets[i] = (start, end);
        }
        return new(window.Ids, window.TypeIds, Math.Max(0, Array.IndexOf(window.SpecialTokensMask, 1)), offsets);
    }

    /// <summary>First and last token of an answer in a window; the place of "no answer", twice, where the window does not hold it whole or there is none.</summary>
    public (int Start, int End) Places(int window, GoldAnswer? answer)
    {
        var its = Windows[window];
        if (answer is null) return (its.Nothing, its.Nothing);
        int first = -1, last = -1, from = -1, to = -1;
        for (var i = 0; i < its.Offsets.Length; i++)
        {
            if (!its.IsContext(i)) continue;
            if (from < 0) from = i;
            to = i;
            if (its.Offsets[i].End <= answer.Start || its.Offsets[i].Start >= answer.End) continue;
            if (first < 0) first = i;
            last = i;
        }
        var whole = first >= 0 && (window == 0 || its.Offsets[from].Start <= answer.Start) && (window == Windows.Count - 1 || its.Offsets[to].End >= answer.End);
        return whole ? (first, last) : (its.Nothing, its.Nothing);
    }

    /// <summary>Whether a window holds the answer whole, so that it can be learned and found.</summary>
    public bool Holds(GoldAnswer answer) => Enumerable.Range(0, Windows.Count).Any(w => Places(w, answer) is var (start, end) && Windows[w].IsContext(start) && end - start < AnswerSpans.MostTokens);

    /// <summary>
    /// The logits of each window of each row: of a beginning, and of an end, at each of its tokens. In evaluation mode, without gradients.
    /// </summary>
    /// <param name="read">Gives the logits of a head for answers for all rows of what it is given.</param>
    /// <param name="padId">Fills the shorter rows of a batch.</param>
    /// <param name="batchSize">Windows computed together.</param>
    public static (float[] Starts, float[] Ends)[][] Logits(Func<TokenizedTexts, Tensor> read, IReadOnlyList<WindowedQuestion> rows, int padId, int batchSize)
    {
        var found = rows.Select(r => new (float[], float[])[r.Windows.Count]).ToArray();
        foreach (var batch in rows.SelectMany((r, row) => r.Windows.Select((window, w) => (row, w, window))).OrderByDescending(b => b.window.Ids.Length).Chunk(batchSize))
        {
            using var scope = NewDisposeScope();
            var (logits, _) = Logits(read, [.. batch.Select(b => b.window)], padId);
            var (length, numbers) = ((int)logits.shape[1], logits.data<float>().ToArray());
            for (var i = 0; i < batch.Length; i++)
            {
                float[] Of(int output) => [.. Enumerable.Range(0, batch[i].window.Ids.Length).Select(token => numbers[(i * length + token) * 2 + output])];
                found[batch[i].row][batch[i].w] = (Of(0), Of(1));
            }
        }
        return found;
    }

    /// <summary>Logits float32 [windows, longest, 2], and the mask int64 [windows, longest], null where nothing is padded.</summary>
    public static (Tensor Logits, Tensor? Mask) Logits(Func<TokenizedTexts, Tensor> read, IReadOnlyList<QuestionWindow> windows, int padId)
    {
        var batch = new TokenizedTexts([.. windows.Select(w => w.Ids)], padId, [.. windows.Select(w => w.Types)]);
        return (read(batch), batch.Batch(batch.AllRows).Mask);
    }
}
