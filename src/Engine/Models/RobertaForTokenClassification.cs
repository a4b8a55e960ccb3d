using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// RoBERTa (Liu et al. 2019, arXiv:1907.11692), or XLM-RoBERTa (Conneau et al. 2020, arXiv:1911.02116), with one linear classifier on
/// each token. Module and parameter names are those of Hugging Face's class of the same name.
/// </summary>
public sealed class RobertaForTokenClassification : SequenceClassifier
{
    private readonly RobertaModel roberta;
    private readonly Dropout dropout;
    private readonly Linear classifier;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="labels">Outputs of the classifier for each token.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public RobertaForTokenClassification(EncoderConfig config, int labels, double? dropout = null) : base(nameof(RobertaForTokenClassification), config.WithDropout(dropout))
    {
        roberta = new(Config);
        this.dropout = Dropout(Config.ClassifierDropout);
        classifier = Empty.Linear(config.HiddenSize, labels);
        RegisterComponents();
    }

    public override EncoderHead Head => EncoderHead.Token;

    public override Linear Classifier => classifier;

    private protected override Module Backbone => roberta;

    private protected override Module Embeddings => roberta.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => roberta.Encoder.Blocks;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => roberta.Embeddings.call(input_ids, token_type_ids);

    private protected override Tensor Classify(Tensor features) => classifier.call(dropout.call(features));
}
