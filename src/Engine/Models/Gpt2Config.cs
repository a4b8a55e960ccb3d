using FineTuneStudio.Engine.Weights;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using GELU = TorchSharp.Modules.GELU;

namespace FineTuneStudio.Engine.Models;

/// <summary>The fields of a GPT-2 config.json that change what the model computes.</summary>
/// <param name="ScaleByWidth">Attention scores are divided by the root of the head's size.</param>
/// <param name="ScaleByLayer">Attention scores of block i are divided by i + 1 too.</param>
/// <param name="Tied">The head's weight is the embedding table.</param>
public sealed record Gpt2Config(int VocabularySize, int HiddenSize, int Layers, int Heads, int IntermediateSize, string Activation, int MaxPositions,
    double LayerNormEpsilon, bool ScaleByWidth, bool ScaleByLayer, bool Tied, double EmbeddingDropout, double AttentionDropout, double ResidualDropout)
{
    /// <summary>Activation functions by their name in config.json.</summary>
    internal static readonly IReadOnlyDictionary<string, Func<Tensor, Tensor>> Activations = new Dictionary<string, Func<Tensor, Tensor>>
    {
        ["gelu_new"] = x => F.gelu(x, GELU.Approximate.tanh),
        ["gelu_pytorch_tanh"] = x => F.gelu(x, GELU.Approximate.tanh),
        ["gelu"] = x => F.gelu(x),
        ["relu"] = x => F.relu(x),
        ["silu"] = x => F.silu(x),
    };

    /// <summary>Reads config.json; throws <see cref="WeightFileException"/> with a sentence where this model could not be computed faithfully.</summary>
    public static Gpt2Config Read(string folder)
    {
        var config = ConfigJson.Read(folder);
        config.Expect("model_type", "gpt2");
        var activation = config.Text("activation_function", "gelu_new");
        if (!Activations.ContainsKey(activation))
            throw new WeightFileException($"config.json says activation_function is {activation}; known are {string.Join(", ", Activations.Keys)}.");
        if (config.Flag("add_cross_attention", false)) throw new WeightFileException("config.json sets add_cross_attention; only a decoder that stands alone is supported.");
        var (hidden, heads) = (config.Size("n_embd", 768), config.Size("n_head", 12));
        if (hidden % heads != 0) throw new WeightFileException($"config.json says n_embd is {hidden}, which {heads} attention heads do not divide evenly.");
        return new(config.Size("vocab_size", 50257), hidden, config.Size("n_layer", 12, ModelFolder.MaxLayers), heads, config.Size("n_inner", 4 * hidden), activation,
            config.Size("n_positions", 1024), config.Positive("layer_norm_epsilon", 1e-5), config.Flag("scale_attn_weights", true), config.Flag("scale_attn_by_inverse_layer_idx", false),
            config.Flag("tie_word_embeddings", true), config.Probability("embd_pdrop", 0.1), config.Probability("attn_pdrop", 0.1), config.Probability("resid_pdrop", 0.1));
    }
}
