using System.Globalization;
using System.Text.Json;
using FineTuneStudio.Engine.Weights;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using GELU = TorchSharp.Modules.GELU;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// The fields of an encoder's config.json that change what the model computes, under BERT's names for all families.
/// </summary>
/// <param name="ModelType">bert, distilbert, roberta or xlm-roberta.</param>
/// <param name="PositionRows">Rows of the position table; RoBERTa uses <c>PadTokenId + 1</c> fewer, see <see cref="MaxPositions"/>.</param>
/// <param name="TypeVocabularySize">Rows of the segment table; DistilBERT has none, and 0 here.</param>
/// <param name="PadTokenId">The token whose embedding is never trained; RoBERTa counts its positions from it.</param>
/// <param name="FixedPositions">The position table is sines that are not trained (DistilBERT's sinusoidal_pos_embds).</param>
public sealed record EncoderConfig(string ModelType, int VocabularySize, int HiddenSize, int Layers, int Heads, int IntermediateSize, string Activation,
    int PositionRows, int TypeVocabularySize, double LayerNormEpsilon, double InitializerRange, int PadTokenId, bool FixedPositions,
    double HiddenDropout, double AttentionDropout, double ClassifierDropout, IReadOnlyList<string> Labels)
{
    private const string OfTokens = "ForTokenClassification", OfAnswers = "ForQuestionAnswering";

    /// <summary>The values of model_type that can be read, with each family's own spelling and how its classes begin.</summary>
    private static readonly (string Type, string Family, string Prefix, string Class)[] Known =
    [
        ("bert", "BERT", "bert.", "Bert"),
        ("distilbert", "DistilBERT", "distilbert.", "DistilBert"),
        ("roberta", "RoBERTa", "roberta.", "Roberta"),
        ("xlm-roberta", "XLM-RoBERTa", "roberta.", "XLMRoberta"),
    ];

    /// <summary>Activation functions by their name in config.json.</summary>
    internal static readonly IReadOnlyDictionary<string, Func<Tensor, Tensor>> Activations = new Dictionary<string, Func<Tensor, Tensor>>
    {
        ["gelu"] = x => F.gelu(x),
        ["gelu_new"] = x => F.gelu(x, GELU.Approximate.tanh),
        ["gelu_pytorch_tanh"] = x => F.gelu(x, GELU.Approximate.tanh),
        ["relu"] = x => F.relu(x),
    };

    /// <summary>The values of model_type that can be read.</summary>
    public static IReadOnlyList<string> ModelTypes { get; } = [.. Known.Select(k => k.Type)];

    /// <summary>The family's name as its authors write it.</summary>
    public string Family => Known.Single(k => k.Type == ModelType).Family;

    /// <summary>Hugging Face's class for this family with a classifier of texts, as config.json names it under "architectures".</summary>
    public string Architecture => ArchitectureWith(EncoderHead.Sequence);

    /// <summary>Hugging Face's class for this family with a head.</summary>
    public string ArchitectureWith(EncoderHead head) => Known.Single(k => k.Type == ModelType).Class + (head switch { EncoderHead.Token => OfTokens, EncoderHead.Answer => OfAnswers, _ => "ForSequenceClassification" });

    /// <summary>The first of config.json's architectures: the class that the file was saved from; "" if it does not say.</summary>
    public string SavedArchitecture { get; private init; } = "";

    /// <summary>What the head answers by config.json: single_label_classification, multi_label_classification or regression; "" if it does not say.</summary>
    public string ProblemType { get; private init; } = "";

    /// <summary>Before the outputs for answers, in DistilBERT alone.</summary>
    public double AnswerDropout { get; private init; }

    /// <summary>Whether a head in the file, if there is one, is of this kind by what config.json says.</summary>
    internal bool MayHold(EncoderHead head) => SavedArchitecture == "" || IsFor(head);

    /// <summary>Whether config.json names a class with this kind of head; one with another head, or none, counts as <see cref="EncoderHead.Sequence"/>.</summary>
    internal bool IsFor(EncoderHead head) => head == (SavedArchitecture.EndsWith(OfTokens, StringComparison.Ordinal) ? EncoderHead.Token
        : SavedArchitecture.EndsWith(OfAnswers, StringComparison.Ordinal) ? EncoderHead.Answer : EncoderHead.Sequence);

    /// <summary>What the names of the backbone's parameters begin with, with its dot.</summary>
    public string Prefix => Known.Single(k => k.Type == ModelType).Prefix;

    /// <summary>Most tokens in a text. RoBERTa's first token has the position <c>PadTokenId + 1</c>, so 514 rows hold 512 tokens.</summary>
    public int MaxPositions => ModelType is "roberta" or "xlm-roberta" ? PositionRows - PadTokenId - 1 : PositionRows;

    /// <summary>Reads config.json; throws <see cref="WeightFileException"/> with a sentence where this model could not be computed faithfully.</summary>
    public static EncoderConfig Read(string folder) => Read(ReadJson(folder));

    /// <summary>The object in config.json.</summary>
    /// <exception cref="WeightFileException">The file is missing, over 10 MB, or no JSON object.</exception>
    internal static JsonElement ReadJson(string folder)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path)) throw new WeightFileException("The model folder has no config.json; choose a complete Hugging Face model folder.");
        if (new FileInfo(path).Length is > 10_000_000 and var length) throw new WeightFileException($"config.json has {length} bytes; more than 10000000 is refused.");
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone()
                : throw new WeightFileException("config.json is not a JSON object; copy or download it again.");
        }
        catch (JsonException broken)
        {
            throw new WeightFileException($"config.json is not valid JSON (line {broken.LineNumber + 1}); copy or download it again.");
        }
    }

    internal static EncoderConfig Read(JsonElement root)
    {
        JsonElement? Find(string name) => root.TryGetProperty(name, out var found) && found.ValueKind != JsonValueKind.Null ? found : null;
        string Text(string name, string otherwise) => Find(name) is { ValueKind: JsonValueKind.String } found ? found.GetString()! : otherwise;
        bool IsSet(string name) => Find(name) is { ValueKind: JsonValueKind.True };

        var type = Text("model_type", "");
        if (!ModelTypes.Contains(type))
            throw new WeightFileException($"config.json {(type == "" ? "does not say its model_type" : $"says model_type \"{SafetensorsHeader.Shown(type)}\"")}; only {string.Join(", ", ModelTypes.SkipLast(1))} and {ModelTypes[^1]} can be trained so far.");
        var (distil, roberta, family) = (type == "distilbert", type is "roberta" or "xlm-roberta", Known.Single(k => k.Type == type).Family);

        double Number(string name, double? otherwise) => Find(name) is { ValueKind: JsonValueKind.Number } found ? found.GetDouble()
            : otherwise ?? throw new WeightFileException($"config.json has no number {name}, which a {family} model needs.");
        int Whole(string name, int? otherwise, int least, int most) => Number(name, otherwise) is var size && size == Math.Floor(size) && size >= least && size <= most ? (int)size
            : throw new WeightFileException($"config.json says {name} is {Find(name)}; expected a whole number from {least} to {most}.");
        int Size(string name, int? otherwise = null, int most = 1 << 24) => Whole(name, otherwise, 1, most);
        double Positive(string name, double otherwise) => Number(name, otherwise) is > 0 and var number && double.IsFinite(number) ? number
            : throw new WeightFileException($"config.json says {name} is {Find(name)}; expected a number above 0.");
        double Probability(string name, double otherwise) => Number(name, otherwise) is >= 0 and < 1 and var share ? share
            : throw new WeightFileException($"config.json says {name} is {Find(name)}; expected a number from 0 to below 1.");

        var activationName = distil ? "activation" : "hidden_act";
        var activation = Text(activationName, "gelu");
        if (!Activations.ContainsKey(activation)) throw new WeightFileException($"config.json says {activationName} is {activation}; known are {string.Join(", ", Activations.Keys)}.");
        var positions = Text("position_embedding_type", "absolute");
        if (positions != "absolute") throw new WeightFileException($"config.json says position_embedding_type is {positions}; only absolute positions are supported.");
        if (new[] { "is_decoder", "add_cross_attention" }.FirstOrDefault(IsSet) is { } flag) throw new WeightFileException($"config.json sets {flag}; only a {family} encoder can be trained.");
        if (Find("quantization_config") is { ValueKind: JsonValueKind.Object })
            throw new WeightFileException("config.json says that the weights are quantized; only plain F32, F16, BF16 or F64 weights can be trained.");

        var (hiddenName, hidden, heads) = distil ? ("dim", Size("dim"), Size("n_heads")) : ("hidden_size", Size("hidden_size"), Size("num_attention_heads"));
        if (hidden % heads != 0) throw new WeightFileException($"config.json says {hiddenName} is {hidden}, which {heads} attention heads do not divide evenly.");
        var vocabulary = Size("vocab_size");
        var pad = Whole("pad_token_id", Math.Min(roberta ? 1 : 0, vocabulary - 1), 0, vocabulary - 1);
        var rows = Size("max_position_embeddings", 512);
        if (roberta && rows <= pad + 1) throw new WeightFileException($"config.json says max_position_embeddings is {rows}; {family} needs more than {pad + 1}, because its first position is {pad + 1}.");

        var hiddenDropout = Probability(distil ? "dropout" : "hidden_dropout_prob", 0.1);
        return new(type, vocabulary, hidden, Size(distil ? "n_layers" : "num_hidden_layers", most: ModelFolder.MaxLayers), heads, Size(distil ? "hidden_dim" : "intermediate_size"), activation,
            rows, distil ? 0 : Size("type_vocab_size", 2), distil ? 1e-12 : Positive("layer_norm_eps", 1e-12), Positive("initializer_range", 0.02), pad, distil && IsSet("sinusoidal_pos_embds"),
            hiddenDropout, Probability(distil ? "attention_dropout" : "attention_probs_dropout_prob", 0.1),
            distil ? Probability("seq_classif_dropout", 0.2) : Probability("classifier_dropout", hiddenDropout), LabelNames(Find("id2label")))
        {
            ProblemType = Text("problem_type", ""),
            AnswerDropout = distil ? Probability("qa_dropout", 0.1) : 0,
            SavedArchitecture = Find("architectures") is { ValueKind: JsonValueKind.Array } saved && saved.EnumerateArray().FirstOrDefault() is { ValueKind: JsonValueKind.String } name ? name.GetString()! : "",
        };
    }

    /// <summary>The same model with one probability for every dropout; null keeps those of config.json.</summary>
    internal EncoderConfig WithDropout(double? dropout) =>
        dropout is { } p ? this with { HiddenDropout = p, AttentionDropout = p, ClassifierDropout = p, AnswerDropout = p } : this;

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
