using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// BERT (Devlin et al. 2019, arXiv:1810.04805) that fills in masked words: each token's hidden state is transformed and compared with
/// the embedding of every word, the two tables being one. It may also tell from the pooled first token whether the second text of a pair
/// follows the first. Module and parameter names are those of Hugging Face's class of the same name, and with both heads of its BertForPreTraining.
/// Weights are left unset by the constructor: fill them with <see cref="LoadMaskedLM"/>.
/// </summary>
public sealed class BertForMaskedLM : Module<Tensor, Tensor?, Tensor>
{
    private readonly BertModel bert;
    private readonly BertOnlyMLMHead cls;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    /// <param name="nextSentence">With the head for pairs, and the pooler under it.</param>
    public BertForMaskedLM(EncoderConfig config, double? dropout = null, bool nextSentence = false) : base(nameof(BertForMaskedLM))
    {
        Config = config.WithDropout(dropout);
        bert = new(Config, pooled: nextSentence);
        cls = new(Config, nextSentence);
        RegisterComponents();
    }

    public EncoderConfig Config { get; }

    /// <summary>Whether there is a head for pairs.</summary>
    public bool HasNextSentence => bert.Pooler is not null;

    /// <summary>Set where blocks are computed again in backward, which then goes through it; null keeps what they computed.</summary>
    internal ActivationCheckpoints? Checkpoints { get; set; }

    /// <summary>Scores of every word at every token.</summary>
    /// <param name="input_ids">Token ids, int64 [batch, length].</param>
    /// <param name="attention_mask">1 for tokens and 0 for padding, int64 or float [batch, length]; null where nothing is padded.</param>
    /// <returns>float32 [batch, length, vocabulary]; at padding the numbers mean nothing.</returns>
    /// <exception cref="ArgumentException">The texts are longer than the model's positions.</exception>
    public override Tensor forward(Tensor input_ids, Tensor? attention_mask) => Words(bert.Encode(input_ids, attention_mask, null, Checkpoints));

    /// <summary>
    /// Scores of every word at some tokens. A seventh of the tokens is asked for in training, and the comparison with all words is the
    /// largest product of a small model, so it is made for those alone.
    /// </summary>
    /// <param name="input_ids">As of <see cref="forward"/>.</param>
    /// <param name="attention_mask">As of <see cref="forward"/>.</param>
    /// <param name="positions">Where to look, int64 [asked]: row times length plus column.</param>
    /// <param name="token_type_ids">0 for the first text and 1 for the second, int64 [batch, length]; null is all 0.</param>
    /// <returns>float32 [asked, vocabulary].</returns>
    /// <exception cref="ArgumentException">The texts are longer than the model's positions.</exception>
    public Tensor At(Tensor input_ids, Tensor? attention_mask, Tensor positions, Tensor? token_type_ids = null) =>
        Words(bert.Encode(input_ids, attention_mask, token_type_ids, Checkpoints), positions);

    /// <summary>Scores of every word at some tokens, and of whether the second text follows the first.</summary>
    /// <returns>Words: float32 [asked, vocabulary]. Pairs: float32 [batch, 2], of "follows" and "does not"; null without a head for them.</returns>
    /// <inheritdoc cref="At"/>
    public (Tensor Words, Tensor? Pairs) Both(Tensor input_ids, Tensor? attention_mask, Tensor positions, Tensor? token_type_ids)
    {
        var hidden = bert.Encode(input_ids, attention_mask, token_type_ids, Checkpoints);
        return (Words(hidden, positions), bert.Pooler is { } pooler ? cls.Pairs(pooler.call(hidden)).to(float32) : null);
    }

    private Tensor Words(Tensor hidden, Tensor positions) => Words(hidden.reshape(-1, Config.HiddenSize).index_select(0, positions));

    private Tensor Words(Tensor hidden) => cls.Scores(hidden, bert.Embeddings.WordTable).to(float32);
}

/// <summary>The head for words and, beside it, the one for pairs.</summary>
internal sealed class BertOnlyMLMHead : Module
{
    private readonly BertLMPredictionHead predictions;
    private readonly Linear? seq_relationship;

    public BertOnlyMLMHead(EncoderConfig config, bool nextSentence) : base(nameof(BertOnlyMLMHead))
    {
        predictions = new(config);
        if (nextSentence) seq_relationship = Empty.Linear(config.HiddenSize, 2);
        RegisterComponents();
    }

    public Tensor Scores(Tensor hidden, Tensor words) => predictions.Scores(hidden, words);

    public Tensor Pairs(Tensor pooled) => seq_relationship!.call(pooled);
}

/// <summary>Hidden states to scores of words: transformed, then multiplied with the word table, and a bias for each word.</summary>
internal sealed class BertLMPredictionHead : Module
{
    private readonly BertPredictionHeadTransform transform;
    private readonly Parameter bias;

    public BertLMPredictionHead(EncoderConfig config) : base(nameof(BertLMPredictionHead))
    {
        transform = new(config);
        bias = Parameter(empty(config.VocabularySize));
        RegisterComponents();
    }

    /// <param name="hidden">[..., hidden].</param>
    /// <param name="words">The embedding table, [vocabulary, hidden].</param>
    /// <returns>[..., vocabulary].</returns>
    public Tensor Scores(Tensor hidden, Tensor words) => F.linear(transform.call(hidden), words, bias);
}

internal sealed class BertPredictionHeadTransform : Module<Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly LayerNorm LayerNorm;
    private readonly Func<Tensor, Tensor> activation;

    public BertPredictionHeadTransform(EncoderConfig config) : base(nameof(BertPredictionHeadTransform))
    {
        dense = Empty.Linear(config.HiddenSize, config.HiddenSize);
        LayerNorm = nn.LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        activation = EncoderConfig.Activations[config.Activation];
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => LayerNorm.call(activation(dense.call(hidden)));
}
