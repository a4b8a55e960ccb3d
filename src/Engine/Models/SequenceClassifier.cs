using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Models;

/// <summary>What the classes are told of.</summary>
public enum EncoderHead
{
    /// <summary>The whole text, from its first token: logits [batch, labels].</summary>
    Sequence,

    /// <summary>Each token: logits [batch, length, labels].</summary>
    Token,

    /// <summary>Where an answer begins, and where it ends: logits [batch, length, 2].</summary>
    Answer,
}

/// <summary>
/// A text encoder with a head on its first token, or on each: embeddings, then blocks, then the head. The families differ in
/// these parts and in their names, which are those of Hugging Face's classes, so that their safetensors files load key by key.
/// Weights are left unset by the constructors: fill them with <see cref="LoadClassifier"/>.
/// </summary>
public abstract class SequenceClassifier : Module<Tensor, Tensor?, Tensor?, Tensor>
{
    private int frozenBlocks;
    private bool frozenBackbone;

    private protected SequenceClassifier(string name, EncoderConfig config) : base(name) => Config = config;

    /// <summary>A model of the family that <see cref="EncoderConfig.ModelType"/> names.</summary>
    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="labels">Outputs of the classifier; for answers always 2, whatever is given.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    /// <param name="head">What the classes are told of.</param>
    public static SequenceClassifier For(EncoderConfig config, int labels, double? dropout = null, EncoderHead head = EncoderHead.Sequence) => (config.ModelType, head) switch
    {
        ("bert", EncoderHead.Sequence) => new BertForSequenceClassification(config, labels, dropout),
        ("bert", EncoderHead.Token) => new BertForTokenClassification(config, labels, dropout),
        ("bert", EncoderHead.Answer) => new BertForQuestionAnswering(config, dropout),
        ("distilbert", EncoderHead.Sequence) => new DistilBertForSequenceClassification(config, labels, dropout),
        ("distilbert", EncoderHead.Token) => new DistilBertForTokenClassification(config, labels, dropout),
        ("distilbert", EncoderHead.Answer) => new DistilBertForQuestionAnswering(config, dropout),
        ("roberta" or "xlm-roberta", EncoderHead.Sequence) => new RobertaForSequenceClassification(config, labels, dropout),
        ("roberta" or "xlm-roberta", EncoderHead.Token) => new RobertaForTokenClassification(config, labels, dropout),
        ("roberta" or "xlm-roberta", EncoderHead.Answer) => new RobertaForQuestionAnswering(config, dropout),
        _ => throw new ArgumentException($"There is no model of the type {config.ModelType}."),
    };

    public EncoderConfig Config { get; }

    /// <summary>Set where blocks are computed again in backward, which then goes through it; null keeps what they computed.</summary>
    internal ActivationCheckpoints? Checkpoints { get; set; }

    public virtual EncoderHead Head => EncoderHead.Sequence;

    /// <summary>The last layer, which is new for new labels: weight [labels, hidden] and bias [labels].</summary>
    public abstract Linear Classifier { get; }

    /// <summary>What the names of <see cref="Classifier"/>'s parameters begin with, with the dot.</summary>
    internal virtual string ClassifierName => "classifier.";

    /// <summary>Everything that is pretrained: all but the head.</summary>
    private protected abstract Module Backbone { get; }

    /// <summary>Names of the head's layers, from the first up, such as pre_classifier and classifier.</summary>
    internal IEnumerable<string> HeadLayers => named_children().Where(c => c.module != Backbone && c.module.parameters().Any()).Select(c => c.name);

    private protected abstract Module Embeddings { get; }

    /// <summary>Called with the hidden states [batch, length, hidden] and the mask [batch, 1, 1, length] that is added to the scores.</summary>
    private protected abstract IEnumerable<Module<Tensor, Tensor?, Tensor>> Blocks { get; }

    /// <summary>The part of the backbone after the blocks, which trains with the last of them; null where there is none.</summary>
    private protected virtual Module? Pooler => null;

    /// <summary>Ids and types int64 [batch, length] to [batch, length, hidden].</summary>
    private protected abstract Tensor Embed(Tensor input_ids, Tensor? token_type_ids);

    /// <summary>The last block's output [batch, length, hidden] to what the head reads of it: [batch, hidden], or all of it where the head is on each token.</summary>
    private protected virtual Tensor Pool(Tensor hidden) => hidden;

    /// <summary>What <see cref="Pool"/> gives to logits [batch, labels], or [batch, length, labels].</summary>
    private protected abstract Tensor Classify(Tensor features);

    /// <summary>Logits.</summary>
    /// <param name="input_ids">Token ids, int64 [batch, length].</param>
    /// <param name="attention_mask">1 for tokens and 0 for padding, int64 or float [batch, length]; null where nothing is padded.</param>
    /// <param name="token_type_ids">0 for the first text and 1 for the second, int64 [batch, length]; null is all 0. DistilBERT has no such thing and leaves it unread.</param>
    /// <returns>float32 [batch, labels], or [batch, length, labels] where each token is classified; at padding those mean nothing.</returns>
    /// <exception cref="ArgumentException">The texts are longer than the model's positions.</exception>
    public sealed override Tensor forward(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids) =>
        FromFeatures(Features(input_ids, attention_mask, token_type_ids));

