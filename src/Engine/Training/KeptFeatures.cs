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
    private Tensor? vectors;

    private KeptFeatures(IReadOnlyList<TokenizedTexts> texts, bool ofTokens)
    {
        this.ofTokens = ofTokens;
        foreach (var of in texts)
            for (var row = 0; row < of.Count; row++)
                if (places.TryAdd(of.Ids(row), count)) count += ofTokens ? Math.Max(1, of.Length(row)) : 1;
    }

    /// <summary>Bytes in float32, for rows of so many tokens.</summary>
    public static long BytesOf(IEnumerable<int> lengths, SequenceClassifier model) =>
        4L * model.Config.HiddenSize * (OfTokens(model) ? lengths.Sum(length => (long)Math.Max(1, length)) + 1 : lengths.Count());

    /// <summary>Runs the backbone over all rows, in evaluation mode and without gradients.</summary>
    /// <param name="batches">Rows of each batch of some texts, all of them once.</param>
    public static KeptFeatures Compute(SequenceClassifier model, IReadOnlyList<TokenizedTexts> texts, Func<TokenizedTexts, IEnumerable<int[]>> batches)
    {
        var kept = new KeptFeatures(texts, OfTokens(model));
        try
        {
            foreach (var of in texts)
                foreach (var rows in batches(of))
                {
                    using var scope = NewDisposeScope();
                    var (ids, mask) = of.Batch(rows);
                    kept.Keep(of, rows, model.Features(ids, mask, of.TypesOf(rows, ids.shape[1])));
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
