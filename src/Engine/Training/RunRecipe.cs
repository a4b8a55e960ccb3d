using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Training;

/// <summary>How the learning rate moves after warm-up.</summary>
public enum Schedule { Linear, Cosine, Constant, Polynomial, OneCycle }

/// <summary>Which parameters the optimizer may change; the classifier head always trains.</summary>
public enum TrainableLayers { All, HeadOnly, LastBlocks }

/// <summary>How much a row of each label counts in the training loss.</summary>
public enum ClassWeighting { None, Balanced }

/// <summary>Whether a run changes the model's own weights, or learns small matrices beside them: see <see cref="Models.LoraConfig"/>.</summary>
public enum TrainingMethod { Full, Lora, RsLora, Dora }

/// <summary>Which linear layers get adapters: the queries and values of attention, all of attention, or every one of the blocks.</summary>
public enum LoraTargets { QueryValue, Attention, AllLinear }

/// <summary>Whether several short rows share a row of the batch.</summary>
public enum Packing { Off, On }

/// <summary>What a wrong number costs: its squared error, or beyond one standard deviation of the train values only its size (Huber 1964).</summary>
public enum RegressionLoss { Mse, Huber }

/// <summary>Whether what the blocks compute is kept for backward, or computed again there: see <see cref="Models.ActivationCheckpoints"/>.</summary>
public enum ActivationCheckpointing { Off, On }

/// <summary>What turns gradients into new weights.</summary>
public enum OptimizerKind { AdamW, Sgd, Adafactor }

/// <summary>
/// Every setting of a fine-tuning run. The record describes its own fields (<see cref="Fields"/>), checks them
/// (<see cref="Validate"/>), and reads and writes itself as JSON; forms, command line and stored runs all go through it.
/// </summary>
public sealed record RunRecipe
{
    /// <summary>Passes over the train rows, 1 to 100.</summary>
    public int Epochs { get; init; } = 3;

    /// <summary>Peak learning rate, 1e-7 to 1; with <see cref="LayerDecay"/> that of the head.</summary>
    public double LearningRate { get; init; } = 5e-5;

    /// <summary>Rows that go through the model at once, 1 to 512; with <see cref="GradientAccumulation"/> at 1 also the rows of a step.</summary>
    public int BatchSize { get; init; } = 16;

    /// <summary>Tokens a text may have, special tokens included, 8 to 512; longer texts are cut.</summary>
    public int MaxLength { get; init; } = 128;

    /// <summary>Share of all steps over which the rate climbs from 0, 0 to 0.5.</summary>
    public double WarmupRatio { get; init; } = 0.1;

    /// <summary>Shape of the rate after warm-up.</summary>
    public Schedule Schedule { get; init; } = Schedule.Linear;

    /// <summary>Weight decay, 0 to 1; never on norms and biases. Decoupled (Loshchilov and Hutter 2019), but with SGD added to the gradient.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Dropout probability while training, 0 to 0.9; null keeps those of the base model's config.json.</summary>
    public double? Dropout { get; init; }

    /// <summary>Largest global gradient norm, 0 to 100; 0 leaves gradients alone.</summary>
    public double GradientClipping { get; init; } = 1.0;

    /// <summary>Which layers train.</summary>
    public TrainableLayers TrainableLayers { get; init; } = TrainableLayers.All;

    /// <summary>How many of the last encoder blocks train when <see cref="TrainableLayers"/> says so, 1 to 48.</summary>
    public int LastBlocks { get; init; } = 1;

    /// <summary>Seed of the new head, the shuffling and dropout.</summary>
    public int Seed { get; init; } = 42;

    /// <summary>Evaluations on the validation rows in each epoch, 0 to 50; 0 is off.</summary>
    public int EvaluationsPerEpoch { get; init; } = 2;

    /// <summary>Evaluations in a row without improvement before the run ends, 0 to 100; 0 is off.</summary>
    public int EarlyStoppingPatience { get; init; } = 3;

