using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// DistilBERT (Sanh et al. 2019, arXiv:1910.01108) with a linear classifier on each token. Module and parameter names are those of Hugging
/// Face's class of the same name, whose dropout before the classifier is that of the blocks.
/// </summary>
public sealed class DistilBertForTokenClassification : SequenceClassifier
{
    private readonly DistilBertModel distilbert;
    private readonly Dropout dropout;
    private readonly Linear classifier;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="labels">Outputs of the classifier for each token.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public DistilBertForTokenClassification(EncoderConfig config, int labels, double? dropout = null) : base(nameof(DistilBertForTokenClassification), config.WithDropout(dropout))
    {
        distilbert = new(Config);
        this.dropout = Dropout(Config.HiddenDropout);
        classifier = Empty.Linear(config.HiddenSize, labels);
        RegisterComponents();
    }

    public override EncoderHead Head => EncoderHead.Token;

    public override Linear Classifier => classifier;

    private protected override Module Backbone => distilbert;

    private protected override Module Embeddings => distilbert.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => distilbert.Blocks;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => distilbert.Embeddings.call(input_ids);

    private protected override Tensor Classify(Tensor features) => classifier.call(dropout.call(features));
}
