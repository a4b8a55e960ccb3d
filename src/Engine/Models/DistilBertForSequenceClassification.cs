using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT's blocks, half as many and with other names, without segments and without a
/// pooler; the first token goes through a linear layer and ReLU to a linear classifier. Module and parameter names are those of
/// Hugging Face's class of the same name.
/// </summary>
public sealed class DistilBertForSequenceClassification : SequenceClassifier
{
    private readonly DistilBertModel distilbert;
    private readonly Linear pre_classifier;
    private readonly Linear classifier;
    private readonly Dropout dropout;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="labels">Outputs of the classifier.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public DistilBertForSequenceClassification(EncoderConfig config, int labels, double? dropout = null) : base(nameof(DistilBertForSequenceClassification), config.WithDropout(dropout))
    {
        distilbert = new(Config);
        pre_classifier = Empty.Linear(config.HiddenSize, config.HiddenSize);
        classifier = Empty.Linear(config.HiddenSize, labels);
        this.dropout = Dropout(Config.ClassifierDropout);
        RegisterComponents();
    }

    public override Linear Classifier => classifier;

    private protected override Module Backbone => distilbert;

    private protected override Module Embeddings => distilbert.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => distilbert.Blocks;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => distilbert.Embeddings.call(input_ids);

    private protected override Tensor Pool(Tensor hidden) => hidden.select(1, 0);

    private protected override Tensor Classify(Tensor features) => classifier.call(dropout.call(pre_classifier.call(features).relu()));
}

/// <summary>Embeddings and blocks.</summary>
internal sealed class DistilBertModel : Module
{
    private readonly DistilBertEmbeddings embeddings;
    private readonly DistilBertTransformer transformer;

    public DistilBertModel(EncoderConfig config) : base(nameof(DistilBertModel))
    {
        embeddings = new(config);
        transformer = new(config);
        RegisterComponents();
    }

    public DistilBertEmbeddings Embeddings => embeddings;

    public IEnumerable<DistilBertBlock> Blocks => transformer.Blocks;
}

/// <summary>Word and position embeddings, summed and normalised: ids [batch, length] to [batch, length, hidden].</summary>
internal sealed class DistilBertEmbeddings : Module<Tensor, Tensor>
{
    private readonly Embedding word_embeddings;
    private readonly Embedding position_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly Dropout dropout;

    public DistilBertEmbeddings(EncoderConfig config) : base(nameof(DistilBertEmbeddings))
    {
        word_embeddings = Empty.Embedding(config.VocabularySize, config.HiddenSize, config.PadTokenId);
        position_embeddings = Empty.Embedding(config.PositionRows, config.HiddenSize, null);
        LayerNorm = nn.LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        dropout = Dropout(config.HiddenDropout);
        RegisterComponents();
        if (config.FixedPositions) position_embeddings.weight!.requires_grad_(false);
    }

    public override Tensor forward(Tensor input_ids) =>
        dropout.call(LayerNorm.call(word_embeddings.call(input_ids) + position_embeddings.weight!.narrow(0, 0, input_ids.shape[1])));
}

internal sealed class DistilBertTransformer : Module
{
    private readonly ModuleList<DistilBertBlock> layer;

    public DistilBertTransformer(EncoderConfig config) : base(nameof(DistilBertTransformer))
    {
        layer = ModuleList(Enumerable.Range(0, config.Layers).Select(_ => new DistilBertBlock(config)).ToArray());
        RegisterComponents();
    }

    public IEnumerable<DistilBertBlock> Blocks => layer;
}

/// <summary>One block: self-attention, then a two-layer network, each with a residual connection and a norm after it.</summary>
internal sealed class DistilBertBlock : Module<Tensor, Tensor?, Tensor>
{
    private readonly DistilBertAttention attention;
    private readonly LayerNorm sa_layer_norm;
    private readonly DistilBertFeedForward ffn;
    private readonly LayerNorm output_layer_norm;

    public DistilBertBlock(EncoderConfig config) : base(nameof(DistilBertBlock))
    {
        attention = new(config);
        sa_layer_norm = LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        ffn = new(config);
        output_layer_norm = LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask)
    {
        var attended = sa_layer_norm.call(attention.call(hidden, mask) + hidden);
        return output_layer_norm.call(ffn.call(attended) + attended);
    }
}

internal sealed class DistilBertAttention : Module<Tensor, Tensor?, Tensor>
{
    private readonly Linear q_lin;
    private readonly Linear k_lin;
    private readonly Linear v_lin;
    private readonly Linear out_lin;
    private readonly Dropout dropout;
    private readonly int heads;

    public DistilBertAttention(EncoderConfig config) : base(nameof(DistilBertAttention))
    {
        q_lin = Empty.Linear(config.HiddenSize, config.HiddenSize);
        k_lin = Empty.Linear(config.HiddenSize, config.HiddenSize);
        v_lin = Empty.Linear(config.HiddenSize, config.HiddenSize);
        out_lin = Empty.Linear(config.HiddenSize, config.HiddenSize);
        dropout = Dropout(config.AttentionDropout);
        heads = config.Heads;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask)
    {
        var weights = Attention.Weights(q_lin.call(hidden), k_lin.call(hidden), mask, heads);
        return out_lin.call(Attention.Mix(dropout.call(weights), v_lin.call(hidden)));
    }
}

internal sealed class DistilBertFeedForward : Module<Tensor, Tensor>
{
    private readonly Linear lin1;
    private readonly Linear lin2;
    private readonly Dropout dropout;
    private readonly Func<Tensor, Tensor> activation;

    public DistilBertFeedForward(EncoderConfig config) : base(nameof(DistilBertFeedForward))
    {
        lin1 = Empty.Linear(config.HiddenSize, config.IntermediateSize);
        lin2 = Empty.Linear(config.IntermediateSize, config.HiddenSize);
        dropout = Dropout(config.HiddenDropout);
        activation = EncoderConfig.Activations[config.Activation];
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => dropout.call(lin2.call(activation(lin1.call(hidden))));
}