    /// <summary>What picks the best checkpoint.</summary>
    public Metric Metric { get; init; } = Metric.MacroF1;

    /// <summary>Batches whose gradients each step adds up, 1 to 64; a step learns from this many times <see cref="BatchSize"/> rows.</summary>
    public int GradientAccumulation { get; init; } = 1;

    /// <summary>Share of each row's target spread over all labels (Szegedy et al. 2016, arXiv:1512.00567), 0 to 0.5.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>Balanced gives each label the weight rows / (labels * rows of the label) in the training loss.</summary>
    public ClassWeighting ClassWeights { get; init; } = ClassWeighting.None;

    /// <summary>The exponent of the focal loss (Lin et al. 2017, arXiv:1708.02002), 0 to 5; 0 is plain cross-entropy.</summary>
    public double FocalGamma { get; init; }

    /// <summary>What a wrong number costs in training; only for texts with a number.</summary>
    public RegressionLoss RegressionLoss { get; init; } = RegressionLoss.Mse;

    /// <summary>Each part of the model learns at this share of the rate of the part above it (Howard and Ruder 2018, arXiv:1801.06146), 0.5 to 1; 1 is off.</summary>
    public double LayerDecay { get; init; } = 1;

    /// <summary>Epochs after which one more part, from the top, begins to train (Howard and Ruder 2018), 0 to 50; 0 trains all from the start.</summary>
    public int UnfreezeEpochs { get; init; }

    /// <summary>What turns gradients into new weights.</summary>
    public OptimizerKind Optimizer { get; init; } = OptimizerKind.AdamW;

    /// <summary>The share of its last move that SGD keeps, 0 to 0.99; the other optimizers do not read it.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Whether the model's own weights change, or adapters are trained beside them.</summary>
    public TrainingMethod Method { get; init; } = TrainingMethod.Full;

    /// <summary>Numbers between the two small matrices of an adapter, 1 to 256.</summary>
    public int LoraRank { get; init; } = 8;

    /// <summary>An adapter's change is multiplied by alpha / rank, with rsLoRA by alpha / sqrt(rank); 0.1 to 1024.</summary>
    public double LoraAlpha { get; init; } = 16;

    /// <summary>Dropout on an adapter's input, 0 to 0.9.</summary>
    public double LoraDropout { get; init; }

    /// <summary>Which layers get adapters.</summary>
    public LoraTargets LoraTargets { get; init; } = LoraTargets.QueryValue;

    /// <summary>How a language model's prompts are written.</summary>
    public PromptFormat PromptFormat { get; init; } = PromptFormat.Model;

    /// <summary>Whether a language model reads the rows of a batch one after the other in few long rows, without one seeing another.</summary>
    public Packing Packing { get; init; } = Packing.Off;

    /// <summary>In which numbers the model computes; see <see cref="MixedPrecision"/>.</summary>
    public Precision Precision { get; init; } = Precision.Float32;

    /// <summary>Whether memory is saved by computing the blocks a second time in backward.</summary>
    public ActivationCheckpointing ActivationCheckpointing { get; init; } = ActivationCheckpointing.Off;

    /// <summary>What a form begins with where a metric is wanted: the defaults, with the best checkpoint chosen by it.</summary>
    public static RunRecipe For(Metric metric) => new() { Metric = metric };

    /// <summary>Every field with its range, default and help, in the order of the form.</summary>
    public static IReadOnlyList<RecipeField> Fields { get; } = RecipeField.Describe(new RunRecipe());

    /// <summary>The field called <paramref name="name"/>, whatever its letter case; null where there is none.</summary>
    public static RecipeField? Field(string name) =>
        Fields.FirstOrDefault(f => string.Equals(f.Name, name, StringComparison.OrdinalIgnoreCase));

