using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// BERT (Devlin et al. 2019, arXiv:1810.04805) with a linear classifier on each token, as its authors used it for named entities; there is
/// no pooler. Module and parameter names are those of Hugging Face's class of the same name.
/// </summary>
public sealed class BertForTokenClassification : SequenceClassifier
{
    private readonly BertModel bert;
    private readonly Dropout dropout;
    private readonly Linear classifier;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="labels">Outputs of the classifier for each token.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public BertForTokenClassification(EncoderConfig config, int labels, double? dropout = null) : base(nameof(BertForTokenClassification), config.WithDropout(dropout))
    {
        bert = new(Config, pooled: false);
        this.dropout = Dropout(Config.ClassifierDropout);
        classifier = Empty.Linear(config.HiddenSize, labels);
        RegisterComponents();
    }

    public override EncoderHead Head => EncoderHead.Token;

    public override Linear Classifier => classifier;

    private protected override Module Backbone => bert;

    private protected override Module Embeddings => bert.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => bert.Encoder.Blocks;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => bert.Embeddings.call(input_ids, token_type_ids);

    private protected override Tensor Classify(Tensor features) => classifier.call(dropout.call(features));
}
