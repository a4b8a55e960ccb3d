using System.Globalization;
using System.Text.Json;
using FineTuneStudio.Engine.Weights;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using GELU = TorchSharp.Modules.GELU;

namespace FineTuneStudio.Engine.Models;

/// <summary>The fields of a BERT config.json that change what the model computes.</summary>
public sealed record BertConfig(int VocabularySize, int HiddenSize, int Layers, int Heads, int IntermediateSize, string Activation,
    int MaxPositions, int TypeVocabularySize, double LayerNormEpsilon, double InitializerRange, int? PadTokenId,
    double HiddenDropout, double AttentionDropout, double ClassifierDropout, IReadOnlyList<string> Labels)
{
    /// <summary>Activation functions by their name in config.json.</summary>
    internal static readonly IReadOnlyDictionary<string, Func<Tensor, Tensor>> Activations = new Dictionary<string, Func<Tensor, Tensor>>
    {
        ["gelu"] = x => F.gelu(x),
        ["gelu_new"] = x => F.gelu(x, GELU.Approximate.tanh),
        ["gelu_pytorch_tanh"] = x => F.gelu(x, GELU.Approximate.tanh),
        ["relu"] = x => F.relu(x),
    };

    /// <summary>Reads config.json; throws <see cref="WeightFileException"/> with a sentence where this model could not be computed faithfully.</summary>
    public static BertConfig Read(string folder)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path)) throw new WeightFileException("The model folder has no config.json; choose a complete Hugging Face model folder.");
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(path));
            return Read(document.RootElement);
        }
        catch (JsonException broken)
        {
            throw new WeightFileException($"config.json is not valid JSON (line {broken.LineNumber + 1}); copy or download it again.");
        }
    }

    private static BertConfig Read(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object) throw new WeightFileException("config.json is not a JSON object; copy or download it again.");
        JsonElement? Find(string name) => root.TryGetProperty(name, out var found) && found.ValueKind != JsonValueKind.Null ? found : null;
        string Text(string name, string otherwise) => Find(name) is { ValueKind: JsonValueKind.String } found ? found.GetString()! : otherwise;
        double Number(string name, double? otherwise) => Find(name) is { ValueKind: JsonValueKind.Number } found ? found.GetDouble()
            : otherwise ?? throw new WeightFileException($"config.json has no number {name}, which a BERT model needs.");
        int Size(string name, int? otherwise = null, int most = 1 << 24) => Number(name, otherwise) is var size && size == Math.Floor(size) && size >= 1 && size <= most ? (int)size
            : throw new WeightFileException($"config.json says {name} is {Find(name)}; expected a whole number from 1 to {most}.");
        double Probability(string name, double otherwise) => Number(name, otherwise) is >= 0 and < 1 and var share ? share
            : throw new WeightFileException($"config.json says {name} is {Find(name)}; expected a number from 0 to below 1.");

        var type = Text("model_type", "nothing");
        if (type != "bert") throw new WeightFileException($"config.json says model_type is {type}; expected bert.");
        var activation = Text("hidden_act", "gelu");
        if (!Activations.ContainsKey(activation)) throw new WeightFileException($"config.json says hidden_act is {activation}; known are {string.Join(", ", Activations.Keys)}.");
        var positions = Text("position_embedding_type", "absolute");
        if (positions != "absolute") throw new WeightFileException($"config.json says position_embedding_type is {positions}; only absolute positions are supported.");
        var (hidden, heads) = (Size("hidden_size"), Size("num_attention_heads"));
        if (hidden % heads != 0) throw new WeightFileException($"config.json says hidden_size is {hidden}, which {heads} attention heads do not divide evenly.");

        var hiddenDropout = Probability("hidden_dropout_prob", 0.1);
        return new(Size("vocab_size"), hidden, Size("num_hidden_layers", most: ModelFolder.MaxLayers), heads, Size("intermediate_size"), activation,
            Size("max_position_embeddings", 512), Size("type_vocab_size", 2), Number("layer_norm_eps", 1e-12), Number("initializer_range", 0.02),
            (int)Number("pad_token_id", 0), hiddenDropout, Probability("attention_probs_dropout_prob", 0.1), Probability("classifier_dropout", hiddenDropout), LabelNames(Find("id2label")));
    }

    private static List<string> LabelNames(JsonElement? names)
    {
        if (names is not { ValueKind: JsonValueKind.Object } labels || !labels.EnumerateObject().Any()) return ["LABEL_0", "LABEL_1"];
        var byIndex = new Dictionary<int, string>();
        foreach (var label in labels.EnumerateObject())
            if (!int.TryParse(label.Name, NumberStyles.None, CultureInfo.InvariantCulture, out var index) || !byIndex.TryAdd(index, label.Value.ToString()))
                throw new WeightFileException($"config.json has \"{SafetensorsHeader.Shown(label.Name)}\" in id2label, which is no number or is there twice; labels must be numbered 0, 1, 2, ...");
        var missing = Enumerable.Range(0, byIndex.Count).Where(i => !byIndex.ContainsKey(i)).ToList();
        return missing.Count == 0 ? Enumerable.Range(0, byIndex.Count).Select(i => byIndex[i]).ToList()
            : throw new WeightFileException($"config.json has {byIndex.Count} labels in id2label but none with the number {missing[0]}; they must be numbered 0, 1, 2, ...");
    }
}
