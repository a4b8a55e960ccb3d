using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// RoBERTa (Liu et al. 2019, arXiv:1907.11692), or XLM-RoBERTa (Conneau et al. 2020, arXiv:1911.02116), with two
/// outputs on each token: how well an answer begins there and ends there. Module and parameter names are those of Hugging Face's class of the same name.
/// </summary>
public sealed class RobertaForQuestionAnswering : SequenceClassifier
{
    private readonly RobertaModel roberta;
    private readonly Linear qa_outputs;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public RobertaForQuestionAnswering(EncoderConfig config, double? dropout = null) : base(nameof(RobertaForQuestionAnswering), config.WithDropout(dropout))
    {
        roberta = new(Config);
        qa_outputs = Empty.Linear(config.HiddenSize, 2);
        RegisterComponents();
    }

    public override EncoderHead Head => EncoderHead.Answer;

    public override Linear Classifier => qa_outputs;

    internal override string ClassifierName => "qa_outputs.";

    private protected override Module Backbone => roberta;

    private protected override Module Embeddings => roberta.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => roberta.Encoder.Blocks;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => roberta.Embeddings.call(input_ids, token_type_ids);

    private protected override Tensor Classify(Tensor features) => qa_outputs.call(features);
}
