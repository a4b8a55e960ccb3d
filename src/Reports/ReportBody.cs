using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Checklists;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Reports;

/// Everything a report says, written once and then only read. The signature covers the SHA-256 of its JSON.
public sealed record ReportBody(
    string Project, string Purpose, Metric Metric, double Goal, int Run, string LaunchedBy, string BuiltBy,
    DataUsed Data, BaseUsed Base, string RecipeJson, int BestStep, IReadOnlyList<string> Labels,
    Scores Model, int[][] Confusion, IReadOnlyList<Baseline> Baselines, IReadOnlyList<Mistake> Mistakes, int MistakeCount,
    FitVerdict? Fit, MeasuredChecklist Checklist, int TestLooks, Fingerprints Fingerprints, TextTask Task = TextTask.SingleLabel, SpanNumbers? Spans = null,
    LabelSets? LabelSets = null, NumberErrors? NumberErrors = null)
{
    /// Of a task that writes: some answers beside those of the base model, and how many test rows were answered.
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public IReadOnlyList<AnswerSample>? Samples { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public int? WrittenRows { get; init; }
    /// Of a task that finds answers in a context.
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public AnswerNumbers? Answers { get; init; }

    /// What the answered rows were drawn with; null in reports from when they were the first rows. And how many of their prompts lost their beginning.
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public int? WrittenSeed { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public int? CutPrompts { get; init; }

    /// Null in reports from before it was measured.
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public TextLengths? Lengths { get; init; }

    /// Null of a task of which none are made, and in reports from before they were part of it.
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public ReportCurves? Curves { get; init; }

    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, Converters = { new JsonStringEnumConverter() } };

    public string ToJson() => JsonSerializer.Serialize(this, Json);

    public static ReportBody FromJson(string json) => JsonSerializer.Deserialize<ReportBody>(json, Json)!;

    public static string Sha256(string json) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(json)));

    public double Measured => Model.Of(Metric).Value;

    public bool GoalReached => Metric.IsHigherBetter() ? Measured >= Goal : Measured <= Goal;

    public Baseline Strongest => MeasureTestPart.Strongest(Baselines, Metric);
}

public sealed record DataUsed(int Version, int VersionId, int Rows, int Labelled, int Split, int SplitId, int Seed, int Train, int Validation, int Test);

public sealed record BaseUsed(int Number, string Name, string Source, ModelOrigin Origin, string Architecture, long Parameters, string? License, double? BackboneShare)
{
    /// The number of the project's own pretraining that made it; null where it was imported, and in reports from before.
    public int? Pretraining { get; init; }
    /// Whether it came with the app.
    public bool Starter { get; init; }
    /// Whether that pretraining began before the report's split was frozen, and so could not leave out the texts of its test part.
    public bool BeforeSplit { get; init; }
}

/// A metric on the test part with its bootstrap 95 % interval.
public sealed record Measured(double Value, double Low, double High);

/// PerLabel is empty, and WeightedF1 null, for a task without labels.
public sealed record Scores(int Rows, IReadOnlyDictionary<Metric, Measured>? Values, double? WeightedF1, IReadOnlyList<LabelScore> PerLabel)
{
    // Reports from when there was one task name these two and have no Values.
    [JsonInclude, JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] private Measured? Accuracy { get; init; }
    [JsonInclude, JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] private Measured? MacroF1 { get; init; }

    public Measured Of(Metric metric) => Values?[metric] ?? (metric == Metric.MacroF1 ? MacroF1 : Accuracy)!;
}

/// A simple model on the same test rows; the difference is fine-tuned model minus baseline on the project's metric, paired.
public sealed record Baseline(string Name, string How, Scores Scores, Measured Difference);

/// A test row's prompt with the given answer, and what base and fine-tuned model wrote.
public sealed record AnswerSample(long RowId, string Prompt, string Given, string Base, string Tuned)
{
    /// The sentence on a prompt that was too long.
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? Cut { get; init; }
}

public sealed record Mistake(long RowId, string Text, string Label, string Predicted, double Confidence, double OfLabel);

/// SHA-256 each, hex.
public sealed record Fingerprints(string Data, string Split, string Recipe, string BaseWeights, string Weights);
