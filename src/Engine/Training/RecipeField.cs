using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Training;

/// <summary>How a field is typed and shown.</summary>
public enum RecipeFieldKind { Integer, Number, Choice }

/// <summary>One value of a choice field: what is stored, and what a person reads.</summary>
public sealed record RecipeChoice(string Value, string Label);

/// <summary>
/// One field of <see cref="RunRecipe"/>: its words, its range, and how to read and change it. Values are boxed
/// <see cref="int"/>, <see cref="double"/>, the field's enum, or <see cref="AsModel"/>; text is always in the invariant culture.
/// </summary>
public sealed record RecipeField
{
    /// <summary>The value of an optional field that leaves the matter to the base model's configuration.</summary>
    public const string AsModel = "as the model";

    /// <summary>The group of settings that most runs leave alone; a form may fold it.</summary>
    public const string Advanced = "Advanced";

    /// <summary>The group of settings for adapters and for how prompts are written.</summary>
    public const string Method = "Method";

    private readonly Func<RunRecipe, object> get;
    private readonly Func<RunRecipe, object, RunRecipe> with;

    private RecipeField(string name, string label, string group, RecipeFieldKind kind, double? min, double? max,
        IReadOnlyList<RecipeChoice> choices, string? unit, string help, RunRecipe defaults,
        Func<RunRecipe, object> get, Func<RunRecipe, object, RunRecipe> with)
    {
        (Name, Label, Group, Kind, Min, Max, Choices, Unit, Help, this.get, this.with) =
            (name, label, group, kind, min, max, choices, unit, help, get, with);
        Default = get(defaults);
    }

    /// <summary>The property's name, such as <c>LearningRate</c>.</summary>
    public string Name { get; }

    /// <summary>The name in recipe.json, such as <c>learningRate</c>.</summary>
    public string JsonName => char.ToLowerInvariant(Name[0]) + Name[1..];

    /// <summary>What a person reads beside the control.</summary>
    public string Label { get; }

    /// <summary>The part of the form it belongs to.</summary>
    public string Group { get; }

    public RecipeFieldKind Kind { get; }

    public object Default { get; }

    /// <summary>Smallest value allowed; null for a choice.</summary>
    public double? Min { get; }

    /// <summary>Largest value allowed; null for a choice.</summary>
    public double? Max { get; }

    /// <summary>The values of a choice; empty for numbers.</summary>
    public IReadOnlyList<RecipeChoice> Choices { get; }

    /// <summary>Whether <see cref="AsModel"/> is a value of it.</summary>
    public bool IsOptional => Default is AsModel;

    /// <summary>What one of it is (<c>tokens</c>, <c>rows</c>), where it has a unit.</summary>
    public string? Unit { get; }

    /// <summary>Whether it came after the first release, so that stored recipes lack it.</summary>
    public bool IsLater => Group is Advanced or Method;

    /// <summary>What a person reads beside the control in a form for one task, where that differs from <see cref="Help"/>.</summary>
    public IReadOnlyDictionary<TextTask, string> HelpOfTasks { get; init; } = new Dictionary<TextTask, string>();

    public string HelpFor(TextTask task) => HelpOfTasks.GetValueOrDefault(task, Help);

    /// <summary>The tasks that read it; null where all do.</summary>
    public IReadOnlyList<TextTask>? Tasks { get; init; }

    /// <summary>Whether runs of a task read it; a form leaves out the others.</summary>
    public bool AppliesTo(TextTask task) => Tasks?.Contains(task) ?? true;

    /// <summary>Whether the rest of a recipe lets it act; null where it always does.</summary>
    internal Func<RunRecipe, bool>? ReadWhen { get; init; }

    /// <summary>Whether a form shows it: where the task and the other settings let it act, and wherever it was changed, so that it can be set back.</summary>
    public bool IsShown(TextTask task, RunRecipe recipe) => AppliesTo(task) && (ReadWhen?.Invoke(recipe) != false || !IsDefault(recipe));

