using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners") with its language-model head. Module
/// and parameter names are those of Hugging Face's class of the same name, so its safetensors files load key by key.
/// Weights are left unset by the constructor: fill them with <see cref="LoadCausalLM"/>.
/// </summary>
public sealed class Gpt2LMHeadModel : CausalLM
{
    private readonly Gpt2Model transformer;
    private readonly Linear? lm_head;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="dropout">Probability for every dropout of the model, in place of those in <paramref name="config"/>; null keeps them.</param>
    public Gpt2LMHeadModel(Gpt2Config config, double? dropout = null) : base(nameof(Gpt2LMHeadModel))
    {
        Config = dropout is { } p ? config with { EmbeddingDropout = p, AttentionDropout = p, ResidualDropout = p } : config;
        transformer = new(Config);
        if (!config.Tied) lm_head = Projection(config.HiddenSize, config.VocabularySize, bias: false);
        RegisterComponents();
    }

    public Gpt2Config Config { get; }

    public override int VocabularySize => Config.VocabularySize;

    public override int MaxPositions => Config.MaxPositions;

    public override int Layers => Config.Layers;

    private protected override Tensor Blocks(Tensor input_ids, Tensor position_ids, Tensor? mask, KeyValueCache? cache, List<Tensor>? states) =>
        transformer.Decode(input_ids, position_ids, mask, cache, states, Checkpoints);

    private protected override Tensor Head(Tensor hidden) => lm_head?.call(hidden) ?? F.linear(hidden, transformer.WordTable);
}

/// <summary>Embeddings, blocks and the final norm.</summary>
internal sealed class Gpt2Model : Module
{
    private readonly Embedding wte;
    private readonly Embedding wpe;
    private readonly Dropout drop;
    private readonly ModuleList<Gpt2Block> h;
    private readonly LayerNorm ln_f;

    public Gpt2Model(Gpt2Config config) : base(nameof(Gpt2Model))
    {
        wte = Empty.Embedding(config.VocabularySize, config.HiddenSize, null);
        wpe = Empty.Embedding(config.MaxPositions, config.HiddenSize, null);
        drop = Dropout(config.EmbeddingDropout);
        h = ModuleList(Enumerable.Range(0, config.Layers).Select(layer => new Gpt2Block(config, layer)).ToArray());
        ln_f = LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        RegisterComponents();
    }

    public Tensor WordTable => wte.weight!;

    public Tensor Decode(Tensor input_ids, Tensor position_ids, Tensor? mask, KeyValueCache? cache, List<Tensor>? states, ActivationCheckpoints? checkpoints)
    {
        var hidden = drop.call(wte.call(input_ids) + wpe.call(position_ids));
        foreach (var (i, block) in h.Index())
        {
            states?.Add(hidden);
            hidden = checkpoints?.Run(i, hidden, x => block.call(x, mask, cache)) ?? block.call(hidden, mask, cache);
        }
        hidden = ln_f.call(hidden);
        states?.Add(hidden);
        return hidden;
    }
}

/// <summary>One block: self-attention, then a two-layer network, each with a norm before it and a residual connection around both.</summary>
internal sealed class Gpt2Block : Module<Tensor, Tensor?, KeyValueCache?, Tensor>
{
    private readonly LayerNorm ln_1;
    private readonly Gpt2Attention attn;
    private readonly LayerNorm ln_2;
    private readonly Gpt2Mlp mlp;

    public Gpt2Block(Gpt2Config config, int layer) : base(nameof(Gpt2Block))
    {
        ln_1 = LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        attn = new(config, layer);
        ln_2 = LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        mlp = new(config);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask, KeyValueCache? cache)
    {
        hidden = hidden + attn.call(ln_1.call(hidden), mask, cache);
        return hidden + mlp.call(ln_2.call(hidden));
    }
}

/// <summary>Scaled dot-product attention over all heads (Vaswani et al. 2017, arXiv:1706.03762); queries, keys and values come from one product.</summary>
internal sealed class Gpt2Attention : Module<Tensor, Tensor?, KeyValueCache?, Tensor>
{
    private readonly Conv1D c_attn;
    private readonly Conv1D c_proj;
    private readonly Dropout attn_dropout;
    private readonly Dropout resid_dropout;
    private readonly int heads;
    private readonly int layer;
    private readonly double scale;

    public Gpt2Attention(Gpt2Config config, int layer) : base(nameof(Gpt2Attention))
    {
        c_attn = new(config.HiddenSize, 3 * config.HiddenSize);
        c_proj = new(config.HiddenSize, config.HiddenSize);
        attn_dropout = Dropout(config.AttentionDropout);
        resid_dropout = Dropout(config.ResidualDropout);
        (heads, this.layer) = (config.Heads, layer);
        scale = (config.ScaleByWidth ? 1 / Math.Sqrt(config.HiddenSize / heads) : 1) / (config.ScaleByLayer ? layer + 1 : 1);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask, KeyValueCache? cache)
    {
        var (batch, length, size) = (hidden.shape[0], hidden.shape[1], hidden.shape[2]);
        Tensor Heads(Tensor x) => x.view(batch, length, heads, size / heads).transpose(1, 2);
        var parts = c_attn.call(hidden).split(size, 2);
        // Scaling the queries instead of the scores costs length/size of the work.
        var (query, key, value) = (Heads(parts[0] * scale), Heads(parts[1]), Heads(parts[2]));
        if (cache is not null) (key, value) = cache.Append(layer, key, value);
        var scores = matmul(query, key.transpose(-2, -1));
        if (mask is not null) scores = scores + mask;
        var weights = attn_dropout.call(F.softmax(scores, -1)).to(value.dtype);
        var context = matmul(weights, value).transpose(1, 2).reshape(batch, length, size);
        return resid_dropout.call(c_proj.call(context));
    }
}

internal sealed class Gpt2Mlp : Module<Tensor, Tensor>
{
    private readonly Conv1D c_fc;
    private readonly Conv1D c_proj;
    private readonly Dropout dropout;
    private readonly Func<Tensor, Tensor> activation;

    public Gpt2Mlp(Gpt2Config config) : base(nameof(Gpt2Mlp))
    {
        c_fc = new(config.HiddenSize, config.IntermediateSize);
        c_proj = new(config.IntermediateSize, config.HiddenSize);
        dropout = Dropout(config.ResidualDropout);
        activation = Gpt2Config.Activations[config.Activation];
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => dropout.call(c_proj.call(activation(c_fc.call(hidden))));
}

/// <summary>
/// A linear layer whose weight is stored [inputs, outputs], the other way round than <see cref="Linear"/>; GPT-2's files have
/// it so, and call it a convolution of width one. Input [..., inputs], output [..., outputs].
/// </summary>
internal sealed class Conv1D : Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly Parameter bias;

    public Conv1D(long inputs, long outputs) : base(nameof(Conv1D))
    {
        weight = Parameter(empty(inputs, outputs));
        bias = Parameter(empty(outputs));
        RegisterComponents();
    }

    public Parameter Weight => weight;

    public Parameter Bias => bias;

    public override Tensor forward(Tensor input) => F.linear(input, weight.t(), bias);
}
