using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;
using Encoding = FineTuneStudio.Engine.Text.Encoding;

namespace FineTuneStudio.Engine.Training;

/// <summary>A stretch of a text that fits into the model.</summary>
/// <param name="Ids">Token ids with the special tokens.</param>
/// <param name="Heads">The word whose tag each token carries, or -1; see <see cref="SpanTags.Heads"/>.</param>
internal sealed record TextWindow(int[] Ids, int[] Heads);

/// <summary>
/// A text in words and in windows of tokens. A text that is longer than the model reads at once becomes several windows, each of which repeats
/// the last quarter of the one before, so that every word is read with something on either side.
/// </summary>
/// <param name="Words">UTF-16 offsets.</param>
/// <param name="Windows">At least one.</param>
/// <param name="GoesOn">Whether each word shares its token with the word before; see <see cref="SpanTags.GoesOn"/>.</param>
internal sealed record WindowedText(IReadOnlyList<(int Start, int End)> Words, IReadOnlyList<TextWindow> Windows, bool[] GoesOn)
{
    /// <param name="maxLength">Tokens of a window with its special tokens.</param>
    public static WindowedText Of(string text, Tokenizer tokenizer, int maxLength)
    {
        var room = maxLength - tokenizer.CountTokens("");
        var words = Text.Words.Of(text);
        var first = tokenizer.Encode(text, null, new EncodingOptions { MaxLength = maxLength, WithOverflow = true, Stride = Math.Max(0, room / 4) });
        Encoding[] windows = [first, .. first.Overflowing];
        return new(words, [.. windows.Select(w => new TextWindow(w.Ids, SpanTags.Heads(text, words, w)))], SpanTags.GoesOn(text, words, windows));
    }

    /// <summary>On all processors, in the order of the texts.</summary>
    public static WindowedText[] Of(IReadOnlyList<string> texts, Tokenizer tokenizer, int maxLength, CancellationToken cancel = default)
    {
        var windowed = new WindowedText[texts.Count];
        Parallel.For(0, texts.Count, new ParallelOptions { CancellationToken = cancel }, i => windowed[i] = Of(texts[i], tokenizer, maxLength));
        return windowed;
    }

    /// <summary>
    /// The logarithm of each tag's probability for each word of each text: [text][word][tag], null for a word that the tokenizer makes no
    /// token of. A word in several windows is taken from the one where it stands farthest from an edge. In evaluation mode, without gradients.
    /// </summary>
    /// <param name="read">Gives the logits of a head on each token for all rows of what it is given.</param>
    /// <param name="padId">Fills the shorter rows of a batch.</param>
    /// <param name="batchSize">Windows computed together.</param>
    public static float[]?[][] LogProbabilities(Func<TokenizedTexts, Tensor> read, IReadOnlyList<WindowedText> texts, int padId, int batchSize)
    {
        var found = texts.Select(t => new float[]?[t.Words.Count]).ToArray();
        var context = texts.Select(t => new int[t.Words.Count]).ToArray();
        foreach (var batch in texts.SelectMany((t, text) => t.Windows.Select(window => (text, window))).OrderByDescending(w => w.window.Ids.Length).Chunk(batchSize))
        {
            using var scope = NewDisposeScope();
            var logs = read(new([.. batch.Select(b => b.window.Ids)], padId)).log_softmax(-1);
            var (length, tags) = ((int)logs.shape[1], (int)logs.shape[2]);
            var numbers = logs.data<float>().ToArray();
            for (var row = 0; row < batch.Length; row++)
            {
                var (text, window) = batch[row];
                for (var i = 0; i < window.Heads.Length; i++)
                {
                    if (window.Heads[i] is not (>= 0 and var word)) continue;
                    var room = Math.Min(i, window.Heads.Length - 1 - i);
                    if (found[text][word] is not null && context[text][word] >= room) continue;
                    (found[text][word], context[text][word]) = (numbers.AsSpan((row * length + i) * tags, tags).ToArray(), room);
                }
            }
        }
        return found;
    }
}
