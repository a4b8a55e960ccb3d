using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Models;

/// <summary>The tensors that an encoder needs, by config.json alone: a folder is judged without making the model.</summary>
static class EncoderTensors
{
    /// <summary>Name with the backbone's prefix, and shape. A pooler is not among them: files of pretrained models may lack it, nor is the head.</summary>
    public static IEnumerable<(string Name, long[] Shape)> Needed(EncoderConfig config)
    {
        long hidden = config.HiddenSize, wide = config.IntermediateSize;
        bool distil = config.ModelType == "distilbert";
        string[] square = distil ? ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"]
            : ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"];
        (string attentionNorm, string widen, string narrow, string outputNorm) = distil ? ("sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm")
            : ("attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm");

        string at = config.Prefix + "embeddings.";
        yield return (at + "word_embeddings.weight", [config.VocabularySize, hidden]);
        yield return (at + "position_embeddings.weight", [config.PositionRows, hidden]);
        if (config.TypeVocabularySize > 0) yield return (at + "token_type_embeddings.weight", [config.TypeVocabularySize, hidden]);
        yield return (at + "LayerNorm.weight", [hidden]);
        yield return (at + "LayerNorm.bias", [hidden]);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            at = $"{config.Prefix}{(distil ? "transformer" : "encoder")}.layer.{layer}.";
            foreach (string part in square)
            {
                yield return ($"{at}{part}.weight", [hidden, hidden]);
                yield return ($"{at}{part}.bias", [hidden]);
            }
            yield return ($"{at}{attentionNorm}.weight", [hidden]);
            yield return ($"{at}{attentionNorm}.bias", [hidden]);
            yield return ($"{at}{widen}.weight", [wide, hidden]);
            yield return ($"{at}{widen}.bias", [wide]);
            yield return ($"{at}{narrow}.weight", [hidden, wide]);
            yield return ($"{at}{narrow}.bias", [hidden]);
            yield return ($"{at}{outputNorm}.weight", [hidden]);
            yield return ($"{at}{outputNorm}.bias", [hidden]);
        }
    }

    /// <summary>What the files lack or have otherwise, one sentence each; names without the prefix and old norm names count.</summary>
    public static IEnumerable<string> Problems(EncoderConfig config, ModelWeights file)
    {
        Dictionary<string, TensorEntry> byName;
        string? twice = null;
        try
        {
            byName = LoadClassifier.ByModelName(file, config);
        }
        catch (WeightFileException e)
        {
            (byName, twice) = ([], e.Message);
        }
        if (twice is not null)
        {
            yield return twice;
            yield break;
        }
        List<string> missing = [];
        foreach (var (name, shape) in Needed(config))
        {
            if (!byName.TryGetValue(name, out TensorEntry? entry)) missing.Add(name);
            else if (!entry.Shape.AsSpan().SequenceEqual(shape))
                yield return $"The tensor {entry.Name} has the shape [{string.Join(", ", entry.Shape)}], but config.json asks for [{string.Join(", ", shape)}].";
            else if (entry.Dtype is not ("F32" or "F16" or "BF16" or "F64"))
                yield return $"The tensor {entry.Name} is stored as {entry.Dtype}; expected F32, F16, BF16 or F64.";
        }
        if (missing.Count > 0)
        {
            string more = missing.Count > 3 ? $" and {missing.Count - 3} more" : "";
            yield return $"{file.Name} lacks {missing.Count} of the {Needed(config).Count()} tensors that a {config.Family} encoder needs: {string.Join(", ", missing.Take(3))}{more}.";
        }
    }
}
