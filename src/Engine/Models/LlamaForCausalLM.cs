using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// Llama (Touvron et al. 2023, arXiv:2302.13971 and arXiv:2307.09288) with its language-model head: rotary positions, grouped
/// key and value heads, RMS norms and a gated feed-forward network. Module and parameter names are those of Hugging Face's
/// class of the same name, so its safetensors files load key by key. Weights are left unset by the constructor: fill them
/// with <see cref="LoadCausalLM"/>.
/// </summary>
public class LlamaForCausalLM : CausalLM
{
    // Not private: TorchSharp looks for a module's parts in the fields of its own class, and Qwen2 inherits these.
    private protected readonly LlamaModel model;
    private protected readonly Linear? lm_head;

    /// <param name="config">Sizes and constants, from config.json.</param>
    /// <param name="dropout">Probability for attention's dropout, in place of that in <paramref name="config"/>; null keeps it.</param>
    public LlamaForCausalLM(LlamaConfig config, double? dropout = null) : this(config, dropout, nameof(LlamaForCausalLM))
    {
    }

    private protected LlamaForCausalLM(LlamaConfig config, double? dropout, string name) : base(name)
    {
        Config = dropout is { } p ? config with { AttentionDropout = p } : config;
        model = new(Config);
        if (!config.Tied) lm_head = Projection(config.HiddenSize, config.VocabularySize, bias: false);
        RegisterComponents();
    }

    public LlamaConfig Config { get; }

    public override int VocabularySize => Config.VocabularySize;

    public override int MaxPositions => Config.MaxPositions;

    public override int Layers => Config.Layers;

    private protected override Tensor Blocks(Tensor input_ids, Tensor position_ids, Tensor? mask, KeyValueCache? cache, List<Tensor>? states) =>
        model.Decode(input_ids, position_ids, mask, cache, states, Checkpoints);

    private protected override Tensor Head(Tensor hidden) => lm_head?.call(hidden) ?? F.linear(hidden, model.WordTable);
}

/// <summary>Embeddings, blocks and the final norm.</summary>
internal sealed class LlamaModel : Module
{
    private readonly LlamaConfig config;
    private readonly Embedding embed_tokens;
    private readonly ModuleList<LlamaDecoderLayer> layers;
    private readonly LlamaRmsNorm norm;

    public LlamaModel(LlamaConfig config) : base(nameof(LlamaModel))
    {
        this.config = config;
        embed_tokens = Empty.Embedding(config.VocabularySize, config.HiddenSize, config.PadTokenId);
        layers = ModuleList(Enumerable.Range(0, config.Layers).Select(layer => new LlamaDecoderLayer(config, layer)).ToArray());
        norm = new(config);
        RegisterComponents();
    }

    public Tensor WordTable => embed_tokens.weight!;

    public Tensor Decode(Tensor input_ids, Tensor position_ids, Tensor? mask, KeyValueCache? cache, List<Tensor>? states, ActivationCheckpoints? checkpoints)
    {
        var hidden = embed_tokens.call(input_ids);
        var turns = RotaryPositions.At(position_ids, config, hidden.dtype);
        foreach (var (i, layer) in layers.Index())
        {
            states?.Add(hidden);
            hidden = checkpoints?.Run(i, hidden, x => layer.Decode(x, turns, mask, cache)) ?? layer.Decode(hidden, turns, mask, cache);
        }
        hidden = norm.call(hidden);
        states?.Add(hidden);
        return hidden;
    }
}

/// <summary>One block: self-attention, then a gated feed-forward network, each with a norm before it and a residual connection around both.</summary>
internal sealed class LlamaDecoderLayer : Module
{
    private readonly LlamaAttention self_attn;
    private readonly LlamaMlp mlp;
    private readonly LlamaRmsNorm input_layernorm;
    private readonly LlamaRmsNorm post_attention_layernorm;

    public LlamaDecoderLayer(LlamaConfig config, int layer) : base(nameof(LlamaDecoderLayer))
    {
        self_attn = new(config, layer);
        mlp = new(config);
        input_layernorm = new(config);
        post_attention_layernorm = new(config);
        RegisterComponents();
    }

    public Tensor Decode(Tensor hidden, RotaryPositions turns, Tensor? mask, KeyValueCache? cache)
    {
        hidden = hidden + self_attn.Attend(input_layernorm.call(hidden), turns, mask, cache);
        return hidden + mlp.call(post_attention_layernorm.call(hidden));
    }
}

/// <summary>Attention whose key and value heads each serve a group of query heads (Ainslie et al. 2023, arXiv:2305.13245).</summary>
internal sealed class LlamaAttention : Module
{
    private readonly Linear q_proj;
    private readonly Linear k_proj;
    private readonly Linear v_proj;
    private readonly Linear o_proj;
    private readonly Dropout dropout;
    private readonly LlamaConfig config;
    private readonly int layer;

    public LlamaAttention(LlamaConfig config, int layer) : base(nameof(LlamaAttention))
    {
        var (hidden, shared, bias) = (config.HiddenSize, config.KeyValueHeads * config.HeadSize, config.QueryKeyValueBias);
        q_proj = CausalLM.Projection(hidden, hidden, bias);
        k_proj = CausalLM.Projection(hidden, shared, bias);
        v_proj = CausalLM.Projection(hidden, shared, bias);
        o_proj = CausalLM.Projection(hidden, hidden, config.OutputBias);
        dropout = Dropout(config.AttentionDropout);
        (this.config, this.layer) = (config, layer);
        RegisterComponents();
    }

