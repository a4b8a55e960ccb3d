using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Models;

/// <summary>The tensors that a language model needs, by config.json alone: a folder is judged without making the model.</summary>
static class CausalTensors
{
    /// <summary>The values of model_type that can be read.</summary>
    public static IReadOnlyList<string> ModelTypes { get; } = ["gpt2", "llama", "qwen2"];

    /// <summary>Hugging Face's class for the family, as config.json names it under "architectures".</summary>
    public static string Architecture(string type) => type switch { "gpt2" => "GPT2LMHeadModel", "llama" => "LlamaForCausalLM", _ => "Qwen2ForCausalLM" };

    /// <summary>Reads config.json, holds the files against it, and says what they lack or have otherwise, one sentence each.</summary>
    /// <param name="file">null where there are no weights to hold against it.</param>
    public static IReadOnlyList<string> Problems(string folder, string type, ModelWeights? file)
    {
        try
        {
            List<(string Name, long[] Shape)> needed;
            string prefix;
            if (type == "gpt2") (needed, prefix) = ([.. Needed(Gpt2Config.Read(folder))], "transformer.");
            else (needed, prefix) = ([.. Needed(type == "llama" ? LlamaConfig.Read(folder) : LlamaConfig.ReadQwen2(folder))], "model.");
            return file is null ? [] : [.. Problems(needed, prefix, type, file)];
        }
        catch (WeightFileException e)
        {
            return [e.Message];
        }
    }

    static IEnumerable<(string, long[])> Needed(Gpt2Config config)
    {
        long hidden = config.HiddenSize, wide = config.IntermediateSize;
        yield return ("transformer.wte.weight", [config.VocabularySize, hidden]);
        yield return ("transformer.wpe.weight", [config.MaxPositions, hidden]);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            // The linear layers of this family are stored [inputs, outputs].
            foreach (var (name, inputs, outputs) in new[] { ("attn.c_attn", hidden, 3 * hidden), ("attn.c_proj", hidden, hidden), ("mlp.c_fc", hidden, wide), ("mlp.c_proj", wide, hidden) })
            {
                yield return ($"transformer.h.{layer}.{name}.weight", [inputs, outputs]);
                yield return ($"transformer.h.{layer}.{name}.bias", [outputs]);
            }
            foreach (string norm in new[] { "ln_1", "ln_2" })
            {
                yield return ($"transformer.h.{layer}.{norm}.weight", [hidden]);
                yield return ($"transformer.h.{layer}.{norm}.bias", [hidden]);
            }
        }
        yield return ("transformer.ln_f.weight", [hidden]);
        yield return ("transformer.ln_f.bias", [hidden]);
        if (!config.Tied) yield return ("lm_head.weight", [config.VocabularySize, hidden]);
    }

    static IEnumerable<(string, long[])> Needed(LlamaConfig config)
    {
        long hidden = config.HiddenSize, shared = (long)config.KeyValueHeads * config.HeadSize, wide = config.IntermediateSize;
        yield return ("model.embed_tokens.weight", [config.VocabularySize, hidden]);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            string at = $"model.layers.{layer}.";
            foreach (var (name, outputs) in new[] { ("q_proj", hidden), ("k_proj", shared), ("v_proj", shared) })
            {
                yield return ($"{at}self_attn.{name}.weight", [outputs, hidden]);
                if (config.QueryKeyValueBias) yield return ($"{at}self_attn.{name}.bias", [outputs]);
            }
            yield return ($"{at}self_attn.o_proj.weight", [hidden, hidden]);
            if (config.OutputBias) yield return ($"{at}self_attn.o_proj.bias", [hidden]);
            yield return ($"{at}mlp.gate_proj.weight", [wide, hidden]);
            yield return ($"{at}mlp.up_proj.weight", [wide, hidden]);
            yield return ($"{at}mlp.down_proj.weight", [hidden, wide]);
            yield return ($"{at}input_layernorm.weight", [hidden]);
            yield return ($"{at}post_attention_layernorm.weight", [hidden]);
        }
        yield return ("model.norm.weight", [hidden]);
        if (!config.Tied) yield return ("lm_head.weight", [config.VocabularySize, hidden]);
    }

    static IEnumerable<string> Problems(IReadOnlyList<(string Name, long[] Shape)> needed, string prefix, string type, ModelWeights file)
    {
        Dictionary<string, TensorEntry> byName = new(StringComparer.Ordinal);
        foreach (TensorEntry entry in file.Entries.Values) byName.TryAdd(entry.Name.StartsWith(prefix) || entry.Name.StartsWith("lm_head.") ? entry.Name : prefix + entry.Name, entry);
        List<string> missing = [];
        foreach (var (name, shape) in needed)
        {
            if (!byName.TryGetValue(name, out TensorEntry? entry)) missing.Add(name);
            else if (!entry.Shape.AsSpan().SequenceEqual(shape))
                yield return $"The tensor {entry.Name} has the shape [{string.Join(", ", entry.Shape)}], but config.json asks for [{string.Join(", ", shape)}].";
            else if (entry.Dtype is not ("F32" or "F16" or "BF16" or "F64"))
                yield return $"The tensor {entry.Name} is stored as {entry.Dtype}; expected F32, F16, BF16 or F64.";
        }
        if (missing.Count > 0)
            yield return $"{file.Name} lacks {missing.Count} of the {needed.Count} tensors that a {type} language model needs: {string.Join(", ", missing.Take(3))}{(missing.Count > 3 ? $" and {missing.Count - 3} more" : "")}.";
    }
}
