using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// A language model that reads from left to right and gives a score to every word that could come next. What the
/// families share: which token may look at which, positions, the loss, and the way in for generation.
/// </summary>
public abstract class CausalLM : Module<Tensor, Tensor?, Tensor>
{
    /// <summary>The label of a token that does not count.</summary>
    private const int Ignored = -100;

    /// <summary>Scores in a block that the process keeps for the next (32 MB), but enough rows that adding up the table's gradient does not cost more than it spares.</summary>
    private const long ScoresTogether = 8_000_000, LeastTogether = 512;

    private protected CausalLM(string name) : base(name)
    {
    }

    /// <summary>Rows of the embedding table; token ids are below it.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>Longest text in tokens.</summary>
    public abstract int MaxPositions { get; }

    /// <summary>Blocks.</summary>
    public abstract int Layers { get; }

    /// <summary>Set where blocks are computed again in backward, which then goes through it; null keeps what they computed.</summary>
    internal ActivationCheckpoints? Checkpoints { get; set; }

    /// <summary>Logits for the token after each position.</summary>
    /// <param name="input_ids">Token ids, int64 [batch, length].</param>
    /// <param name="attention_mask">1 for tokens and 0 for padding on either side, int64 or float [batch, length]; null where nothing is padded.
    /// Or, for several texts packed into a row, <see cref="PackedMask"/>'s [batch, length, length].</param>
    /// <returns>float32 [batch, length, vocabulary]; at padding the numbers mean nothing.</returns>
    /// <exception cref="ArgumentException">The text is longer than <see cref="MaxPositions"/>, or the mask has another shape.</exception>
    public override Tensor forward(Tensor input_ids, Tensor? attention_mask) => Head(Decode(input_ids, attention_mask, null, null, null));

    /// <summary>Logits [batch, length, vocabulary] for explicit positions.</summary>
    /// <param name="position_ids">int64 [batch, length]; null counts 0, 1, 2, ... from the first column, also where that is padding.</param>
    /// <inheritdoc cref="forward(Tensor, Tensor?)"/>
    public Tensor Logits(Tensor input_ids, Tensor? attention_mask, Tensor? position_ids) => Head(Decode(input_ids, attention_mask, position_ids, null, null));

    /// <summary>Logits, and the hidden states [batch, length, hidden]: the embeddings, then each block's output, the last one after the final norm.</summary>
    /// <inheritdoc cref="forward(Tensor, Tensor?)"/>
    public (Tensor Logits, IReadOnlyList<Tensor> HiddenStates) ForwardWithHiddenStates(Tensor input_ids, Tensor? attention_mask)
    {
        var states = new List<Tensor>();
        return (Head(Decode(input_ids, attention_mask, null, null, states)), states);
    }

    /// <summary>Logits of the last position only, [batch, vocabulary]: what generation needs.</summary>
    /// <param name="input_ids">The tokens that the cache has not seen, int64 [batch, new]; without a cache all tokens.</param>
    /// <param name="attention_mask">[batch, seen + new]; null where nothing is padded. Padding must be on the left.</param>
    /// <param name="position_ids">Positions of the new tokens, int64 [batch, new]; null counts on from the cache's length.</param>
    /// <param name="cache">Read and extended; null reads the whole text anew.</param>
    /// <exception cref="ArgumentException">The text is longer than <see cref="MaxPositions"/>, or the mask has another shape.</exception>
    public Tensor NextLogits(Tensor input_ids, Tensor? attention_mask, Tensor? position_ids, KeyValueCache? cache) =>
        Head(Decode(input_ids, attention_mask, position_ids, cache, null).select(1, -1));

    /// <summary>
    /// The attention mask for rows that hold several texts one after the other, so that none looks into another (Krell et al.
    /// 2021, arXiv:2107.02027). Give position ids that count each text from 0, and the label -100 to each text's first token,
    /// and the row computes what its texts compute alone.
    /// </summary>
    /// <param name="segments">The number of the text that a token belongs to, from 1; 0 for padding. int64 [batch, length].</param>
    /// <returns>Bool [batch, length, length]: whether the token of the row may look at the token of the column, apart from their order.</returns>
    public static Tensor PackedMask(Tensor segments) => segments.unsqueeze(2).eq(segments.unsqueeze(1)).logical_and(segments.ne(0).unsqueeze(1));

    /// <summary>Mean cross-entropy of each token given those before it: labels are the token ids themselves, shifted here.</summary>
    /// <param name="logits">float32 [batch, length, vocabulary].</param>
    /// <param name="labels">int64 [batch, length]; -100 where a token does not count, such as padding or a prompt.</param>
    /// <returns>float32 scalar in nats; NaN where no label counts.</returns>
    public static Tensor Loss(Tensor logits, Tensor labels) =>
        F.cross_entropy(logits.to(float32).view(-1, logits.shape[2]), Next(labels).view(-1), ignore_index: Ignored);

