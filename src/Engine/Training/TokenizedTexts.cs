using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Texts as token ids, and the order in which they meet the model: batches of rows of about the same length, so that little is
/// padded. What each task is to learn from them stands in a class of its own that derives from this one.
/// </summary>
/// <param name="ids">Token ids of each text, cut and with its special tokens.</param>
/// <param name="padId">Fills the shorter rows of a batch.</param>
/// <param name="types">0 for tokens of a row's first text and 1 for those of its second; null where no row has a second.</param>
/// <param name="lengths">Tokens of each row, where they are known and reading the row for them costs something.</param>
internal class TokenizedTexts(IReadOnlyList<int[]> ids, int padId, int[][]? types = null, int[]? lengths = null)
{
    private readonly int[] lengths = lengths ?? [.. ids.Select(row => row.Length)];

    /// <summary>Rows are shuffled first and sorted by length only within this many batches, so batches still differ from epoch to epoch.</summary>
    private const int BatchesSortedTogether = 50;

    public int Count => ids.Count;

    /// <summary>Where the tensors of its batches are made: where the model is that reads them.</summary>
    public Device Device { get; init; } = CPU;

    /// <summary>Tokens of a row.</summary>
    public int Length(int row) => lengths[row];

    public IReadOnlyList<int> Lengths => lengths;

    /// <summary>Token ids of a row.</summary>
    public int[] Ids(int row) => ids[row];

    /// <summary>Everything that the model reads of these texts, each stretch once: the rows themselves, or where a row is read in windows all of those.</summary>
    public virtual TokenizedTexts Stretches => this;

    public int[] AllRows => [.. Enumerable.Range(0, Count)];

    /// <summary>int64 [rows, length], or null where all would be 0.</summary>
    public Tensor? TypesOf(int[] rows, long length) => TextPair.Types(types, rows, length);

    /// <summary>A model's logits for rows.</summary>
    public Tensor Through(SequenceClassifier model, int[] rows)
    {
        var (tokens, mask) = Batch(rows);
        return model.call(tokens, mask, TypesOf(rows, tokens.shape[1]));
    }

    /// <summary>Rows of each batch of one epoch; the same seed and epoch give the same batches.</summary>
    public IReadOnlyList<int[]> TrainBatches(int batchSize, int seed, int epoch) => TrainBatches(lengths, batchSize, seed, epoch);

    /// <summary>The same of rows whose lengths alone are known.</summary>
    public static IReadOnlyList<int[]> TrainBatches(IReadOnlyList<int> lengths, int batchSize, int seed, int epoch)
    {
        var random = new Random(unchecked(seed * 31 + epoch * 1_000_003));
        var rows = Enumerable.Range(0, lengths.Count).ToArray();
        random.Shuffle(rows);
        var batches = rows.Chunk(batchSize * BatchesSortedTogether)
            .SelectMany(chunk => chunk.OrderByDescending(row => lengths[row]).Chunk(batchSize)).ToArray();
        random.Shuffle(batches);
        return batches;
    }

    /// <summary>The given rows, or all, in batches by length; evaluation needs no order.</summary>
    public IEnumerable<int[]> BatchesByLength(int batchSize, IEnumerable<int>? rows = null) =>
        (rows ?? Enumerable.Range(0, Count)).OrderByDescending(row => lengths[row]).Chunk(batchSize);

    /// <summary>Ids int64 [rows, longest], and the mask int64 of the same shape or null where nothing is padded.</summary>
    public (Tensor Ids, Tensor? Mask) Batch(int[] rows)
    {
        // A tokenizer without special tokens makes nothing of an empty text; the model needs one position all the same.
        var length = Math.Max(1, rows.Max(row => ids[row].Length));
        var (tokens, mask, padded) = (new long[rows.Length * length], new long[rows.Length * length], false);
        for (var i = 0; i < rows.Length; i++)
        {
            var row = ids[rows[i]];
            padded |= row.Length < length;
            for (var j = 0; j < length; j++)
                (tokens[i * length + j], mask[i * length + j]) = j < row.Length ? (row[j], 1) : (padId, 0);
        }
        long[] shape = [rows.Length, length];
        return (tensor(tokens, shape, device: Device), padded ? tensor(mask, shape, device: Device) : null);
    }
}

/// <summary>Texts with one label each.</summary>
/// <param name="labels">Index of each text's label.</param>
internal sealed class LabeledTexts(int[][] ids, IReadOnlyList<int> labels, int padId) : TokenizedTexts(ids, padId)
{
    public IReadOnlyList<int> Labels => labels;

    /// <summary>int64 [rows].</summary>
    public Tensor LabelsOf(int[] rows) => tensor(rows.Select(row => (long)labels[row]).ToArray());
}
