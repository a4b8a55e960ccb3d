using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// BERT (Devlin et al. 2019, arXiv:1810.04805) with a linear classifier on the pooled first token. Module and parameter
/// names are those of Hugging Face's class of the same name, so its safetensors files load key by key.
/// Weights are left unset by the constructor: fill them with <see cref="LoadBert"/>.
/// </summary>
public sealed class BertForSequenceClassification : Module<Tensor, Tensor?, Tensor?, Tensor>
{
    private readonly BertModel bert;
    private readonly Dropout dropout;
    private readonly Linear classifier;
    private int frozenBlocks;
    private bool frozenBackbone;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="labels">Outputs of the classifier.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public BertForSequenceClassification(BertConfig config, int labels, double? dropout = null) : base(nameof(BertForSequenceClassification))
    {
        Config = dropout is { } p ? config with { HiddenDropout = p, AttentionDropout = p, ClassifierDropout = p } : config;
        bert = new BertModel(Config);
        this.dropout = Dropout(Config.ClassifierDropout);
        classifier = Empty.Linear(config.HiddenSize, labels);
        RegisterComponents();
    }

    public BertConfig Config { get; }

    /// <summary>The new part of the model: the classifier's weight [labels, hidden] and bias [labels].</summary>
    public Linear Classifier => classifier;

    /// <summary>Logits.</summary>
    /// <param name="input_ids">Token ids, int64 [batch, length].</param>
    /// <param name="attention_mask">1 for tokens and 0 for padding, int64 or float [batch, length]; null where nothing is padded.</param>
    /// <param name="token_type_ids">0 for the first text and 1 for the second, int64 [batch, length]; null is all 0.</param>
    /// <returns>float32 [batch, labels].</returns>
    /// <exception cref="ArgumentException">The texts are longer than the model's positions.</exception>
    public override Tensor forward(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids) =>
        Classify(bert.Encode(input_ids, attention_mask, token_type_ids, null));

    /// <summary>Logits [batch, labels] and the hidden states [batch, length, hidden]: the embeddings' output, then each block's.</summary>
    public (Tensor Logits, IReadOnlyList<Tensor> HiddenStates) ForwardWithHiddenStates(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids)
    {
        var states = new List<Tensor>();
        var last = bert.Encode(input_ids, attention_mask, token_type_ids, states);
        return (Classify(last), states);
    }

    /// <summary>Takes all parameters out of training but the classifier and, where asked, the last blocks with the pooler.</summary>
    /// <param name="lastBlocks">Blocks that go on training; 0 leaves only the classifier.</param>
    public void TrainOnlyHeadAnd(int lastBlocks)
    {
        (frozenBackbone, frozenBlocks) = (lastBlocks == 0, Config.Layers - lastBlocks);
        foreach (var (_, parameter) in bert.named_parameters()) parameter.requires_grad_(false);
        if (lastBlocks == 0) return;
        foreach (var (_, parameter) in bert.Blocks.Skip(frozenBlocks).SelectMany(b => b.named_parameters()).Concat(bert.Pooler.named_parameters()))
            parameter.requires_grad_(true);
    }

    /// <summary>Training mode; frozen layers stay in evaluation mode, so that they give the same features at every step.</summary>
    public void TrainMode()
    {
        train();
        if (frozenBackbone) bert.eval();
        if (frozenBlocks == 0) return;
        bert.Embeddings.eval();
        foreach (var block in bert.Blocks.Take(frozenBlocks)) block.eval();
    }

    private Tensor Classify(Tensor last) => classifier.call(dropout.call(bert.Pooler.call(last)));
}

/// <summary>Embeddings, encoder blocks and pooler.</summary>
internal sealed class BertModel : Module
{
    private readonly BertConfig config;
    private readonly BertEmbeddings embeddings;
    private readonly BertEncoder encoder;
    private readonly BertPooler pooler;

    public BertModel(BertConfig config) : base(nameof(BertModel))
    {
        this.config = config;
        embeddings = new(config);
        encoder = new(config);
        pooler = new(config);
        RegisterComponents();
    }

    public BertEmbeddings Embeddings => embeddings;

    public IEnumerable<BertLayer> Blocks => encoder.Blocks;

    public BertPooler Pooler => pooler;

    /// <summary>The last block's output [batch, length, hidden]; every hidden state goes into <paramref name="states"/> where given.</summary>
    public Tensor Encode(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids, List<Tensor>? states)
    {
        if (input_ids.shape[1] > config.MaxPositions)
            throw new ArgumentException($"The texts have {input_ids.shape[1]} tokens but the model has {config.MaxPositions} positions; cut them first.");
        // Added to the scores: 0 where a token may be looked at, the lowest float where it is padding. [batch, 1, 1, length]
        var mask = attention_mask is null ? null : (1 - attention_mask.to(float32)).mul_(float.MinValue).unsqueeze(1).unsqueeze(1);
        var hidden = embeddings.call(input_ids, token_type_ids);
        states?.Add(hidden);
        foreach (var block in encoder.Blocks)
        {
            hidden = block.call(hidden, mask);
            states?.Add(hidden);
        }
        return hidden;
    }
}

/// <summary>Word, position and segment embeddings, summed and normalised.</summary>
internal sealed class BertEmbeddings : Module<Tensor, Tensor?, Tensor>
{
    private readonly Embedding word_embeddings;
    private readonly Embedding position_embeddings;
    private readonly Embedding token_type_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly Dropout dropout;