    /// <summary>The values of a choice that make sense for a task.</summary>
    public IReadOnlyList<RecipeChoice> ChoicesFor(TextTask task) => Name == nameof(RunRecipe.TrainableLayers) && task == TextTask.Generation ? [.. Choices.Where(c => c.Value != nameof(TrainableLayers.HeadOnly))]
        : Name != nameof(RunRecipe.Metric) ? Choices : [.. task.Metrics().Append(Metric.ValidationLoss).Select(m => new RecipeChoice(m.ToString(), m.Title()))];

    /// <summary>One sentence.</summary>
    public string Help { get; }

    public object Get(RunRecipe recipe) => get(recipe);

    public RunRecipe With(RunRecipe recipe, object value) => with(recipe, value);

    public bool IsDefault(RunRecipe recipe) => get(recipe).Equals(Default);

    /// <summary>A value as it is typed: <c>5e-05</c>, <c>16</c>, <c>Linear</c>.</summary>
    public string Text(object value) => value is double number
        ? number.ToString("R", CultureInfo.InvariantCulture)
        : Convert.ToString(value, CultureInfo.InvariantCulture)!;

    /// <summary>Reads typed text; throws <see cref="FormatException"/> with a sentence where it is not of this field's kind.</summary>
    public object Parse(string text) => TryParse(text, out var value, out var problem) ? value : throw new FormatException(problem);

