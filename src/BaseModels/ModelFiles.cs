namespace FineTuneStudio.BaseModels;

/// Which files of a model folder are taken, and nothing else.
public static class ModelFiles
{
    private static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "model.safetensors.index.json", "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md",
    };

    private static readonly string[] Pickles = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"];

    public static bool IsKnown(string name) => Known.Contains(name) || name.EndsWith(".safetensors", StringComparison.Ordinal) && !name.StartsWith('.');

    public static bool IsPickle(string name) => Pickles.Contains(Path.GetExtension(name).ToLowerInvariant());

    /// Of the files of a folder those worth a download: of the weights one form only, one file before shards and safetensors before any other.
    internal static IReadOnlyList<string> Needed(IReadOnlyCollection<string> names)
    {
        const string single = "model.safetensors", index = "model.safetensors.index.json";
        var known = names.Where(IsKnown).ToList();
        var tensors = known.Where(n => n.EndsWith(".safetensors", StringComparison.Ordinal)).ToList();
        var shards = tensors.Where(n => n.StartsWith("model-", StringComparison.Ordinal)).ToList();
        List<string> weights = tensors.Count == 0 ? [.. known.Where(IsPickle)] : tensors.Contains(single) ? [single] : known.Contains(index) ? [index, .. shards.Count > 0 ? shards : tensors] : tensors;
        return [.. known.Where(n => !n.EndsWith(".safetensors", StringComparison.Ordinal) && !n.EndsWith(".index.json", StringComparison.Ordinal) && !IsPickle(n)), .. weights];
    }

    /// Refuses a folder, by its file names, that is no safetensors model.
    internal static void RequireModel(IReadOnlyCollection<string> names, string where)
    {
        if (!names.Contains("config.json"))
            throw new ModelRefused($"There is no config.json in {where}. Bring a Hugging Face model folder: config.json, model.safetensors and the tokenizer's files.");
        if (names.Any(n => n.EndsWith(".safetensors", StringComparison.Ordinal))) return;
        throw new ModelRefused(names.FirstOrDefault(IsPickle) is { } pickle
            ? $"The weights in {where} are in “{pickle}”, a pickle: reading one can run any code, so only safetensors is taken. Save the model with save_pretrained(folder, safe_serialization=True) and bring that."
            : $"There are no weights in {where}: no file ends in .safetensors. Bring the whole model folder, with model.safetensors.");
    }
}
