using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Generation;

/// <summary>Writes each text one token after the other: always the likeliest, or drawn at random.</summary>
internal static class TokenByToken
{
    public static IReadOnlyList<GeneratedTokens> Run(DecodingBatch batch, GenerationOptions options, CancellationToken cancel, Action<int, int>? wrote = null)
    {
        var results = new GeneratedTokens[batch.Count];
        // A generator a text: what one draws does not depend on when the others end.
        var random = Enumerable.Range(0, batch.Count).Select(prompt => new Random(unchecked(options.Seed * 1_000_003 + prompt))).ToArray();
        for (var step = 1; batch.Count > 0; step++)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var logits = LogitsFilters.Process(batch.NextLogits(), batch, options);
            var chosen = options.Sample ? Draw(LogitsFilters.Warp(logits, options), row => random[batch.Prompt(row)].NextDouble()) : logits.argmax(-1).cpu().data<long>().ToArray().Select(t => (int)t).ToArray();
            var next = new List<(int From, int Token)>();
            for (var row = 0; row < batch.Count; row++)
            {
                if (!options.EndTokenIds.Contains(chosen[row])) wrote?.Invoke(batch.Prompt(row), chosen[row]);
                if (options.EndTokenIds.Contains(chosen[row])) results[batch.Prompt(row)] = new(batch.NewTokens(row), Ended: true);
                else if (step == options.MaxNewTokens) results[batch.Prompt(row)] = new([.. batch.NewTokens(row), chosen[row]], Ended: false);
                else next.Add((row, chosen[row]));
            }
            batch.Grow(next);
        }
        return results;
    }

    /// <summary>One token a row, each as likely as the softmax of its logits says: the first whose cumulated probability passes a number from 0 to 1.</summary>
    internal static int[] Draw(Tensor logits, Func<int, double> random)
    {
        var (rows, vocabulary) = ((int)logits.shape[0], (int)logits.shape[1]);
        var cumulated = F.softmax(logits.to(float64), -1).cumsum(-1).cpu().data<double>().ToArray();
        return Enumerable.Range(0, rows).Select(row =>
        {
            var line = cumulated.AsSpan(row * vocabulary, vocabulary);
            var at = random(row) * line[^1];
            // The first number above: a token that was filtered out adds nothing, so it is never the first.
            var (low, high) = (0, vocabulary - 1);
            while (low < high)
            {
                var middle = (low + high) / 2;
                if (line[middle] > at) high = middle;
                else low = middle + 1;
            }
            return low;
        }).ToArray();
    }
}
