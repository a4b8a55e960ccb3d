using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.BaseModels;

/// Which files of a model folder are taken, and nothing else.
public static class ModelFiles
{
    private static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "generation_config.json",
        "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "tokenizer.model", "spiece.model", "sentencepiece.model", "model.safetensors.index.json", "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md",
    };

    private static readonly string[] Pickles = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"];

    /// The names that are taken of a folder's. PyTorch's own files only where there is no safetensors, which is preferred.
    internal static IReadOnlySet<string> Taken(IReadOnlyCollection<string> names)
    {
        var safetensors = names.Any(IsSafetensors);
        return names.Where(n => Known.Contains(n) || IsSafetensors(n) || !safetensors && IsTorch(n)).ToHashSet(StringComparer.Ordinal);
    }

    /// Of the files of a folder those worth a download: of the weights one form only, one file before shards and safetensors before any other.
    internal static IReadOnlyList<string> Needed(IReadOnlyCollection<string> names)
    {
        var known = Taken(names);
        var weights = known.Where(n => IsSafetensors(n) || IsTorch(n) || n == ModelWeights.IndexFile).ToList();
        List<string> needed = weights.Contains(ModelWeights.SingleFile) ? [ModelWeights.SingleFile]
            : weights.Contains(ModelWeights.IndexFile) && weights.Any(IsSafetensors) ? [ModelWeights.IndexFile, .. Shards()]
            : weights.Any(IsSafetensors) ? [.. weights.Where(IsSafetensors)]
            : weights.Contains(ModelWeights.TorchFile) ? [ModelWeights.TorchFile] : [.. weights.Where(n => n != ModelWeights.IndexFile)];
        return [.. known.Except(weights), .. needed];

        List<string> Shards() => weights.Where(n => IsSafetensors(n) && n.StartsWith("model-", StringComparison.Ordinal)).ToList() is { Count: > 0 } shards ? shards : [.. weights.Where(IsSafetensors)];
    }

    private static bool IsSafetensors(string name) => name.EndsWith(".safetensors", StringComparison.Ordinal) && !name.StartsWith('.');

    private static bool IsTorch(string name) => name is ModelWeights.TorchFile or ModelWeights.TorchIndexFile
        || name.StartsWith("pytorch_model-", StringComparison.Ordinal) && name.EndsWith(".bin", StringComparison.Ordinal);

    private static bool IsPickle(string name) => Pickles.Contains(Path.GetExtension(name).ToLowerInvariant());

    /// Refuses a folder, by its file names, that has no weights which can be read.
    internal static void RequireModel(IReadOnlyCollection<string> names, string where)
    {
        if (!names.Contains("config.json"))
            throw new ModelRefused($"There is no config.json in {where}. Bring a Hugging Face model folder: config.json, model.safetensors and the tokenizer's files.");
        if (names.Any(n => IsSafetensors(n) || IsTorch(n))) return;
        throw new ModelRefused(names.FirstOrDefault(IsPickle) is { } pickle
            ? $"The weights in {where} are in “{pickle}”, which is not a usual name: model.safetensors is read, or pytorch_model.bin where it is a state dict in PyTorch's zip format. Save the model with save_pretrained(folder, safe_serialization=True) and bring that."
            : $"There are no weights in {where}: no file ends in .safetensors, and there is no pytorch_model.bin. Bring the whole model folder, with model.safetensors.");
    }
}
