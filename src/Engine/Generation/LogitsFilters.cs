using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Generation;

/// <summary>What is done to the scores before a token is chosen. All take and give float32 [rows, vocabulary]; minus infinity marks a token that cannot be chosen.</summary>
internal static class LogitsFilters
{
    /// <summary>What counts for every way of choosing: repetition penalty, then repeated runs.</summary>
    public static Tensor Process(Tensor logits, DecodingBatch batch, GenerationOptions options)
    {
        if (options.RepetitionPenalty == 1 && options.NoRepeatNgramSize == 0) return logits;
        var texts = Enumerable.Range(0, batch.Count).Select(batch.Tokens).ToList();
        if (options.RepetitionPenalty != 1) logits = RepetitionPenalty(logits, texts, options.RepetitionPenalty);
        return options.NoRepeatNgramSize > 0 ? NoRepeatNgram(logits, texts, options.NoRepeatNgramSize) : logits;
    }

    /// <summary>What counts where a token is drawn: temperature, top-k, top-p, typical-p, in this order.</summary>
    public static Tensor Warp(Tensor logits, GenerationOptions options)
    {
        if (options.Temperature != 1) logits = Temperature(logits, options.Temperature);
        if (options.TopK > 0) logits = TopK(logits, options.TopK);
        if (options.TopP < 1) logits = TopP(logits, options.TopP);
        return options.TypicalP < 1 ? TypicalP(logits, options.TypicalP) : logits;
    }

    public static Tensor Temperature(Tensor logits, double temperature) => logits / temperature;

    /// <summary>Keeps the k highest, and what equals the last of them (Fan et al. 2018, arXiv:1805.04833).</summary>
    public static Tensor TopK(Tensor logits, int k)
    {
        k = (int)Math.Min(k, logits.shape[1]);
        var last = logits.topk(k).values.narrow(1, k - 1, 1);
        return logits.masked_fill(logits.lt(last), double.NegativeInfinity);
    }

    /// <summary>Keeps the fewest of the likeliest tokens that reach the probability p, at least one (Holtzman et al. 2019, arXiv:1904.09751, nucleus sampling).</summary>
    public static Tensor TopP(Tensor logits, double p)
    {
        var (values, order) = logits.sort(-1, descending: false);
        var below = F.softmax(values, -1).cumsum(-1).le(1 - p);
        // The likeliest stays whatever rounding says.
        below.narrow(1, below.shape[1] - 1, 1).fill_(false);
        return logits.masked_fill(below.scatter(1, order, below), double.NegativeInfinity);
    }

    /// <summary>Keeps the tokens whose surprise is nearest to the expected surprise, up to the probability mass (Meister et al. 2022, arXiv:2202.00666).</summary>
    public static Tensor TypicalP(Tensor logits, double mass)
    {
        var logs = F.log_softmax(logits, -1);
        var expected = (logs * logs.exp()).nan_to_num(0).sum(-1, keepdim: true);
        var (distances, order) = (expected - logs).abs().sort(-1);
        var reached = F.softmax(logits.gather(1, order), -1).cumsum(-1);
        var last = reached.lt(mass).sum(1, keepdim: true).clamp_max(logits.shape[1] - 1);
        var beyond = distances.gt(distances.gather(1, last));
        beyond.narrow(1, 0, 1).fill_(false);
        return logits.masked_fill(beyond.scatter(1, order, beyond), double.NegativeInfinity);
    }

    /// <summary>
    /// Divides the score of a token that the text has by the penalty, or multiplies it where it is negative (Keskar et al. 2019,
    /// arXiv:1909.05858). Padding does not count as text.
    /// </summary>
    public static Tensor RepetitionPenalty(Tensor logits, IReadOnlyList<IReadOnlyList<int>> texts, double penalty)
    {
        // Shorter texts repeat their last token, which writes the same number again.
        var longest = texts.Max(t => t.Count);
        var seen = tensor(texts.SelectMany(t => t.Concat(Enumerable.Repeat(t[^1], longest - t.Count))).Select(id => (long)id).ToArray(), [texts.Count, longest], device: logits.device);
        var scores = logits.gather(1, seen);
        return logits.scatter(1, seen, where(scores.lt(0), scores * penalty, scores / penalty));
    }

    /// <summary>Rules out every token that would make a run of n tokens the text already has (Paulus et al. 2017, arXiv:1705.04304).</summary>
    public static Tensor NoRepeatNgram(Tensor logits, IReadOnlyList<IReadOnlyList<int>> texts, int n)
    {
        var vocabulary = (int)logits.shape[1];
        var ruledOut = new bool[texts.Count * vocabulary];
        for (var row = 0; row < texts.Count; row++)
        {
            var text = texts[row].ToArray();
            if (text.Length < n) continue;
            var end = text.AsSpan(text.Length - (n - 1));
            for (var start = 0; start + n <= text.Length; start++)
                if (text.AsSpan(start, n - 1).SequenceEqual(end)) ruledOut[row * vocabulary + text[start + n - 1]] = true;
        }
        return logits.masked_fill(tensor(ruledOut, [texts.Count, vocabulary], device: logits.device), double.NegativeInfinity);
    }
}
