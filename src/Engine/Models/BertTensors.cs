using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Models;

/// <summary>The tensors that a BERT encoder needs, as its file names them (Devlin et al. 2018; names as in the published checkpoints).</summary>
sealed record BertTensors(int VocabularySize, int HiddenSize, int Layers, int IntermediateSize, int MaxPositions, int TypeVocabularySize)
{
    /// <summary>Name without the "bert." prefix, and shape. The pooler is not among them: files of pretrained models may lack it.</summary>
    public IEnumerable<(string Name, long[] Shape)> Needed()
    {
        long hidden = HiddenSize, wide = IntermediateSize;
        yield return ("embeddings.word_embeddings.weight", [VocabularySize, hidden]);
        yield return ("embeddings.position_embeddings.weight", [MaxPositions, hidden]);
        yield return ("embeddings.token_type_embeddings.weight", [TypeVocabularySize, hidden]);
        yield return ("embeddings.LayerNorm.weight", [hidden]);
        yield return ("embeddings.LayerNorm.bias", [hidden]);
        for (int layer = 0; layer < Layers; layer++)
        {
            string at = $"encoder.layer.{layer}.";
            foreach (string part in new[] { "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense" })
            {
                yield return ($"{at}{part}.weight", [hidden, hidden]);
                yield return ($"{at}{part}.bias", [hidden]);
            }
            yield return ($"{at}attention.output.LayerNorm.weight", [hidden]);
            yield return ($"{at}attention.output.LayerNorm.bias", [hidden]);
            yield return ($"{at}intermediate.dense.weight", [wide, hidden]);
            yield return ($"{at}intermediate.dense.bias", [wide]);
            yield return ($"{at}output.dense.weight", [hidden, wide]);
            yield return ($"{at}output.dense.bias", [hidden]);
            yield return ($"{at}output.LayerNorm.weight", [hidden]);
            yield return ($"{at}output.LayerNorm.bias", [hidden]);
        }
    }

    /// <summary>What the file lacks or has otherwise, one sentence each; names with or without "bert." and with old norm names count.</summary>
    public IEnumerable<string> Problems(IReadOnlyDictionary<string, TensorEntry> entries)
    {
        Dictionary<string, TensorEntry> byName = new(StringComparer.Ordinal);
        foreach (TensorEntry entry in entries.Values)
        {
            string name = entry.Name.StartsWith("bert.", StringComparison.Ordinal) ? entry.Name[5..] : entry.Name;
            name = name.Replace("LayerNorm.gamma", "LayerNorm.weight").Replace("LayerNorm.beta", "LayerNorm.bias");
            if (!byName.TryAdd(name, entry)) yield return $"model.safetensors has {byName[name].Name} and {entry.Name}, which are the same parameter; keep one of them.";
        }
        List<string> missing = [];
        foreach (var (name, shape) in Needed())
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
            yield return $"model.safetensors lacks {missing.Count} of the {Needed().Count()} tensors that a BERT encoder needs: {string.Join(", ", missing.Take(3))}{more}.";
        }
    }
}
