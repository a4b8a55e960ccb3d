using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// What a backbone that never changes makes of rows of tokens, computed once: one vector for each row, or for each of its tokens where the
/// head reads tokens. A row is known by its array of ids, so no row is looked up by what it says.
/// </summary>
internal sealed class KeptFeatures : IDisposable
{
    private readonly Dictionary<int[], long> places = new(ReferenceEqualityComparer.Instance);
    private readonly bool ofTokens;
    private readonly long count;
    private readonly long ofFirst;
    private Tensor? vectors;

    private KeptFeatures(IReadOnlyList<TokenizedTexts> texts, bool ofTokens)
    {
        this.ofTokens = ofTokens;
        foreach (var (i, of) in texts.Index())
        {
            for (var row = 0; row < of.Count; row++)
                if (places.TryAdd(of.Ids(row), count)) count += ofTokens ? Math.Max(1, of.Length(row)) : 1;
            if (i == 0) ofFirst = count;
        }
    }

    /// <summary>Bytes in float32, for rows of so many tokens.</summary>
    public static long BytesOf(IEnumerable<int> lengths, SequenceClassifier model) =>
        4L * model.Config.HiddenSize * (OfTokens(model) ? lengths.Sum(length => (long)Math.Max(1, length)) + 1 : lengths.Count());

    /// <summary>Runs the backbone over all rows, in evaluation mode and without gradients.</summary>
    /// <param name="batches">Rows of each batch of some texts, all of them once.</param>
    /// <param name="forProbe">Keeps what a linear probe reads in place of what the head reads.</param>
    public static KeptFeatures Compute(SequenceClassifier model, IReadOnlyList<TokenizedTexts> texts, Func<TokenizedTexts, IEnumerable<int[]>> batches, bool forProbe = false)
    {
        var kept = new KeptFeatures(texts, OfTokens(model));
        try
        {
            foreach (var of in texts)
                foreach (var rows in batches(of))
                {
                    using var scope = NewDisposeScope();
                    var (ids, mask) = of.Batch(rows);
                    var types = of.TypesOf(rows, ids.shape[1]);
                    kept.Keep(of, rows, forProbe ? model.ProbeFeatures(ids, mask, types) : model.Features(ids, mask, types));
                }
            return kept;
        }
        catch
        {
            kept.Dispose();
            throw;
        }
    }

    private static bool OfTokens(SequenceClassifier model) => model.Head != EncoderHead.Sequence;

    private void Keep(TokenizedTexts texts, int[] rows, Tensor features)
    {
        // The last vector is zero and stands for padding.
        vectors ??= zeros([count + 1, features.shape[^1]], dtype: features.dtype).DetachFromDisposeScope();
        for (var i = 0; i < rows.Length; i++)
        {
            var (place, length) = (places[texts.Ids(rows[i])], Math.Max(1, texts.Length(rows[i])));
            if (ofTokens) vectors.narrow(0, place, length).copy_(features.select(0, i).narrow(0, 0, length));
            else vectors.select(0, place).copy_(features.select(0, i));
        }
    }

    /// <summary>Makes every dimension's mean 0 over the first texts, and its variance 1 / hidden, so that a vector's length is about 1. A dimension that never changes becomes 0.</summary>
    public void Standardise()
    {
        using var scope = NewDisposeScope();
        var first = vectors!.narrow(0, 0, ofFirst);
        var (mean, deviation) = (first.mean([0]), first.std(0, unbiased: false));
        vectors.narrow(0, 0, count).sub_(mean).div_(deviation.clamp_min(1e-6 * deviation.max().item<float>() + 1e-30) * Math.Sqrt(vectors.shape[1]));
    }

    /// <summary>What the head reads of rows: [rows, hidden], or [rows, longest, hidden] with zeros at padding; null where they were not computed.</summary>
    public Tensor? Of(TokenizedTexts texts, int[] rows)
    {
        if (vectors is null || !Array.TrueForAll(rows, row => places.ContainsKey(texts.Ids(row)))) return null;
        if (!ofTokens) return vectors.index_select(0, tensor(rows.Select(row => places[texts.Ids(row)]).ToArray()));
        var longest = Math.Max(1, rows.Max(texts.Length));
        var wanted = new long[rows.Length * longest];
        for (var i = 0; i < rows.Length; i++)
            for (var token = 0; token < longest; token++)
                wanted[i * longest + token] = token < Math.Max(1, texts.Length(rows[i])) ? places[texts.Ids(rows[i])] + token : count;
        return vectors.index_select(0, tensor(wanted)).view(rows.Length, longest, -1);
    }

    public void Dispose() => vectors?.Dispose();
}
