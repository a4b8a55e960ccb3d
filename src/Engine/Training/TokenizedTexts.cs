using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>Texts as token ids, and the order in which they meet the model: batches of rows of about the same length, so that little is padded.</summary>
internal sealed class TokenizedTexts
{
    /// <summary>Rows are shuffled first and sorted by length only within this many batches, so batches still differ from epoch to epoch.</summary>
    private const int BatchesSortedTogether = 50;

    private readonly int[][] ids;
    private readonly int padId;

    public TokenizedTexts(IReadOnlyList<string> texts, IReadOnlyList<int> labels, Tokenizer tokenizer, int maxLength, CancellationToken cancel = default)
    {
        (Labels, padId, ids) = (labels, tokenizer.PadId, tokenizer.EncodeIds(texts, maxLength, cancel));
    }

    /// <summary>Rows that are tokenised already.</summary>
    /// <param name="padId">Fills the shorter rows of a batch.</param>
    public TokenizedTexts(int[][] ids, IReadOnlyList<int> labels, int padId) => (this.ids, Labels, this.padId) = (ids, labels, padId);

    public int Count => ids.Length;

    public IReadOnlyList<int> Labels { get; }

    /// <summary>Rows of each batch of one epoch; the same seed and epoch give the same batches.</summary>
    public IReadOnlyList<int[]> TrainBatches(int batchSize, int seed, int epoch) => TrainBatches([.. ids.Select(row => row.Length)], batchSize, seed, epoch);

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
        (rows ?? Enumerable.Range(0, Count)).OrderByDescending(row => ids[row].Length).Chunk(batchSize);

    /// <summary>Ids int64 [rows, longest], the mask int64 of the same shape or null where nothing is padded, and labels int64 [rows].</summary>
    public (Tensor Ids, Tensor? Mask, Tensor Labels) Batch(int[] rows)
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
        return (tensor(tokens, shape), padded ? tensor(mask, shape) : null, tensor(rows.Select(row => (long)Labels[row]).ToArray()));
    }
}