    /// <summary>[batch, length, hidden] to the same; the mask is added to the scores [batch, heads, length, seen + length].</summary>
    public Tensor Attend(Tensor hidden, RotaryPositions turns, Tensor? mask, KeyValueCache? cache)
    {
        var (batch, length, size) = (hidden.shape[0], hidden.shape[1], config.HeadSize);
        Tensor Heads(Tensor x, int heads) => x.view(batch, length, heads, size).transpose(1, 2);
        // Scaling the queries instead of the scores costs length/size of the work.
        var query = turns.Turn(Heads(q_proj.call(hidden), config.Heads)) * (1 / Math.Sqrt(size));
        var key = turns.Turn(Heads(k_proj.call(hidden), config.KeyValueHeads));
        var value = Heads(v_proj.call(hidden), config.KeyValueHeads);
        if (cache is not null) (key, value) = cache.Append(layer, key, value);

        // The query heads of a group stand one below the other, so that the keys and values need no copy for each of them.
        var (shared, total) = (config.KeyValueHeads, key.shape[2]);
        var scores = matmul(query.reshape(batch, shared, -1, size), key.transpose(-2, -1)).view(batch, config.Heads, length, total);
        if (mask is not null) scores = scores + mask;
        var weights = dropout.call(F.softmax(scores, -1)).to(value.dtype);
        var context = matmul(weights.view(batch, shared, -1, total), value).view(batch, config.Heads, length, size);
        return o_proj.call(context.transpose(1, 2).reshape(batch, length, config.HiddenSize));
    }
}

/// <summary>
/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864): the i-th and the (i + size/2)-th number of a head are turned
/// together by position * theta^(-2i/size). Linear scaling divides the positions (Chen et al. 2023, arXiv:2306.15595).
/// </summary>
/// <param name="Cos">[batch or 1, 1, length, head size], computed in float32.</param>
/// <param name="Sin">As <paramref name="Cos"/>.</param>
internal sealed record RotaryPositions(Tensor Cos, Tensor Sin)
{
    /// <param name="position_ids">int64 [batch or 1, length].</param>
    /// <param name="config">Gives theta, the factor and the head's size.</param>
    /// <param name="dtype">Of the queries and keys.</param>
    public static RotaryPositions At(Tensor position_ids, LlamaConfig config, ScalarType dtype)
    {
        var frequencies = tensor(Frequencies(config), device: position_ids.device);
        var angles = (config.Rope.Type == RopeScaling.Linear ? position_ids.to(float32) / config.Rope.Factor : position_ids.to(float32)).unsqueeze(-1) * frequencies;
        angles = cat([angles, angles], -1).unsqueeze(1);
        return new(angles.cos().to(dtype), angles.sin().to(dtype));
    }

    /// <summary>
    /// Turns a position, in radians, for each pair of numbers. Llama 3's scaling slows the pairs that turn less than once in the
    /// text length of its first training, leaves the fast ones, and blends between (Grattafiori et al. 2024, arXiv:2407.21783).
    /// </summary>
    internal static float[] Frequencies(LlamaConfig config)
    {
        var rope = config.Rope;
        return Enumerable.Range(0, config.HeadSize / 2).Select(i =>
        {
            var frequency = Math.Pow(config.RopeTheta, -2.0 * i / config.HeadSize);
            if (rope.Type != RopeScaling.Llama3) return (float)frequency;
            var turns = rope.OriginalLength * frequency / (2 * Math.PI);
            var keep = Math.Clamp((turns - rope.LowTurns) / (rope.HighTurns - rope.LowTurns), 0, 1);
            return (float)(keep * frequency + (1 - keep) * frequency / rope.Factor);
        }).ToArray();
    }

    /// <summary>[batch, heads, length, head size] to the same.</summary>
    public Tensor Turn(Tensor x)
    {
        var half = x.chunk(2, -1);
        return x * Cos + cat([-half[1], half[0]], -1) * Sin;
    }
}

/// <summary>A feed-forward network with a gate: down(silu(gate(x)) * up(x)) (Shazeer 2020, arXiv:2002.05202, SwiGLU).</summary>
internal sealed class LlamaMlp : Module<Tensor, Tensor>
{
    private readonly Linear gate_proj;
    private readonly Linear up_proj;
    private readonly Linear down_proj;

    public LlamaMlp(LlamaConfig config) : base(nameof(LlamaMlp))
    {
        gate_proj = CausalLM.Projection(config.HiddenSize, config.IntermediateSize, bias: false);
        up_proj = CausalLM.Projection(config.HiddenSize, config.IntermediateSize, bias: false);
        down_proj = CausalLM.Projection(config.IntermediateSize, config.HiddenSize, bias: false);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => down_proj.call(F.silu(gate_proj.call(hidden)) * up_proj.call(hidden));
}

/// <summary>Divides by the root of the mean square over the last dimension, then scales (Zhang and Sennrich 2019, arXiv:1910.07467). In float32 whatever comes in.</summary>
internal sealed class LlamaRmsNorm : Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly double epsilon;

    public LlamaRmsNorm(LlamaConfig config) : base(nameof(LlamaRmsNorm))
    {
        weight = Parameter(empty(config.HiddenSize));
        epsilon = config.RmsNormEpsilon;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden)
    {
        var exact = hidden.to(float32);
        return weight * (exact * (exact.pow(2).mean([-1], keepdim: true) + epsilon).rsqrt()).to(hidden.dtype);
    }
}
