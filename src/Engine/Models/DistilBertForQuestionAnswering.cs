using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// DistilBERT (Sanh et al. 2019, arXiv:1910.01108) with two outputs on each token: how well an answer begins there and ends
/// there. Module and parameter names are those of Hugging Face's class of the same name, which has a dropout of its own before them (qa_dropout).
/// </summary>
public sealed class DistilBertForQuestionAnswering : SequenceClassifier
{
    private readonly DistilBertModel distilbert;
    private readonly Dropout dropout;
    private readonly Linear qa_outputs;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public DistilBertForQuestionAnswering(EncoderConfig config, double? dropout = null) : base(nameof(DistilBertForQuestionAnswering), config.WithDropout(dropout))
    {
        distilbert = new(Config);
        this.dropout = Dropout(Config.AnswerDropout);
        qa_outputs = Empty.Linear(config.HiddenSize, 2);
        RegisterComponents();
    }

    public override EncoderHead Head => EncoderHead.Answer;

    public override Linear Classifier => qa_outputs;

    internal override string ClassifierName => "qa_outputs.";

    private protected override Module Backbone => distilbert;

    private protected override Module Embeddings => distilbert.Embeddings;

    private protected override IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks => distilbert.Blocks;

    private protected override Tensor Embed(Tensor input_ids, Tensor? token_type_ids) => distilbert.Embeddings.call(input_ids);

    private protected override Tensor Classify(Tensor features) => qa_outputs.call(dropout.call(features));
}