    /// <summary>What the head reads: [batch, hidden], or [batch, length, hidden] where it is on each token. The arguments are those of <see cref="forward"/>.</summary>
    internal Tensor Features(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids) => Pool(Encode(input_ids, attention_mask, token_type_ids, null));

    /// <summary>
    /// What <see cref="Training.BackboneProbe"/> reads, float32: the last block's output averaged over a text's tokens, [batch, hidden], or all of it, [batch, length, hidden],
    /// where the head is on each token. No pooler, because it is new in a model that only learned to fill in words. The arguments are those of <see cref="forward"/>.
    /// </summary>
    internal Tensor ProbeFeatures(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids)
    {
        var hidden = Encode(input_ids, attention_mask, token_type_ids, null).to(float32);
        if (Head != EncoderHead.Sequence) return hidden;
        if (attention_mask is null) return hidden.mean([1]);
        var tokens = attention_mask.to(float32).unsqueeze(-1);
        return (hidden * tokens).sum(1) / tokens.sum(1).clamp_min(1);
    }

    /// <summary>Logits, float32, from <see cref="Features"/>.</summary>
    internal Tensor FromFeatures(Tensor features) => Classify(features).to(float32);

    /// <summary>Logits, as of a plain call, and the hidden states [batch, length, hidden]: the embeddings' output, then each block's.</summary>
    public (Tensor Logits, IReadOnlyList<Tensor> HiddenStates) ForwardWithHiddenStates(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids)
    {
        var states = new List<Tensor>();
        var last = Encode(input_ids, attention_mask, token_type_ids, states);
        return (FromFeatures(Pool(last)), states);
    }

    private Tensor Encode(Tensor input_ids, Tensor? attention_mask, Tensor? token_type_ids, List<Tensor>? states)
    {
        if (input_ids.shape[1] > Config.MaxPositions) throw Attention.TooLong(input_ids.shape[1], Config.MaxPositions);
        var mask = Attention.PaddingMask(attention_mask);
        var hidden = Embed(input_ids, token_type_ids);
        states?.Add(hidden);
        foreach (var (i, block) in Blocks.Index())
        {
            hidden = Checkpoints?.Run(i, hidden, x => block.call(x, mask)) ?? block.call(hidden, mask);
            states?.Add(hidden);
        }
        return hidden;
    }

    /// <summary>Takes the backbone out of training but, where asked, its last blocks with the pooler. The head always trains.</summary>
    /// <param name="lastBlocks">Blocks that go on training; 0 leaves only the head.</param>
    public void TrainOnlyHeadAnd(int lastBlocks)
    {
        (frozenBackbone, frozenBlocks) = (lastBlocks == 0, Config.Layers - lastBlocks);
        foreach (var parameter in Backbone.parameters()) parameter.requires_grad_(false);
        if (lastBlocks == 0) return;
        foreach (var parameter in Blocks.Skip(frozenBlocks).SelectMany(b => b.parameters()).Concat(Pooler?.parameters() ?? []))
            parameter.requires_grad_(true);
    }

    /// <summary>Training mode; frozen layers stay in evaluation mode, so that they give the same features at every step.</summary>
    public void TrainMode()
    {
        train();
        if (frozenBackbone) Backbone.eval();
        if (frozenBlocks == 0) return;
        Embeddings.eval();
        foreach (var block in Blocks.Take(frozenBlocks)) block.eval();
    }
}

/// <summary>Scaled dot-product attention over all heads (Vaswani et al. 2017, arXiv:1706.03762).</summary>
internal static class Attention
{
    public static ArgumentException TooLong(long tokens, int positions) => new($"The texts have {tokens} tokens but the model has {positions} positions; cut them first.");

    /// <summary>1 for tokens and 0 for padding, [batch, length], to what is added to the scores: 0, and the lowest float at padding; [batch, 1, 1, length].</summary>
    public static Tensor? PaddingMask(Tensor? attention_mask) =>
        attention_mask is null ? null : (1 - attention_mask.to(float32)).mul_(float.MinValue).unsqueeze(1).unsqueeze(1);

    /// <summary>How much each token takes from each other one: [batch, heads, length, length], each row summing to 1.</summary>
    /// <param name="query">[batch, length, hidden], the heads side by side.</param>
    /// <param name="key">The same.</param>
    /// <param name="mask">Added to the scores: [batch, 1, 1, length], or null.</param>
    public static Tensor Weights(Tensor query, Tensor key, Tensor? mask, int heads)
    {
        // Scaling the queries instead of the scores costs length/size of the work.
        var scale = 1 / Math.Sqrt(query.shape[2] / heads);
        var scores = matmul(Heads(query * scale, heads), Heads(key, heads).transpose(-2, -1));
        return F.softmax(mask is null ? scores : scores + mask, -1);
    }

    /// <summary>The values [batch, length, hidden] mixed by the weights; the same shape.</summary>
    public static Tensor Mix(Tensor weights, Tensor value) => matmul(weights, Heads(value, (int)weights.shape[1])).transpose(1, 2).reshape(value.shape);

    private static Tensor Heads(Tensor x, int heads) => x.view(x.shape[0], x.shape[1], heads, x.shape[2] / heads).transpose(1, 2);
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
