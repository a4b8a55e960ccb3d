using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Generation;

/// <summary>
/// Keeps the likeliest few texts of each prompt at every step, instead of one (Lowerre 1976; with scores divided by length as
/// in Wu et al. 2016, arXiv:1609.08144, section 7). A prompt is done when no text that still grows could beat the finished ones.
/// </summary>
internal static class BeamSearch
{
    public static IReadOnlyList<GeneratedTokens> Run(DecodingBatch batch, GenerationOptions options, CancellationToken cancel)
    {
        var results = new GeneratedTokens[batch.Count];
        // One row a prompt at first, then as many as there are beams; the rows of a prompt are neighbours.
        var prompts = Enumerable.Range(0, batch.Count).Select(p => new Finished(options)).ToList();
        var sums = new float[batch.Count];
        var beams = 1;
        for (var length = 1; batch.Count > 0; length++)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var (candidates, count) = Candidates(batch, sums, beams, options);
            var (next, nextSums) = (new List<(int From, int Token)>(), new List<float>());
            for (var first = 0; first < batch.Count; first += beams)
            {
                var prompt = batch.Prompt(first);
                var finished = prompts[prompt];
                var mine = candidates.AsSpan(first / beams * count, count);
                var (grown, grownSums) = (new List<(int From, int Token)>(), new List<float>());
                for (var rank = 0; rank < count && grown.Count < options.Beams; rank++)
                {
                    var (index, sum) = mine[rank];
                    var (row, token) = (first + (int)(index / batch.Vocabulary), (int)(index % batch.Vocabulary));
                    if (options.EndTokenIds.Contains(token))
                    {
                        // An end that is not among the best is no result: the text would not have lived on.
                        if (rank < options.Beams) finished.Add(new(batch.NewTokens(row), Ended: true), sum, length);
                        continue;
                    }
                    grown.Add((row, token));
                    grownSums.Add(sum);
                }
                var cut = length == options.MaxNewTokens;
                if (cut || finished.NoneCanBeat(mine[0].Sum, length))
                {
                    if (!finished.NoneCanBeat(mine[0].Sum, length))
                        for (var i = 0; i < grown.Count; i++) finished.Add(new([.. batch.NewTokens(grown[i].From), grown[i].Token], Ended: false), grownSums[i], length);
                    results[prompt] = finished.Best;
                    continue;
                }
                next.AddRange(grown);
                nextSums.AddRange(grownSums);
            }
            batch.Grow(next);
            (sums, beams) = ([.. nextSums], options.Beams);
        }
        return results;
    }

    /// <summary>The best continuations of each prompt, best first: index into its [rows, vocabulary], and log-probability of the whole text.</summary>
    private static ((long Index, float Sum)[] Candidates, int Count) Candidates(DecodingBatch batch, float[] sums, int beams, GenerationOptions options)
    {
        var logs = LogitsFilters.Process(F.log_softmax(batch.NextLogits(), -1), batch, options);
        var totals = (logs + tensor(sums, device: logs.device).unsqueeze(1)).view(batch.Count / beams, -1);
        // Enough that the beams can go on even where each way to end is among the best.
        var count = (int)Math.Min(Math.Max(2, 1 + options.EndTokenIds.Count) * options.Beams, totals.shape[1]);
        var (values, indices) = totals.topk(count, -1);
        return ([.. indices.cpu().data<long>().ToArray().Zip(values.cpu().data<float>().ToArray())], count);
    }

    /// <summary>The finished texts of one prompt: the best few.</summary>
    private sealed class Finished(GenerationOptions options)
    {
        private readonly List<GeneratedTokens> texts = [];

        public GeneratedTokens Best => texts.MaxBy(t => t.Score)!;

        public void Add(GeneratedTokens text, double sum, int length)
        {
            texts.Add(text with { Score = Score(sum, length) });
            if (texts.Count > options.Beams) texts.Remove(texts.MinBy(t => t.Score)!);
        }

        public bool NoneCanBeat(double sum, int length) => texts.Count == options.Beams && texts.Min(t => t.Score) >= Score(sum, length);

        private double Score(double sum, int length) => sum / Math.Pow(length, options.LengthPenalty);
    }
}
