using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Models;

/// <summary>Adapters as PEFT keeps them: a folder with adapter_config.json and adapter_model.safetensors, without the model's own weights.</summary>
public static class LoraFolder
{
    /// <summary>The folder within a saved model's that has the adapters alone.</summary>
    public const string Name = "adapter";

    private const string Config = "adapter_config.json", Weights = "adapter_model.safetensors", Prefix = "base_model.model.";

    /// <summary>Writes the two files. The model may be merged or not; the adapters are the same.</summary>
    /// <param name="lora">The adapters.</param>
    /// <param name="folder">Made where it is missing; the files replace those of before.</param>
    /// <param name="task">CAUSAL_LM, SEQ_CLS, TOKEN_CLS or QUESTION_ANS.</param>
    /// <param name="baseModel">The name or folder of the base model, for those who load the adapters; may be empty.</param>
    public static void Write(Lora lora, string folder, string task, string baseModel = "")
    {
        Directory.CreateDirectory(folder);
        var config = lora.Config;
        var fields = new JsonObject
        {
            ["alpha_pattern"] = new JsonObject(),
            ["auto_mapping"] = null,
            ["base_model_name_or_path"] = baseModel,
            ["bias"] = "none",
            ["fan_in_fan_out"] = lora.IsTransposed,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["layer_replication"] = null,
            ["layers_pattern"] = null,
            ["layers_to_transform"] = null,
            ["loftq_config"] = new JsonObject(),
            ["lora_alpha"] = config.Alpha,
            ["lora_dropout"] = config.Dropout,
            ["megatron_config"] = null,
            ["megatron_core"] = "megatron.core",
            ["modules_to_save"] = config.TrainedWhole is { Count: > 0 } whole ? new JsonArray([.. whole.Select(n => JsonValue.Create(n))]) : null,
            ["peft_type"] = "LORA",
            ["r"] = config.Rank,
            ["rank_pattern"] = new JsonObject(),
            ["revision"] = null,
            ["target_modules"] = new JsonArray([.. config.Targets.Select(n => JsonValue.Create(n))]),
            ["task_type"] = task,
            ["use_dora"] = config.WeightDecomposed,
            ["use_rslora"] = config.RankStabilized,
        };
        File.WriteAllText(Path.Combine(folder, Config), fields.ToJsonString(new JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }) + "\n", new UTF8Encoding(false));
        SafetensorsWriter.Write(Path.Combine(folder, Weights),
            lora.Parameters().Select(p => (Prefix + p.Name, "F32", p.Parameter.shape, (Func<ReadOnlyMemory<byte>>)(() => StoredTensor.Bytes(p.Parameter, "F32")))),
            new Dictionary<string, string> { ["format"] = "pt" });
    }

    /// <summary>Reads the folder and puts its adapters on a model. Every tensor must be there with its shape, and no other.</summary>
    /// <exception cref="WeightFileException">A file is missing or broken, asks for something that is not supported, or does not fit the model; the sentence says which and how.</exception>
    public static Lora Read(nn.Module model, string folder)
    {
        var config = ReadConfig(folder);
        // PEFT writes every name that a head could have, whether or not the model has such a layer.
        if (config.TrainedWhole is { } whole) config = config with { TrainedWhole = [.. whole.Where(name => Lora.Has(model, name))] };
        Lora lora;
        try
        {
            lora = Lora.Attach(model, config, seed: 0);
        }
        catch (ArgumentException misfit)
        {
            throw new WeightFileException($"{Config} does not fit the model. {misfit.Message}");
        }
        try
        {
            Fill(lora, folder);
            return lora;
        }
        catch
        {
            lora.Dispose();
            throw;
        }
    }

    private static void Fill(Lora lora, string folder)
    {
        using var file = SafetensorsFile.Open(Path.Combine(folder, Weights));
        var parameters = lora.Parameters().ToDictionary(p => Prefix + p.Name, p => p.Parameter);
        if (parameters.Keys.FirstOrDefault(name => !file.Entries.ContainsKey(name)) is { } missing)
            throw new WeightFileException($"{Weights} lacks {parameters.Keys.Count(n => !file.Entries.ContainsKey(n))} of {parameters.Count} tensors, first {missing}; the adapters are of another model or another configuration.");
        if (file.Entries.Keys.FirstOrDefault(name => !parameters.ContainsKey(name)) is { } unexpected)
            throw new WeightFileException($"{Weights} holds {SafetensorsHeader.Shown(unexpected)}, for which the model has no place; the adapters are of another model or another configuration.");
        foreach (var (name, parameter) in parameters)
            if (!file.Entries[name].Shape.SequenceEqual(parameter.shape))
                throw new WeightFileException($"{Weights} holds {name} with shape [{string.Join(", ", file.Entries[name].Shape)}], but this model and {Config} call for [{string.Join(", ", parameter.shape)}].");
        foreach (var (name, parameter) in parameters) StoredTensor.CopyTo(file, file.Entries[name], parameter);
    }

    /// <summary>Names of the layers that a folder's adapters belong to.</summary>
    /// <exception cref="WeightFileException">adapter_config.json is missing, broken or asks for something that is not supported.</exception>
    public static IReadOnlyList<string> Targets(string folder) => ReadConfig(folder).Targets;

    private static LoraConfig ReadConfig(string folder)
    {
        var config = ConfigJson.Read(folder, Config);
        config.Expect("peft_type", "LORA");
        config.Expect("bias", "none", optional: true);
        foreach (var name in new[] { "layers_to_transform", "layer_replication", "layers_pattern" })
            if (config.Find(name) is not null) throw new WeightFileException($"{Config} sets {name}, which is not supported; name every layer in target_modules instead.");
        foreach (var name in new[] { "rank_pattern", "alpha_pattern" })
            if (config.Find(name) is { ValueKind: JsonValueKind.Object } pattern && pattern.EnumerateObject().Any())
                throw new WeightFileException($"{Config} sets {name}; only one rank and one alpha for all layers are supported.");
        return new(config.Size("r"), config.Positive("lora_alpha", 8), Names(config, "target_modules") ?? throw new WeightFileException($"{Config} has no list of names target_modules, which LoRA needs."),
            config.Probability("lora_dropout", 0), config.Flag("use_rslora", false), config.Flag("use_dora", false), Names(config, "modules_to_save"));
    }

    private static List<string>? Names(ConfigJson config, string field)
    {
        if (config.Find(field) is not { } found) return null;
        return found.ValueKind == JsonValueKind.Array && found.EnumerateArray().All(n => n.ValueKind == JsonValueKind.String) ? found.EnumerateArray().Select(n => n.GetString()!).ToList()
            : throw new WeightFileException($"{Config} has a {field} that is no list of names; patterns are not supported, so list the layers.");
    }
}