    /// <summary>
    /// The same loss from the tokens. Only tokens that count are compared with the vocabulary, and some hundred at a time: all scores of a
    /// batch are often the largest tensor of a step, and as one block they would be asked of the system, and given back, in each.
    /// </summary>
    /// <param name="input_ids">As of <see cref="forward(Tensor, Tensor?)"/>.</param>
    /// <param name="attention_mask">As of <see cref="forward(Tensor, Tensor?)"/>.</param>
    /// <param name="position_ids">As of <see cref="Logits(Tensor, Tensor?, Tensor?)"/>.</param>
    /// <param name="labels">int64 [batch, length]; -100 where a token does not count.</param>
    /// <inheritdoc cref="Loss(Tensor, Tensor)"/>
    /// <exception cref="ArgumentException">The text is longer than <see cref="MaxPositions"/>, or the mask has another shape.</exception>
    public Tensor Loss(Tensor input_ids, Tensor? attention_mask, Tensor? position_ids, Tensor labels)
    {
        var hidden = Decode(input_ids, attention_mask, position_ids, null, null);
        var next = Next(labels).view(-1);
        var counted = next.ne(Ignored).nonzero().squeeze(1);
        var (asked, targets) = (hidden.reshape(-1, hidden.shape[2]).index_select(0, counted), next.index_select(0, counted));
        var sum = asked.sum().to(float32) * 0;
        var together = Math.Max(LeastTogether, ScoresTogether / VocabularySize);
        for (var from = 0L; from < targets.shape[0]; from += together)
        {
            var count = Math.Min(together, targets.shape[0] - from);
            sum = sum + F.cross_entropy(Head(asked.narrow(0, from, count)).to(float32), targets.narrow(0, from, count), reduction: Reduction.Sum);
        }
        return sum / targets.shape[0];
    }

    // The labels move and not the logits, which are by far the larger and would be copied.
    private static Tensor Next(Tensor labels) => cat([labels.narrow(1, 1, labels.shape[1] - 1), full(labels.shape[0], 1, Ignored, dtype: int64, device: labels.device)], 1);

    /// <summary>The final norm's output [batch, length, hidden]; every hidden state goes into <paramref name="states"/> where given.</summary>
    private protected abstract Tensor Blocks(Tensor input_ids, Tensor position_ids, Tensor? mask, KeyValueCache? cache, List<Tensor>? states);

    /// <summary>Hidden [..., hidden] to logits [..., vocabulary].</summary>
    private protected abstract Tensor Head(Tensor hidden);

    private Tensor Decode(Tensor input_ids, Tensor? attention_mask, Tensor? position_ids, KeyValueCache? cache, List<Tensor>? states)
    {
        var (past, length) = (cache?.Length ?? 0, input_ids.shape[1]);
        var total = past + length;
        if (total > MaxPositions)
            throw new ArgumentException($"The text has {total} tokens but the model has {MaxPositions} positions; cut it first.");
        if (attention_mask is not null && attention_mask.shape[^1] != total)
            throw new ArgumentException($"The attention mask is {attention_mask.shape[^1]} wide, but there are {total} tokens; it needs one number for each, those in the cache included.");
        var positions = position_ids ?? arange(past, total, dtype: int64, device: input_ids.device).unsqueeze(0);
        var hidden = Blocks(input_ids, positions, Mask(length, total, attention_mask, input_ids.device), cache, states);
        cache?.Advance(length);
        return hidden;
    }

    /// <summary>
    /// Added to the attention scores: 0 where a token may be looked at, the lowest float where it is padding or comes later.
    /// Not minus infinity, so that a row of padding alone gives a number. Float32 [batch or 1, 1, length, total]; null where
    /// everything may be looked at.
    /// </summary>
    private static Tensor? Mask(long length, long total, Tensor? attention_mask, Device device)
    {
        Tensor? hidden = null;
        if (length > 1) hidden = ones(length, total, dtype: @bool, device: device).triu(total - length + 1).unsqueeze(0).unsqueeze(0);
        if (attention_mask is not null)
        {
            var closed = attention_mask.eq(0);
            var padding = closed.dim() == 3 ? closed.unsqueeze(1) : closed.unsqueeze(1).unsqueeze(1);
            hidden = hidden is null ? padding : hidden.logical_or(padding);
        }
        return hidden is null ? null : zeros(hidden.shape, device: device).masked_fill_(hidden, float.MinValue);
    }

    /// <summary>A linear layer whose weights are memory and nothing more, to be filled from a file.</summary>
    internal static Linear Projection(long inputs, long outputs, bool bias) =>
        Linear(Parameter(empty(outputs, inputs)), bias ? Parameter(empty(outputs)) : null);
}