    /// <summary>Reads typed text; the range is left to <see cref="Problem"/>.</summary>
    public bool TryParse(string text, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? problem)
    {
        (value, problem) = (null, null);
        text = text.Trim();
        if (IsOptional && (text.Length == 0 || string.Equals(text, AsModel, StringComparison.OrdinalIgnoreCase))) value = AsModel;
        if (Kind == RecipeFieldKind.Integer && int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole)) value = whole;
        if (Kind == RecipeFieldKind.Number && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number)) value = number;
        if (Kind == RecipeFieldKind.Choice && Choices.FirstOrDefault(c => string.Equals(c.Value, text, StringComparison.OrdinalIgnoreCase)) is { } choice)
            value = Enum.Parse(Default.GetType(), choice.Value);
        if (value is null) problem = $"{Label} is \"{(text.Length > 40 ? text[..40] + "…" : text)}\"; expected {Expected}.";
        return value is not null;
    }

    /// <summary>The sentence that says what is wrong with this field of the recipe, or null.</summary>
    public string? Problem(RunRecipe recipe)
    {
        var value = get(recipe);
        var fine = value is AsModel || (Kind == RecipeFieldKind.Choice
            ? Enum.IsDefined(value.GetType(), value)
            : Convert.ToDouble(value, CultureInfo.InvariantCulture) is var number && number >= Min && number <= Max);
        return fine ? null : $"{Label} is {Text(value)}; expected {Expected}.";
    }

    private string Expected => Kind switch
    {
        RecipeFieldKind.Choice => $"one of {string.Join(", ", Choices.Select(c => c.Value))}",
        RecipeFieldKind.Integer => $"a whole number from {Text((long)Min!)} to {Text((long)Max!)}",
        _ => $"a number from {Text(Min!)} to {Text(Max!)}{(IsOptional ? $", or \"{AsModel}\"" : "")}",
    };

    /// <summary>The sentence on a setting that runs of a task do not read and that is not at its default, or null.</summary>
    public string? Unread(RunRecipe recipe, TextTask task) => AppliesTo(task) || IsDefault(recipe) ? null
        : $"{Label} is {Text(Get(recipe))}, but runs of this task do not read it; set it back to {Text(Default)}.";

    internal static IReadOnlyList<RecipeField> Describe(RunRecipe defaults)
    {
        RecipeField Whole(string name, string label, string group, int min, int max, string? unit, string help, Func<RunRecipe, int> get, Func<RunRecipe, int, RunRecipe> with) =>
            new(name, label, group, RecipeFieldKind.Integer, min, max, [], unit, help, defaults, r => get(r), (r, v) => with(r, (int)v));
        RecipeField Number(string name, string label, string group, double min, double max, string? unit, string help, Func<RunRecipe, double> get, Func<RunRecipe, double, RunRecipe> with) =>
            new(name, label, group, RecipeFieldKind.Number, min, max, [], unit, help, defaults, r => get(r), (r, v) => with(r, (double)v));
        RecipeField Choice<T>(string name, string label, string group, RecipeChoice[] choices, string help, Func<RunRecipe, T> get, Func<RunRecipe, T, RunRecipe> with) where T : struct, Enum =>
            new(name, label, group, RecipeFieldKind.Choice, null, null, choices, null, help, defaults, r => get(r), (r, v) => with(r, (T)v));

        Func<RunRecipe, bool> adapters = r => r.Method != TrainingMethod.Full, own = r => r.Method == TrainingMethod.Full;
        TextTask[] written = [TextTask.Generation], judged = [.. Enum.GetValues<TextTask>().Except(written)];
        const string training = "How long", rate = "How it learns", regularisation = rate, layers = "What trains", evaluation = "When it stops";
        return
        [
            Whole("Epochs", "Epochs", training, 1, 100, "passes", "How many times the run goes through all train rows.",
                r => r.Epochs, (r, v) => r with { Epochs = v }),
            Whole("BatchSize", "Batch size", training, 1, 512, "rows", "How many rows the model reads at once, and learns from in each step; larger is steadier, smaller takes more steps and less memory.",
                r => r.BatchSize, (r, v) => r with { BatchSize = v }),
            Whole("MaxLength", "Max length", training, 8, 512, "tokens", "Texts longer than this many tokens are cut at the end.",
                r => r.MaxLength, (r, v) => r with { MaxLength = v }) with
            {
                HelpOfTasks = new Dictionary<TextTask, string>
                {
                    [TextTask.Generation] = "Prompt and answer together: where they have more tokens than this, the beginning of the prompt is cut, and the end of the answer only where that is not enough.",
                    [TextTask.TokenClassification] = "Texts longer than this many tokens are learned from their beginning only; they are measured and used as a whole, in windows of this length.",
                    [TextTask.QuestionAnswering] = "Question and context together: a context that is too long for it is read in windows of this length that overlap by a quarter.",
                },
            },
            Whole("Seed", "Seed", training, 0, int.MaxValue, null, "The same seed on the same data and machine gives the same run.",
                r => r.Seed, (r, v) => r with { Seed = v }),
            Number("LearningRate", "Learning rate", rate, 1e-7, 1, null, "How far each step moves the weights; pretrained models usually want 1e-5 to 1e-4.",
                r => r.LearningRate, (r, v) => r with { LearningRate = v }),
            Number("WarmupRatio", "Warm-up", rate, 0, 0.5, "share of the run", "The share of all steps over which the learning rate climbs to its full value.",
                r => r.WarmupRatio, (r, v) => r with { WarmupRatio = v }),
            Choice("Schedule", "Schedule", rate, [new("Linear", "Linear to zero"), new("Cosine", "Cosine to zero"), new("Constant", "Constant"), new("Polynomial", "Quadratic to zero"), new("OneCycle", "One cycle")],
                "How the learning rate falls after warm-up; one cycle rises and falls as half cosines.", r => r.Schedule, (r, v) => r with { Schedule = v }),
            Number("WeightDecay", "Weight decay", regularisation, 0, 1, null, "Pulls weights towards zero at each step; norms and biases are left alone.",
                r => r.WeightDecay, (r, v) => r with { WeightDecay = v }),
            new("Dropout", "Dropout", regularisation, RecipeFieldKind.Number, 0, 0.9, [], "share", "The share of activations switched off at random while training, or \"as the model\" for what its configuration says.",
                defaults, r => (object?)r.Dropout ?? AsModel, (r, v) => r with { Dropout = v as double? }),
            Number("GradientClipping", "Gradient clipping", regularisation, 0, 100, "norm", "Gradients longer than this are shortened to it; 0 turns clipping off.",
                r => r.GradientClipping, (r, v) => r with { GradientClipping = v }),
            Choice("TrainableLayers", "Trainable layers", layers, [new("All", "All layers"), new("HeadOnly", "Only the new head"), new("LastBlocks", "Head and last blocks")],
                "Which parts of the model may change; the new head always does, and alone it trains fast, because what lies below it is computed once for each row.", r => r.TrainableLayers, (r, v) => r with { TrainableLayers = v }) with { ReadWhen = own },
            Whole("LastBlocks", "Last blocks", layers, 1, 48, "blocks", "How many of the model's last blocks train, when trainable layers is set to head and last blocks.",
                r => r.LastBlocks, (r, v) => r with { LastBlocks = v }) with { ReadWhen = r => own(r) && r.TrainableLayers == TrainableLayers.LastBlocks },
            Whole("EvaluationsPerEpoch", "Evaluations per epoch", evaluation, 0, 50, null, "How often in each epoch the model is measured on the validation rows; 0 turns it off.",
                r => r.EvaluationsPerEpoch, (r, v) => r with { EvaluationsPerEpoch = v }),
            Whole("EarlyStoppingPatience", "Early stopping patience", evaluation, 0, 100, "evaluations", "The run ends after this many evaluations in a row without improvement, which is a better score, or the same score at a lower validation loss; 0 turns it off.",
                r => r.EarlyStoppingPatience, (r, v) => r with { EarlyStoppingPatience = v }),
            Choice("Metric", "Best checkpoint by", evaluation, [.. Enum.GetValues<Metric>().Select(m => new RecipeChoice(m.ToString(), m.Title()))],
                "The validation number that decides which checkpoint is kept as the best; where two are equal, the one with the lower validation loss.", r => r.Metric, (r, v) => r with { Metric = v }),
            Choice("Method", "Method", Method, [new("Full", "Full: the model's own weights"), new("Lora", "LoRA: small adapters"), new("RsLora", "rsLoRA: adapters scaled for high ranks"), new("Dora", "DoRA: adapters with a length of their own")],
                "Full changes the weights themselves; adapters leave them as they are beside a new head, need far less memory to train, and can be downloaded alone.", r => r.Method, (r, v) => r with { Method = v }),
            Whole("LoraRank", "Adapter rank", Method, 1, 256, "numbers", "How much an adapter can change; 8 to 64 is usual.",
                r => r.LoraRank, (r, v) => r with { LoraRank = v }) with { ReadWhen = adapters },
            Number("LoraAlpha", "Adapter alpha", Method, 0.1, 1024, null, "How strongly adapters act: they are multiplied by alpha over rank, and twice the rank is usual.",
                r => r.LoraAlpha, (r, v) => r with { LoraAlpha = v }) with { ReadWhen = adapters },
            Number("LoraDropout", "Adapter dropout", Method, 0, 0.9, "share", "The share of an adapter's inputs switched off at random while training.",
                r => r.LoraDropout, (r, v) => r with { LoraDropout = v }) with { ReadWhen = adapters },
            Choice("LoraTargets", "Adapted layers", Method, [new("QueryValue", "Attention: queries and values"), new("Attention", "Attention: all its layers"), new("AllLinear", "All linear layers of the blocks")],
                "Which layers get adapters; more of them learn more and take more memory.", r => r.LoraTargets, (r, v) => r with { LoraTargets = v }) with { ReadWhen = adapters },
            Choice("PromptFormat", "Prompt format", Method, [new("Model", "As the model's chat template; plain where it has none"), new("Plain", "Plain: prompt, line break, answer"), new("Instruction", "Instruction and response under headings"), new("ChatMl", "ChatML, as Qwen2"), new("Llama3", "Llama 3 chat")],
                "How prompts are written for the model, in training and ever after; a model that was trained on chats wants its own format.", r => r.PromptFormat, (r, v) => r with { PromptFormat = v }) with { Tasks = written },
            Choice("Packing", "Packing", Method, [new("Off", "Off: one row of data a row"), new("On", "On: short rows share a row")],
                "Writes the short rows of a batch one after the other, so that less is padded; none sees another, and what is learned stays the same.", r => r.Packing, (r, v) => r with { Packing = v }) with { Tasks = written },
            Whole("GradientAccumulation", "Accumulated batches", Advanced, 1, 64, "batches", "How many batches each step adds up before it moves the weights: it learns as from one larger batch in the memory of a small one.",
                r => r.GradientAccumulation, (r, v) => r with { GradientAccumulation = v }),
            Number("LabelSmoothing", "Label smoothing", Advanced, 0, 0.5, "share", "The share of each row's target that is spread over all labels, against overconfidence; the train loss includes it, evaluations stay plain cross-entropy so that curves compare.",
                r => r.LabelSmoothing, (r, v) => r with { LabelSmoothing = v }) with { Tasks = [TextTask.SingleLabel, TextTask.TokenClassification] },
            Choice("ClassWeights", "Class weights", Advanced, [new("None", "Every row counts the same"), new("Balanced", "Balanced: rare labels count more")],
                "How much a row of each label counts in the train loss; evaluations stay plain cross-entropy so that curves compare.", r => r.ClassWeights, (r, v) => r with { ClassWeights = v }) with { Tasks = [TextTask.SingleLabel, TextTask.MultiLabel, TextTask.TokenClassification] },
            Number("FocalGamma", "Focal loss gamma", Advanced, 0, 5, null, "Above 0, rows that the model already gets right count less in the train loss, often with a gamma of 2; 0 turns it off, and evaluations stay plain cross-entropy so that curves compare.",
                r => r.FocalGamma, (r, v) => r with { FocalGamma = v }) with { Tasks = [TextTask.SingleLabel, TextTask.MultiLabel, TextTask.TokenClassification] },
            Choice("RegressionLoss", "Loss", Advanced, [new("Mse", "Mean squared error"), new("Huber", "Huber: large errors count less")],
                "What a wrong number costs in the train loss; Huber counts an error beyond one standard deviation of the train values by its size instead of its square, and evaluations stay mean squared error so that curves compare.", r => r.RegressionLoss, (r, v) => r with { RegressionLoss = v }) with { Tasks = [TextTask.Regression] },
            Number("LayerDecay", "Layer-wise rate decay", Advanced, 0.5, 1, "share", "Each block learns at this share of the rate of the block above it, the head at the full rate and the embeddings at the least; 1 gives all the same rate.",
                r => r.LayerDecay, (r, v) => r with { LayerDecay = v }),
            Whole("UnfreezeEpochs", "Epochs per unfrozen block", Advanced, 0, 50, "epochs", "Only the head trains at first, and every so many epochs one more block begins to, from the last down and the embeddings at the end; 0 trains all of them from the start.",
                r => r.UnfreezeEpochs, (r, v) => r with { UnfreezeEpochs = v }) with { Tasks = judged, ReadWhen = own },
            Choice("Optimizer", "Optimizer", Advanced, [new("AdamW", "AdamW"), new("Sgd", "SGD with momentum"), new("Adafactor", "Adafactor")],
                "What turns gradients into new weights: AdamW suits most runs, Adafactor needs far less memory, and SGD needs the least to compute but a much larger learning rate.", r => r.Optimizer, (r, v) => r with { Optimizer = v }),
            Number("Momentum", "Momentum", Advanced, 0, 0.99, "share", "The share of its last move that SGD keeps in each step; the other optimizers do not use it.",
                r => r.Momentum, (r, v) => r with { Momentum = v }),
            Choice("Precision", "Precision", Advanced, [new("Float32", "float32"), new("Bf16", "bf16 mixed")],
                "The numbers in which the model computes while it is trained and evaluated; bf16 mixed is faster on a processor with bf16 instructions and slower on others, and weights stay float32.", r => r.Precision, (r, v) => r with { Precision = v }),
            Choice("ActivationCheckpointing", "Activation checkpointing", Advanced, [new("Off", "Off"), new("On", "On: compute twice")],
                "Keeps only the input of each block and computes the block again for its gradients: the same run in less memory, at about two thirds of the steps a second.", r => r.ActivationCheckpointing, (r, v) => r with { ActivationCheckpointing = v }),
        ];
    }
}
