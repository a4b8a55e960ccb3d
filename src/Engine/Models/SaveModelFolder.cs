using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// Writes a fine-tuned model as the Hugging Face folder its base came as: the same files, keys, shapes, dtypes and
/// configuration fields, but for the classifier head and its labels. The weights are always one model.safetensors under the family's
/// present names, also where the base had them in shards, without the prefix or under older names. An encoder's are always in F32, because a
/// step of fine-tuning is often smaller than what F16 or BF16 can tell apart, and rounding would take back what was learned; a language
/// model's keep the types of the base.
/// </summary>
public static class SaveModelFolder
{
    private const string Weights = ModelWeights.SingleFile, Config = "config.json";

    /// <summary>What is copied as it is: the tokenizer's files and the licence. The base's model card would be false for the new model.</summary>
    private static readonly string[] Copied =
        ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "generation_config.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt"];

    /// <summary>
    /// The first call makes the whole folder and gives it its name when it is complete; later calls replace only the
    /// weights. Either way a reader, or a crash, finds a complete folder or the one before.
    /// </summary>
    public static void Write(SequenceClassifier model, IReadOnlyList<string> labels, string baseFolder, string folder, string? problemType = null) =>
        Write(baseFolder, folder, config => ConfigFor(model, labels, config, problemType), path => WriteWeights(model, baseFolder, path));

    /// <summary>The same for a language model, whose config.json stays as it is. Merge adapters first, or they are not in it.</summary>
    /// <param name="stored">F32 or BF16 for all weights, in place of the base's types.</param>
    public static void Write(CausalLM model, string baseFolder, string folder, string? stored = null) =>
        Write(baseFolder, folder, config => stored is null ? config : Text(Stored(JsonNode.Parse(config)!.AsObject(), stored)), path => WriteWeights(model, baseFolder, path, stored));

    /// <summary>The same for a model that fills in words. A pooler that it did not use stays as the base's.</summary>
    /// <param name="stored">F32 or BF16 for what was trained.</param>
    public static void Write(BertForMaskedLM model, string baseFolder, string folder, string stored = "F32") =>
        Write(baseFolder, folder, config => With(config, model.HasNextSentence ? "BertForPreTraining" : "BertForMaskedLM", stored), path => WriteWeights(model, baseFolder, path, stored));

    private static void Write(string baseFolder, string folder, Func<string, string> config, Action<string> writeWeights)
    {
        if (File.Exists(Path.Combine(folder, Weights)))
        {
            // What a killed process left half written is no file of the model.
            foreach (var half in Directory.EnumerateFiles(folder, Weights + ".*.tmp")) File.Delete(half);
            writeWeights(Path.Combine(folder, Weights));
            return;
        }
        var partial = folder + ".partial";
        if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
        Directory.CreateDirectory(partial);
        foreach (var name in Copied.Where(name => File.Exists(Path.Combine(baseFolder, name))))
            WriteThrough(Path.Combine(partial, name), File.ReadAllBytes(Path.Combine(baseFolder, name)));
        WriteThrough(Path.Combine(partial, Config), new UTF8Encoding(false).GetBytes(config(File.ReadAllText(Path.Combine(baseFolder, Config)))));
        writeWeights(Path.Combine(partial, Weights));
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.Move(partial, folder);
    }

    /// <summary>On the disk before the folder gets its name, so that a power cut leaves no folder with empty files.</summary>
    private static void WriteThrough(string path, byte[] content)
    {
        using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        stream.Write(content);
        stream.Flush(flushToDisk: true);
    }

    private static void WriteWeights(SequenceClassifier model, string baseFolder, string path)
    {
        using var file = ModelWeights.Open(baseFolder);
        var stored = file.Entries.Values.GroupBy(e => LoadClassifier.ModelName(e.Name, model.Config)).ToDictionary(g => g.Key, g => g.First());
        var tensors = model.named_parameters().Select(p => (p.name, "F32", p.parameter.shape, (Func<ReadOnlyMemory<byte>>)(() => StoredTensor.Bytes(p.parameter, "F32")))).ToList();
        // Old files carry the positions 0, 1, 2, ... as a tensor; they stay, so that the keys are the base's.
        foreach (var (name, entry) in stored.Where(e => e.Key.EndsWith(".position_ids")))
            tensors.Add((name, entry.Dtype, entry.Shape, () => file.Bytes(entry.Name).ToArray()));
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string>(file.Metadata) { ["format"] = "pt" });
    }

    private static void WriteWeights(BertForMaskedLM model, string baseFolder, string path, string stored)
    {
        using var file = ModelWeights.Open(baseFolder);
        var parameters = model.named_parameters();
        var tensors = parameters.Select(p => (p.name, stored, p.parameter.shape, (Func<ReadOnlyMemory<byte>>)(() => StoredTensor.Bytes(p.parameter, stored)))).ToList();
        var used = parameters.Select(p => p.name).ToHashSet();
        foreach (var entry in file.Entries.Values.Where(e => LoadClassifier.ModelName(e.Name, model.Config) is var name && name.StartsWith(model.Config.Prefix + "pooler.") && !used.Contains(name)))
            tensors.Add((LoadClassifier.ModelName(entry.Name, model.Config), entry.Dtype, entry.Shape, () => file.Bytes(entry.Name).ToArray()));
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string>(file.Metadata) { ["format"] = "pt" });
    }

    private static void WriteWeights(CausalLM model, string baseFolder, string path, string? stored)
    {
        using var file = ModelWeights.Open(baseFolder);
        var entries = LoadCausalLM.ByModelName(file, model);
        var tensors = model.named_parameters().Select(p => (p.name, Type: stored ?? entries[p.name].Dtype, p.parameter)).Select(p => (p.name, p.Type, p.parameter.shape, (Func<ReadOnlyMemory<byte>>)(() => StoredTensor.Bytes(p.parameter, p.Type))));
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string>(file.Metadata) { ["format"] = "pt" });
    }

    private static string With(string baseConfig, string architecture, string stored)
    {
        var config = JsonNode.Parse(baseConfig)!.AsObject();
        config["architectures"] = new JsonArray(architecture);
        foreach (var name in new[] { "id2label", "label2id", "problem_type", "num_labels" }) config.Remove(name);
        return Text(Stored(config, stored));
    }

    private static JsonObject Stored(JsonObject config, string type)
    {
        foreach (var name in new[] { "torch_dtype", "dtype" }.Where(config.ContainsKey)) config[name] = type == "BF16" ? "bfloat16" : "float32";
        return config;
    }

    private static string Text(JsonObject config) =>
        config.ToJsonString(new JsonSerializerOptions { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n";

    private static string ConfigFor(SequenceClassifier model, IReadOnlyList<string> labels, string baseConfig, string? problemType)
    {
        var config = JsonNode.Parse(baseConfig)!.AsObject();
        config["architectures"] = new JsonArray(model.Config.ArchitectureWith(model.Head));
        // An answer's two outputs have no names, and transformers leaves out what is its default.
        if (model.Head == EncoderHead.Answer) foreach (var name in new[] { "id2label", "label2id" }) config.Remove(name);
        else
        {
            config["id2label"] = new JsonObject(labels.Select((label, i) => KeyValuePair.Create<string, JsonNode?>(i.ToString(), label)));
            config["label2id"] = new JsonObject(labels.Select((label, i) => KeyValuePair.Create<string, JsonNode?>(label, i)));
        }
        if (model.Head != EncoderHead.Sequence) config.Remove("problem_type");
        if (problemType is not null) config["problem_type"] = problemType;
        else if (config.ContainsKey("problem_type")) config["problem_type"] = "single_label_classification";
        config.Remove("num_labels");
        return Text(Stored(config, "F32"));
    }
}