    /// <summary>One sentence for each field out of range: what was found and what was expected. Empty when all is well.</summary>
    public IReadOnlyList<string> Validate() =>
        Fields.Select(f => f.Problem(this)).Append(Contradiction).Where(p => p is not null).Select(p => p!).ToList();

    /// <summary>The sentence on two settings that exclude each other, or null.</summary>
    internal string? Contradiction => LabelSmoothing > 0 && FocalGamma > 0
        ? "Label smoothing and focal loss are both on, and they pull in opposite ways: smoothing holds back confident rows, focal loss all but drops them; set one of the two to 0." : null;

    /// <summary>
    /// All fields in a fixed order, so equal recipes give equal text. Fields that came after the first release are left out
    /// at their default: a recipe stored before they came keeps its text and hash, and their defaults must never change.
    /// </summary>
    public string ToJson()
    {
        using var buffer = new MemoryStream();
        var options = new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (var writer = new Utf8JsonWriter(buffer, options))
        {
            writer.WriteStartObject();
            foreach (var field in Fields.Where(f => !f.IsLater || !f.IsDefault(this)))
            {
                writer.WritePropertyName(field.JsonName);
                if (field.Get(this) is RecipeField.AsModel) writer.WriteNullValue();
                else if (field.Kind == RecipeFieldKind.Choice) writer.WriteStringValue(field.Text(field.Get(this)));
                else writer.WriteRawValue(JsonNumber(field.Get(this)));
            }
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    /// <summary>
    /// Reads a recipe; fields left out keep their defaults, or are as in <paramref name="begin"/>. Throws <see cref="FormatException"/> with a sentence that names
    /// every unknown or repeated field and every value of the wrong kind. Ranges are left to <see cref="Validate"/>.
    /// </summary>
    public static RunRecipe FromJson(string json, RunRecipe? begin = null)
    {
        JsonDocument document;
        try { document = JsonDocument.Parse(json); }
        catch (JsonException broken)
        {
            throw new FormatException($"The recipe is not valid JSON (line {broken.LineNumber + 1}, position {broken.BytePositionInLine + 1}); " +
                "write one object such as { \"learningRate\": 5e-5 }.");
        }
        using (document)
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new FormatException($"The recipe is a JSON {document.RootElement.ValueKind.ToString().ToLowerInvariant()}; expected one object such as {{ \"learningRate\": 5e-5 }}.");
            var recipe = begin ?? new RunRecipe();
            var problems = new List<string>();
            var unknown = new List<string>();
            var seen = new HashSet<string>();
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (Field(property.Name) is not { } field) { unknown.Add($"\"{property.Name}\""); continue; }
                if (!seen.Add(field.Name)) { problems.Add($"\"{property.Name}\" is given twice."); continue; }
                var text = property.Value.ValueKind == JsonValueKind.Null && field.IsOptional ? RecipeField.AsModel : property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString()! : property.Value.GetRawText();
                if (field.TryParse(text, out var value, out var problem)) recipe = field.With(recipe, value);
                else problems.Add(problem);
            }
            if (unknown.Count > 0)
                problems.Insert(0, $"The recipe has {(unknown.Count == 1 ? "an unknown field" : "unknown fields")}: {string.Join(", ", unknown)}. Known fields: {string.Join(", ", Fields.Select(f => f.JsonName))}.");
            return problems.Count == 0 ? recipe : throw new FormatException(string.Join(" ", problems));
        }
    }

    /// <summary>SHA-256 of <see cref="ToJson"/>, lower-case hex: equal recipes have equal hashes on every machine.</summary>
    public string Sha256() => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(ToJson())));

    private static string JsonNumber(object value) => value is double number
        ? double.IsFinite(number) ? number.ToString("R", CultureInfo.InvariantCulture) : throw new FormatException("A recipe with a number that is not finite cannot be written as JSON.")
        : Convert.ToString(value, CultureInfo.InvariantCulture)!;
}
