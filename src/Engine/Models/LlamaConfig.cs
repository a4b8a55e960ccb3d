using System.Text.Json;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Models;

/// <summary>The fields of a Llama or Qwen2 config.json that change what the model computes.</summary>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyValueHeads">Key and value heads; each serves Heads / KeyValueHeads query heads in a row.</param>
/// <param name="RopeTheta">Base of the rotary frequencies.</param>
/// <param name="Rope">How the rotary frequencies are stretched for texts longer than those of the first training.</param>
/// <param name="QueryKeyValueBias">Biases in the query, key and value projections.</param>
/// <param name="OutputBias">A bias in attention's output projection.</param>
/// <param name="Tied">The head's weight is the embedding table.</param>
/// <param name="PadTokenId">The row of the embedding table that gets no gradient from the input side; null for none.</param>
public sealed record LlamaConfig(int VocabularySize, int HiddenSize, int Layers, int Heads, int KeyValueHeads, int IntermediateSize, int MaxPositions,
    double RmsNormEpsilon, double RopeTheta, RopeFactors Rope, bool QueryKeyValueBias, bool OutputBias, bool Tied, int? PadTokenId, double AttentionDropout)
{
    /// <summary>Numbers a head has.</summary>
    public int HeadSize => HiddenSize / Heads;

    /// <summary>Reads a Llama config.json; throws <see cref="WeightFileException"/> with a sentence where this model could not be computed faithfully.</summary>
    public static LlamaConfig Read(string folder)
    {
        var config = ConfigJson.Read(folder);
        config.Expect("model_type", "llama");
        if (config.Size("pretraining_tp", 1) != 1) throw new WeightFileException($"config.json says pretraining_tp is {config.Find("pretraining_tp")}; only 1 is supported.");
        if (config.Flag("mlp_bias", false)) throw new WeightFileException("config.json sets mlp_bias; only feed-forward layers without biases are supported.");
        var bias = config.Flag("attention_bias", false);
        return Read(config) with { QueryKeyValueBias = bias, OutputBias = bias };
    }

    /// <summary>Reads a Qwen2 config.json; throws <see cref="WeightFileException"/> as <see cref="Read(string)"/> does.</summary>
    public static LlamaConfig ReadQwen2(string folder)
    {
        var config = ConfigJson.Read(folder);
        config.Expect("model_type", "qwen2");
        if (config.Flag("use_sliding_window", false)) throw new WeightFileException("config.json sets use_sliding_window; only attention to the whole text is supported.");
        return Read(config) with { QueryKeyValueBias = true };
    }

    private static LlamaConfig Read(ConfigJson config)
    {
        config.Expect("hidden_act", "silu", optional: true);
        var (hidden, heads) = (config.Size("hidden_size"), config.Size("num_attention_heads"));
        var groups = config.Size("num_key_value_heads", heads);
        if (hidden % heads != 0 || hidden / heads % 2 != 0)
            throw new WeightFileException($"config.json says hidden_size is {hidden}, which {heads} attention heads do not divide into even parts.");
        if (heads % groups != 0) throw new WeightFileException($"config.json says num_key_value_heads is {groups}, which does not divide num_attention_heads, {heads}.");
        if (config.Find("head_dim") is { } size && config.Size("head_dim") != hidden / heads)
            throw new WeightFileException($"config.json says head_dim is {size}; only hidden_size / num_attention_heads, here {hidden / heads}, is supported.");
        var (theta, factors) = Rotations(config);
        return new(config.Size("vocab_size"), hidden, config.Size("num_hidden_layers", most: ModelFolder.MaxLayers), heads, groups, config.Size("intermediate_size"),
            config.Size("max_position_embeddings", 2048), config.Positive("rms_norm_eps", 1e-6), theta, factors,
            QueryKeyValueBias: false, OutputBias: false, config.Flag("tie_word_embeddings", false),
            config.Find("pad_token_id") is { ValueKind: JsonValueKind.Number } pad && pad.TryGetInt32(out var id) && id >= 0 && id < config.Size("vocab_size") ? id : null,
            config.Probability("attention_dropout", 0));
    }

    /// <summary>Transformers 4 writes rope_theta and rope_scaling, transformers 5 both of them into rope_parameters; a file may have either, or both where they agree.</summary>
    private static (double Theta, RopeFactors Factors) Rotations(ConfigJson config)
    {
        var (theta, factors) = (config.Positive("rope_theta", 10000), RopeFactors.Read(config.Find("rope_scaling"), "rope_scaling"));
        if (config.Find("rope_parameters") is not { } newer) return (theta, factors);
        if (newer.ValueKind != JsonValueKind.Object) throw new WeightFileException($"config.json says rope_parameters is {newer}; expected an object with rope_theta and rope_type.");
        if (newer.EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.Object).Select(p => p.Name).ToList() is { Count: > 0 } kinds)
            throw new WeightFileException($"config.json has rope_parameters for each kind of layer ({string.Join(", ", kinds)}); only one set for all layers is supported.");
        var theirs = (Theta: newer.TryGetProperty("rope_theta", out var number) && number.ValueKind != JsonValueKind.Null ? config.Positive("rope_theta in rope_parameters", number) : theta, Factors: RopeFactors.Read(newer, "rope_parameters"));
        if (config.Find("rope_theta") is not null && theirs.Theta != theta)
            throw new WeightFileException($"config.json says rope_theta is {theta}, and {theirs.Theta} in rope_parameters; keep the one that the model was trained with.");
        if (config.Find("rope_scaling") is not null && theirs.Factors != factors)
            throw new WeightFileException($"config.json says one thing in rope_scaling ({factors}) and another in rope_parameters ({theirs.Factors}); keep the one that the model was trained with.");
        return theirs;
    }
}

