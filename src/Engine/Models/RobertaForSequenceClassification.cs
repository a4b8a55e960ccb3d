using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// RoBERTa (Liu et al. 2019, arXiv:1907.11692), and XLM-RoBERTa (Conneau et al. 2020, arXiv:1911.02116), which is the same network
/// with another vocabulary: BERT's blocks, positions counted from the padding id on, no pooler, and a head of two layers on the
/// first token. Module and parameter names are those of Hugging Face's class of the same name.
/// </summary>
public sealed class RobertaForSequenceClassification : SequenceClassifier
{
    private readonly RobertaModel roberta;
    private readonly RobertaClassificationHead classifier;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="labels">Outputs of the classifier.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public RobertaForSequenceClassification(EncoderConfig config, int labels, double? dropout = null) : base(nameof(RobertaForSequenceClassification), config.WithDropout(dropout))
    {
        roberta = new(Config);
        classifier = new(Config, labels);
        RegisterComponents();
    }

    public override Linear Classifier => classifier.Projection;

    internal override string ClassifierName => "classifier.out_proj.";

    private protected override Module Backbone => roberta;

    private protected override Module Embeddings => roberta.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => roberta.Encoder.Blocks;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => roberta.Embeddings.call(input_ids, token_type_ids);

    private protected override Tensor Pool(Tensor hidden) => hidden.select(1, 0);

    private protected override Tensor Classify(Tensor features) => classifier.call(features);
}

/// <summary>Embeddings and encoder blocks.</summary>
internal sealed class RobertaModel : Module
{
    private readonly RobertaEmbeddings embeddings;
    private readonly BertEncoder encoder;

    public RobertaModel(EncoderConfig config) : base(nameof(RobertaModel))
    {
        embeddings = new(config);
        encoder = new(config);
        RegisterComponents();
    }

    public RobertaEmbeddings Embeddings => embeddings;

    public BertEncoder Encoder => encoder;
}

/// <summary>Word, position and segment embeddings, summed and normalised: ids and types [batch, length] to [batch, length, hidden].</summary>
internal sealed class RobertaEmbeddings : Module<Tensor, Tensor?, Tensor>
{
    private readonly Embedding word_embeddings;
    private readonly Embedding position_embeddings;
    private readonly Embedding token_type_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly Dropout dropout;
    private readonly int padding;

    public RobertaEmbeddings(EncoderConfig config) : base(nameof(RobertaEmbeddings))
    {
        padding = config.PadTokenId;
        word_embeddings = Empty.Embedding(config.VocabularySize, config.HiddenSize, padding);
        position_embeddings = Empty.Embedding(config.PositionRows, config.HiddenSize, padding);
        token_type_embeddings = Empty.Embedding(config.TypeVocabularySize, config.HiddenSize, null);
        LayerNorm = nn.LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        dropout = Dropout(config.HiddenDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input_ids, Tensor? token_type_ids)
    {
        var types = token_type_ids is null ? token_type_embeddings.weight!.narrow(0, 0, 1) : token_type_embeddings.call(token_type_ids);
        return dropout.call(LayerNorm.call(word_embeddings.call(input_ids) + types + position_embeddings.call(Positions(input_ids))));
    }

    /// <summary>padding + 1, padding + 2, ... over the tokens that are not padding, which has the position padding: int64 [batch, length].</summary>
    private Tensor Positions(Tensor input_ids)
    {
        var isToken = input_ids.ne(padding).to(int64);
        return isToken.cumsum(1) * isToken + padding;
    }
}

/// <summary>The first token through a linear layer and tanh to the labels: [batch, hidden] to [batch, labels].</summary>
internal sealed class RobertaClassificationHead : Module<Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly Dropout dropout;
    private readonly Linear out_proj;

    public RobertaClassificationHead(EncoderConfig config, int labels) : base(nameof(RobertaClassificationHead))
    {
        dense = Empty.Linear(config.HiddenSize, config.HiddenSize);
        dropout = Dropout(config.ClassifierDropout);
        out_proj = Empty.Linear(config.HiddenSize, labels);
        RegisterComponents();
    }

    public Linear Projection => out_proj;

    public override Tensor forward(Tensor first) => out_proj.call(dropout.call(dense.call(dropout.call(first)).tanh()));
}
