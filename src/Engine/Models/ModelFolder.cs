using System.Text.Json;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Models;

/// <summary>Looks into a Hugging Face model folder: config.json, the headers of the weights, tokenizer files, licence.</summary>
public static class ModelFolder
{
    /// <summary>Most blocks that are looked for, so that a false config.json cannot keep the inspection busy.</summary>
    internal const int MaxLayers = 1000;

    /// <summary>
    /// Reads the facts of a folder. Nothing in it is executed, and no decision rests on the model's name. A folder that
    /// cannot be used is no error: <see cref="ModelFacts.WhyNot"/> says what is wrong with it.
    /// </summary>
    public static ModelFacts Inspect(string folder)
    {
        if (!Directory.Exists(folder))
            return new("", "", 0, 0, 0, 0, 0, null, "", false, "There is no such folder.", []);

        string[] files = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(folder, f).Replace('\\', '/')).Order(StringComparer.Ordinal)];
        List<string> reasons = [];
        JsonElement json = ReadConfig(folder, reasons);
        string type = Text(json, "model_type");
        bool isLanguageModel = CausalTensors.ModelTypes.Contains(type);
        EncoderConfig? config = json.ValueKind == JsonValueKind.Object && !isLanguageModel ? ReadEncoder(json, type, reasons) : null;
        if (json.ValueKind == JsonValueKind.Object && json.TryGetProperty("auto_map", out _))
            reasons.Add("config.json asks for Python code of its own (auto_map); code from a model folder is never run.");

        int vocabulary = Size(json, "vocab_size"), positions = config?.MaxPositions ?? Size(json, "max_position_embeddings", "n_positions");
        long parameters = 0;
        string hash = "";
        if (!ModelWeights.Exist(folder))
        {
            reasons.Add(WhyNoWeights(files));
            if (isLanguageModel) reasons.AddRange(CausalTensors.Problems(folder, type, null));
        }
        else
        {
            try
            {
                hash = ModelWeights.Sha256(folder);
                using ModelWeights weights = ModelWeights.Open(folder);
                parameters = weights.Entries.Values.Where(e => e.Dtype is "F64" or "F32" or "F16" or "BF16").Sum(e => e.Elements);
                if (config is not null) reasons.AddRange(EncoderTensors.Problems(config, weights));
                if (isLanguageModel) reasons.AddRange(CausalTensors.Problems(folder, type, weights));
            }
            catch (WeightFileException e)
            {
                reasons.Add(e.Message);
            }
        }
        // A tokenizer of another kind says nothing more about a model of another kind.
        if (type == "" || isLanguageModel || EncoderConfig.ModelTypes.Contains(type)) reasons.AddRange(TokenizerProblems(folder, vocabulary));
        string architecture = Architecture(json) is var said and not "" ? said : isLanguageModel ? CausalTensors.Architecture(type) : "";
        return new(architecture, type, parameters, vocabulary, Size(json, "hidden_size", "n_embd", "dim"), Size(json, "num_hidden_layers", "n_layer", "n_layers"), positions,
            ModelLicense.Find(folder), hash, reasons.Count == 0, reasons.Count == 0 ? null : string.Join(" ", reasons), files);
    }

    /// <summary>"model_type" of a folder's config.json.</summary>
    /// <exception cref="WeightFileException">There is no readable config.json.</exception>
    public static string ModelType(string folder) => Text(EncoderConfig.ReadJson(folder), "model_type");

    static JsonElement ReadConfig(string folder, List<string> reasons)
    {
        try
        {
            return EncoderConfig.ReadJson(folder);
        }
        catch (WeightFileException e)
        {
            reasons.Add(e.Message);
            return default;
        }
    }

    static EncoderConfig? ReadEncoder(JsonElement json, string type, List<string> reasons)
    {
        if (type != "" && !EncoderConfig.ModelTypes.Contains(type))
        {
            string[] known = [.. EncoderConfig.ModelTypes, .. CausalTensors.ModelTypes];
            reasons.Add($"config.json says model_type \"{SafetensorsHeader.Shown(type)}\"; only {string.Join(", ", known[..^1])} and {known[^1]} can be trained so far.");
            return null;
        }
        try
        {
            return EncoderConfig.Read(json);
        }
        catch (WeightFileException e)
        {
            reasons.Add(e.Message);
            return null;
        }
    }

    static IEnumerable<string> TokenizerProblems(string folder, int vocabulary)
    {
        Tokenizer? tokenizer = null;
        string? problem = null;
        try
        {
            tokenizer = Tokenizer.Load(folder);
        }
        catch (TokenizerFileException e)
        {
            problem = e.Message;
        }
        if (problem is not null) yield return problem;
        if (tokenizer is not null && vocabulary > 0 && tokenizer.LargestId >= vocabulary)
            yield return $"The tokenizer gives ids up to {tokenizer.LargestId}, but config.json has a vocab_size of {vocabulary}; they are not of the same model.";
    }

    static string WhyNoWeights(string[] files)
    {
        string? First(params string[] endings) => files.FirstOrDefault(f => endings.Any(e => f.EndsWith(e, StringComparison.OrdinalIgnoreCase)));
        if (First(".bin", ".pt", ".pth", ".ckpt", ".pkl") is { } torch && First(".safetensors") is null)
            return $"There are no weights under a usual name; found {torch}. Weights are read from model.safetensors, or from pytorch_model.bin where that is a state dict in PyTorch's zip format; bring them under one of these names.";
        if (First(".safetensors") is { } other)
            return $"There is no model.safetensors; found {other} instead, which is not a complete model under its usual name.";
        if (First(".h5", ".msgpack", ".onnx", ".gguf") is { } foreign)
            return $"There is no model.safetensors; {foreign} is of another format. Export the model as safetensors and import that.";
        return "The folder has no weights: model.safetensors is missing.";
    }

    static string Architecture(JsonElement config) =>
        config.ValueKind == JsonValueKind.Object && config.TryGetProperty("architectures", out JsonElement list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Where(a => a.ValueKind == JsonValueKind.String).Select(a => a.GetString()!).FirstOrDefault() ?? ""
            : "";

    static string Text(JsonElement config, string name) =>
        config.ValueKind == JsonValueKind.Object && config.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    /// <summary>The first of the names that is a whole number from 1, else 0.</summary>
    static int Size(JsonElement config, params string[] names)
    {
        if (config.ValueKind != JsonValueKind.Object) return 0;
        foreach (string name in names)
        {
            if (config.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int size) && size > 0) return size;
        }
        return 0;
    }
}