/// <summary>Kinds of stretching.</summary>
public enum RopeScaling
{
    /// <summary>None.</summary>
    None,

    /// <summary>Positions are divided by the factor.</summary>
    Linear,

    /// <summary>Slow frequencies are divided by the factor, as Llama 3.1 and later have it.</summary>
    Llama3,
}

/// <summary>The rope_scaling of a config.json, or the same in its rope_parameters.</summary>
/// <param name="LowTurns">Llama 3: pairs that turn at most that often within <paramref name="OriginalLength"/> are slowed by the whole factor.</param>
/// <param name="HighTurns">Llama 3: pairs that turn at least that often are left alone.</param>
/// <param name="OriginalLength">Llama 3: tokens of the first training's texts.</param>
public sealed record RopeFactors(RopeScaling Type, double Factor, double LowTurns = 1, double HighTurns = 4, double OriginalLength = 8192)
{
    public static readonly RopeFactors None = new(RopeScaling.None, 1);

    public override string ToString() => Type switch
    {
        RopeScaling.Linear => FormattableString.Invariant($"linear, factor {Factor}"),
        RopeScaling.Llama3 => FormattableString.Invariant($"llama3, factor {Factor}, frequency factors {LowTurns} and {HighTurns}, original length {OriginalLength}"),
        _ => "default",
    };

    /// <param name="name">The field of config.json that the object stands in. In rope_parameters a missing type means none.</param>
    internal static RopeFactors Read(JsonElement? scaling, string name)
    {
        if (scaling is not { ValueKind: JsonValueKind.Object } fields) return None;
        var type = !fields.TryGetProperty("rope_type", out var found) && !fields.TryGetProperty("type", out found) ? name == "rope_parameters" ? "default" : "nothing"
            : found.ValueKind == JsonValueKind.String ? found.GetString() : "nothing";
        double Number(string field, double least) => fields.TryGetProperty(field, out var number) && number.ValueKind == JsonValueKind.Number && number.GetDouble() >= least ? number.GetDouble()
            : throw new WeightFileException($"config.json has no number {field} from {least} in {name}, which {type} scaling needs.");
        switch (type)
        {
            case "default": return None;
            case "linear": return new(RopeScaling.Linear, Number("factor", 1));
            case "llama3":
                var (low, high) = (Number("low_freq_factor", 0), Number("high_freq_factor", 0));
                if (high <= low) throw new WeightFileException($"config.json says high_freq_factor is {high} in {name}; expected more than low_freq_factor, {low}.");
                return new(RopeScaling.Llama3, Number("factor", 1), low, high, Number("original_max_position_embeddings", 1));
            default: throw new WeightFileException($"config.json says {name} is of type {type}; only linear and llama3 are supported.");
        }
    }
}
