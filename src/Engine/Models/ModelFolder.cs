using System.Security.Cryptography;
using System.Text.Json;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Models;

/// <summary>Looks into a Hugging Face model folder: config.json, the header of model.safetensors, tokenizer files, licence.</summary>
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
        JsonElement config = ReadConfig(folder, reasons);
        string type = Text(config, "model_type"), architecture = Architecture(config);
        int vocabulary = Size(config, "vocab_size"), hidden = Size(config, "hidden_size", "n_embd", "dim");
        int layers = Size(config, "num_hidden_layers", "n_layer", "n_layers"), positions = Size(config, "max_position_embeddings", "n_positions");

        if (config.ValueKind == JsonValueKind.Object)
        {
            if (type != "bert")
                reasons.Add(type == "" ? "config.json does not say its model_type; only bert can be trained so far." : $"config.json says model_type \"{type}\"; only bert can be trained so far.");
            else
                reasons.AddRange(BertConfigProblems(config));
            if (config.TryGetProperty("auto_map", out _))
                reasons.Add("config.json asks for Python code of its own (auto_map); code from a model folder is never run.");
        }

        long parameters = 0;
        string hash = "", weights = Path.Combine(folder, "model.safetensors");
        if (!File.Exists(weights))
        {
            reasons.Add(WhyNoWeights(files));
        }
        else
        {
            hash = Hash(weights);
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(weights);
                parameters = file.Entries.Values.Where(e => e.Dtype is "F64" or "F32" or "F16" or "BF16").Sum(e => e.Elements);
                if (type == "bert" && hidden > 0 && layers is > 0 and <= MaxLayers)
                    reasons.AddRange(new BertTensors(vocabulary, hidden, layers, Size(config, "intermediate_size"), positions, Size(config, "type_vocab_size") is 0 ? 2 : Size(config, "type_vocab_size")).Problems(file.Entries));
            }
            catch (WeightFileException e)
            {
                reasons.Add(e.Message);
            }
        }
        // A tokenizer of another kind says nothing more about a model of another kind.
        if (type is "bert" or "") reasons.AddRange(TokenizerProblems(folder, vocabulary));
        return new(architecture, type, parameters, vocabulary, hidden, layers, positions, ModelLicense.Find(folder), hash, reasons.Count == 0,
            reasons.Count == 0 ? null : string.Join(" ", reasons), files);
    }

    static JsonElement ReadConfig(string folder, List<string> reasons)
    {
        string path = Path.Combine(folder, "config.json");
        if (!File.Exists(path))
        {
            reasons.Add("The folder has no config.json; choose a complete Hugging Face model folder.");
            return default;
        }
        if (new FileInfo(path).Length > 10_000_000)
        {
            reasons.Add($"config.json has {new FileInfo(path).Length} bytes; more than 10000000 is refused.");
            return default;
        }
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document.RootElement.Clone();
            reasons.Add("config.json holds no JSON object; copy or download it again.");
        }
        catch (JsonException e)
        {
            reasons.Add($"config.json is no valid JSON near line {e.LineNumber + 1}; copy or download it again.");
        }
        return default;
    }

    static IEnumerable<string> BertConfigProblems(JsonElement config)
    {
        foreach (string name in new[] { "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings" })
        {
            if (Size(config, name) == 0) yield return $"config.json has no whole number {name} from 1, which a BERT model needs.";
        }
        if (Size(config, "num_hidden_layers") > MaxLayers) yield return $"config.json says num_hidden_layers is {Size(config, "num_hidden_layers")}; more than {MaxLayers} is refused.";
        int hidden = Size(config, "hidden_size"), heads = Size(config, "num_attention_heads");
        if (heads > 0 && hidden % heads != 0) yield return $"config.json says hidden_size is {hidden}, which {heads} attention heads do not divide evenly.";
        if (Text(config, "hidden_act") is not ("" or "gelu" or "gelu_new" or "gelu_pytorch_tanh" or "relu") and var activation)
            yield return $"config.json says hidden_act is {activation}; known are gelu, gelu_new, gelu_pytorch_tanh, relu.";
        if (Text(config, "position_embedding_type") is not ("" or "absolute") and var position)
            yield return $"config.json says position_embedding_type is {position}; only absolute positions are supported.";
        foreach (string flag in new[] { "is_decoder", "add_cross_attention" })
        {
            if (config.TryGetProperty(flag, out JsonElement value) && value.ValueKind == JsonValueKind.True)
                yield return $"config.json sets {flag}; only a BERT encoder can be trained.";
        }
        if (config.TryGetProperty("quantization_config", out JsonElement quantized) && quantized.ValueKind == JsonValueKind.Object)
            yield return "config.json says that the weights are quantized; only plain F32, F16, BF16 or F64 weights can be trained.";
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
        if (First("model.safetensors.index.json") is { } index)
            return $"The weights are in several files ({index}); so far they must be in one model.safetensors. Load the model with transformers and call save_pretrained(folder, max_shard_size=\"100GB\").";
        string? pickle = First("pytorch_model.bin") ?? First(".bin", ".pt", ".pth", ".ckpt", ".pkl");
        if (pickle is not null && First(".safetensors") is null)
            return $"The weights are in {pickle}, a Python pickle, which can run any code when it is opened, so it is never read here. Convert it where the model came from: load it with transformers, call save_pretrained(folder, safe_serialization=True), and import that folder.";
        if (First(".safetensors") is { } other)
            return $"There is no model.safetensors; found {other} instead, which is not a complete model under its usual name.";
        if (First(".h5", ".msgpack", ".onnx", ".gguf") is { } foreign)
            return $"There is no model.safetensors; {foreign} is of another format. Export the model as safetensors and import that.";
        return "The folder has no weights: model.safetensors is missing.";
    }

    static string Hash(string path)
    {
        using FileStream stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
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