    public BertEmbeddings(BertConfig config) : base(nameof(BertEmbeddings))
    {
        word_embeddings = Empty.Embedding(config.VocabularySize, config.HiddenSize, config.PadTokenId);
        position_embeddings = Empty.Embedding(config.MaxPositions, config.HiddenSize, null);
        token_type_embeddings = Empty.Embedding(config.TypeVocabularySize, config.HiddenSize, null);
        LayerNorm = nn.LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        dropout = Dropout(config.HiddenDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input_ids, Tensor? token_type_ids)
    {
        // Positions are 0, 1, 2, ...: the first rows of their table. The same holds for a single segment.
        var positions = position_embeddings.weight!.narrow(0, 0, input_ids.shape[1]);
        var types = token_type_ids is null ? token_type_embeddings.weight!.narrow(0, 0, 1) : token_type_embeddings.call(token_type_ids);
        return dropout.call(LayerNorm.call(word_embeddings.call(input_ids) + (positions + types)));
    }
}

internal sealed class BertEncoder : Module
{
    private readonly ModuleList<BertLayer> layer;

    public BertEncoder(BertConfig config) : base(nameof(BertEncoder))
    {
        layer = ModuleList(Enumerable.Range(0, config.Layers).Select(_ => new BertLayer(config)).ToArray());
        RegisterComponents();
    }

    public IEnumerable<BertLayer> Blocks => layer;
}

/// <summary>One block: self-attention, then a two-layer network, each with a residual connection and a norm after it.</summary>
internal sealed class BertLayer : Module<Tensor, Tensor?, Tensor>
{
    private readonly BertAttention attention;
    private readonly BertIntermediate intermediate;
    private readonly BertOutput output;

    public BertLayer(BertConfig config) : base(nameof(BertLayer))
    {
        attention = new(config);
        intermediate = new(config);
        output = new(config, config.IntermediateSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask)
    {
        var attended = attention.call(hidden, mask);
        return output.call(intermediate.call(attended), attended);
    }
}

internal sealed class BertAttention : Module<Tensor, Tensor?, Tensor>
{
    private readonly BertSelfAttention self;
    private readonly BertOutput output;

    public BertAttention(BertConfig config) : base(nameof(BertAttention))
    {
        self = new(config);
        output = new(config, config.HiddenSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask) => output.call(self.call(hidden, mask), hidden);
}

/// <summary>Scaled dot-product attention over all heads (Vaswani et al. 2017, arXiv:1706.03762).</summary>
internal sealed class BertSelfAttention : Module<Tensor, Tensor?, Tensor>
{
    private readonly Linear query;
    private readonly Linear key;
    private readonly Linear value;
    private readonly Dropout dropout;
    private readonly int heads;
    private readonly double scale;

    public BertSelfAttention(BertConfig config) : base(nameof(BertSelfAttention))
    {
        query = Empty.Linear(config.HiddenSize, config.HiddenSize);
        key = Empty.Linear(config.HiddenSize, config.HiddenSize);
        value = Empty.Linear(config.HiddenSize, config.HiddenSize);
        dropout = Dropout(config.AttentionDropout);
        heads = config.Heads;
        scale = 1 / Math.Sqrt(config.HiddenSize / heads);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask)
    {
        var (batch, length, size) = (hidden.shape[0], hidden.shape[1], hidden.shape[2]);
        Tensor Heads(Tensor x) => x.view(batch, length, heads, size / heads).transpose(1, 2);
        // Scaling the queries instead of the scores costs length/size of the work.
        var scores = matmul(Heads(query.call(hidden) * scale), Heads(key.call(hidden)).transpose(-2, -1));
        if (mask is not null) scores = scores + mask;
        var weights = dropout.call(F.softmax(scores, -1));
        return matmul(weights, Heads(value.call(hidden))).transpose(1, 2).reshape(batch, length, size);
    }
}

internal sealed class BertIntermediate : Module<Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly Func<Tensor, Tensor> activation;

    public BertIntermediate(BertConfig config) : base(nameof(BertIntermediate))
    {
        dense = Empty.Linear(config.HiddenSize, config.IntermediateSize);
        activation = BertConfig.Activations[config.Activation];
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => activation(dense.call(hidden));
}

/// <summary>Projects back to the hidden size, adds the residual and normalises; closes both halves of a block.</summary>
internal sealed class BertOutput : Module<Tensor, Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly LayerNorm LayerNorm;
    private readonly Dropout dropout;

    public BertOutput(BertConfig config, int inputSize) : base(nameof(BertOutput))
    {
        dense = Empty.Linear(inputSize, config.HiddenSize);
        LayerNorm = nn.LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        dropout = Dropout(config.HiddenDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor residual) => LayerNorm.call(dropout.call(dense.call(hidden)) + residual);
}

/// <summary>The first token through a linear layer and tanh: [batch, length, hidden] to [batch, hidden].</summary>
internal sealed class BertPooler : Module<Tensor, Tensor>
{
    private readonly Linear dense;

    public BertPooler(BertConfig config) : base(nameof(BertPooler))
    {
        dense = Empty.Linear(config.HiddenSize, config.HiddenSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => dense.call(hidden.select(1, 0)).tanh();
}

/// <summary>
/// Layers whose weights are memory and nothing more: a model that is filled from a file needs no random start, and a start
/// would draw from the generator that a run beside it uses for dropout.
/// </summary>
internal static class Empty
{
    public static Linear Linear(long inputs, long outputs) => nn.Linear(Parameter(empty(outputs, inputs)), Parameter(empty(outputs)));

    public static Embedding Embedding(long rows, long size, long? padding) => Embedding_from_pretrained(empty(rows, size), freeze: false, padding_idx: padding);
}
