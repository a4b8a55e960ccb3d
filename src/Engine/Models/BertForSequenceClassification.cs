using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// BERT (Devlin et al. 2019, arXiv:1810.04805) with a linear classifier on the pooled first token. Module and parameter names are
/// those of Hugging Face's class of the same name.
/// </summary>
public sealed class BertForSequenceClassification : SequenceClassifier
{
    private readonly BertModel bert;
    private readonly Dropout dropout;
    private readonly Linear classifier;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="labels">Outputs of the classifier.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public BertForSequenceClassification(EncoderConfig config, int labels, double? dropout = null) : base(nameof(BertForSequenceClassification), config.WithDropout(dropout))
    {
        bert = new BertModel(Config, pooled: true);
        this.dropout = Dropout(Config.ClassifierDropout);
        classifier = Empty.Linear(config.HiddenSize, labels);
        RegisterComponents();
    }

    public override Linear Classifier => classifier;

    private protected override Module Backbone => bert;

    private protected override Module Embeddings => bert.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => bert.Encoder.Blocks;

    private protected override Module Pooler => bert.Pooler!;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => bert.Embeddings.call(input_ids, token_type_ids);

    private protected override Tensor Pool(Tensor hidden) => bert.Pooler!.call(hidden);

    private protected override Tensor Classify(Tensor features) => classifier.call(dropout.call(features));
}

/// <summary>Embeddings, encoder blocks and, where the first token stands for the text, the pooler.</summary>
internal sealed class BertModel : Module
{
    private readonly BertEmbeddings embeddings;
    private readonly BertEncoder encoder;
    private readonly BertPooler? pooler;
    private readonly int positions;

    public BertModel(EncoderConfig config, bool pooled) : base(nameof(BertModel))
    {
        positions = config.MaxPositions;
        embeddings = new(config);
        encoder = new(config);
        pooler = pooled ? new(config) : null;
        RegisterComponents();
    }

    public BertEmbeddings Embeddings => embeddings;

    public BertEncoder Encoder => encoder;

    public BertPooler? Pooler => pooler;

    /// <summary>The last block's output, [batch, length, hidden]; the arguments are those of <see cref="SequenceClassifier.forward"/>.</summary>
    /// <exception cref="ArgumentException">The texts are longer than the model's positions.</exception>
    public Tensor Encode(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids, ActivationCheckpoints? checkpoints = null)
    {
        if (input_ids.shape[1] > positions) throw Attention.TooLong(input_ids.shape[1], positions);
        var mask = Attention.PaddingMask(attention_mask);
        var hidden = embeddings.call(input_ids, token_type_ids);
        foreach (var (i, block) in encoder.Blocks.Index()) hidden = checkpoints?.Run(i, hidden, x => block.call(x, mask)) ?? block.call(hidden, mask);
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

    public BertEmbeddings(EncoderConfig config) : base(nameof(BertEmbeddings))
    {
        word_embeddings = Empty.Embedding(config.VocabularySize, config.HiddenSize, config.PadTokenId);
        position_embeddings = Empty.Embedding(config.PositionRows, config.HiddenSize, null);
        token_type_embeddings = Empty.Embedding(config.TypeVocabularySize, config.HiddenSize, null);
        LayerNorm = nn.LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        dropout = Dropout(config.HiddenDropout);
        RegisterComponents();
    }

    /// <summary>[vocabulary, hidden].</summary>
    public Tensor WordTable => word_embeddings.weight!;

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

    public BertEncoder(EncoderConfig config) : base(nameof(BertEncoder))
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

    public BertLayer(EncoderConfig config) : base(nameof(BertLayer))
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

    public BertAttention(EncoderConfig config) : base(nameof(BertAttention))
    {
        self = new(config);
        output = new(config, config.HiddenSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask) => output.call(self.call(hidden, mask), hidden);
}

internal sealed class BertSelfAttention : Module<Tensor, Tensor?, Tensor>
{
    private readonly Linear query;
    private readonly Linear key;
    private readonly Linear value;
    private readonly Dropout dropout;
    private readonly int heads;

    public BertSelfAttention(EncoderConfig config) : base(nameof(BertSelfAttention))
    {
        query = Empty.Linear(config.HiddenSize, config.HiddenSize);
        key = Empty.Linear(config.HiddenSize, config.HiddenSize);
        value = Empty.Linear(config.HiddenSize, config.HiddenSize);
        dropout = Dropout(config.AttentionDropout);
        heads = config.Heads;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask)
    {
        var weights = Attention.Weights(query.call(hidden), key.call(hidden), mask, heads);
        return Attention.Mix(dropout.call(weights), value.call(hidden));
    }
}

internal sealed class BertIntermediate : Module<Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly Func<Tensor, Tensor> activation;

    public BertIntermediate(EncoderConfig config) : base(nameof(BertIntermediate))
    {
        dense = Empty.Linear(config.HiddenSize, config.IntermediateSize);
        activation = EncoderConfig.Activations[config.Activation];
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

    public BertOutput(EncoderConfig config, int inputSize) : base(nameof(BertOutput))
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

    public BertPooler(EncoderConfig config) : base(nameof(BertPooler))
    {
        dense = Empty.Linear(config.HiddenSize, config.HiddenSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => dense.call(hidden.select(1, 0)).tanh();
}
