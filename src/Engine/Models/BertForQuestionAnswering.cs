using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// BERT (Devlin et al. 2019, arXiv:1810.04805) with two outputs on each token: how well an answer begins there and ends there, as its authors
/// used it for SQuAD; there is no pooler and no dropout before them. Module and parameter names are those of Hugging Face's class of the same name.
/// </summary>
public sealed class BertForQuestionAnswering : SequenceClassifier
{
    private readonly BertModel bert;
    private readonly Linear qa_outputs;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public BertForQuestionAnswering(EncoderConfig config, double? dropout = null) : base(nameof(BertForQuestionAnswering), config.WithDropout(dropout))
    {
        bert = new(Config, pooled: false);
        qa_outputs = Empty.Linear(config.HiddenSize, 2);
        RegisterComponents();
    }

    public override EncoderHead Head => EncoderHead.Answer;

    public override Linear Classifier => qa_outputs;

    internal override string ClassifierName => "qa_outputs.";

    private protected override Module Backbone => bert;

    private protected override Module Embeddings => bert.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => bert.Encoder.Blocks;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => bert.Embeddings.call(input_ids, token_type_ids);

    private protected override Tensor Classify(Tensor features) => qa_outputs.call(features);
}
