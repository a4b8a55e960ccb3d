using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Training;

/// <summary>What a model answers to a question.</summary>
/// <param name="Start">First UTF-16 unit in the context; 0 where there is no answer.</param>
/// <param name="Text">The answer as it stands in the context; "" where there is none.</param>
/// <param name="Probability">Of this among the best candidates, "no answer" included: a softmax over the sums of their two logits.</param>
public sealed record FoundAnswer(int Start, string Text, double Probability)
{
    /// <summary>Whether the model says that the context has no answer.</summary>
    public bool IsNone => Text.Length == 0;
}

/// <summary>From logits of beginnings and ends to a loss and to answers, as Devlin et al. 2019 do it for SQuAD 1.1 and 2.0 (arXiv:1810.04805, sections 4.2 and 4.3).</summary>
public static class AnswerSpans
{
    /// <summary>The longest answer in tokens.</summary>
    public const int MostTokens = 64;

    /// <summary>Beginnings, and ends, of a window that are tried with each other; and candidates that share the probability.</summary>
    private const int Best = 20;

    /// <summary>The mean of two cross-entropies over places: of the beginning and of the end. A place beyond the length counts for nothing.</summary>
    /// <param name="logits">float32 [batch, length, 2].</param>
    /// <param name="starts">int64 [batch].</param>
    /// <param name="ends">int64 [batch].</param>
    /// <param name="mask">int64 [batch, length], 0 for places that no answer may take, such as padding, so that the loss does not depend on what a row
    /// is batched with; null lets all places compete, as Hugging Face's classes do.</param>
    /// <returns>float32 scalar.</returns>
    public static Tensor Loss(Tensor logits, Tensor starts, Tensor ends, Tensor? mask = null)
    {
        var length = logits.shape[1];
        var away = mask is null ? null : (1 - mask.to(float32)).mul_(float.MinValue);
        Tensor Of(int output, Tensor places)
        {
            var its = logits.select(2, output);
            return F.cross_entropy(away is null ? its : its + away, places.clamp(0, length), ignore_index: length);
        }
        return (Of(0, starts) + Of(1, ends)) / 2;
    }

    /// <summary>
    /// The best span over all windows of a row. Of each window the likeliest beginnings are tried with the likeliest ends, where the end does not come
    /// first and the span is not too long. "No answer" has the lowest of the windows' scores for it, and wins where no span scores more.
    /// </summary>
    internal static FoundAnswer Find(WindowedQuestion question, (float[] Starts, float[] Ends)[] logits)
    {
        var none = Enumerable.Range(0, logits.Length).Min(w => Sum(logits[w].Starts[question.Windows[w].Nothing], logits[w].Ends[question.Windows[w].Nothing]));
        // The same span can stand in two windows.
        var spans = new Dictionary<(int Start, int End), double>();
        for (var w = 0; w < logits.Length; w++)
        {
            var window = question.Windows[w];
            int[] Likeliest(float[] scores) => [.. Enumerable.Range(0, scores.Length).Where(i => window.IsContext(i) && float.IsFinite(scores[i])).OrderByDescending(i => scores[i]).Take(Best)];
            var ends = Likeliest(logits[w].Ends);
            foreach (var start in Likeliest(logits[w].Starts))
                foreach (var end in ends)
                {
                    if (end < start || end - start >= MostTokens) continue;
                    var (span, score) = ((window.Offsets[start].Start, window.Offsets[end].End), Sum(logits[w].Starts[start], logits[w].Ends[end]));
                    spans[span] = spans.TryGetValue(span, out var other) ? Math.Max(score, other) : score;
                }
        }
        var best = spans.OrderByDescending(s => s.Value).ThenBy(s => s.Key).Take(Best).ToList();
        var top = best.Count > 0 ? Math.Max(best[0].Value, none) : none;
        var all = best.Sum(s => Math.Exp(s.Value - top)) + Math.Exp(none - top);
        if (best.Count == 0 || best[0].Value <= none) return new(0, "", Math.Exp(none - top) / all);
        var (from, to) = best[0].Key;
        return new(from, question.Context[from..to], Math.Exp(best[0].Value - top) / all);
    }

    private static double Sum(float start, float end) => (double)start + end;
}
