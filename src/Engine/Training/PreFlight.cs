using System.Globalization;
using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Training;

/// <summary>Block: the run cannot be launched. Warn: it can, and something will not do what it seems to. Note: worth knowing.</summary>
public enum Severity { Block, Warn, Note }

/// <summary>One thing found before launch; <paramref name="Field"/> names the recipe field that mends it, where one does.</summary>
public sealed record PreFlightFinding(string Id, Severity Severity, string Sentence, string? Field);

/// <summary>What the check needs to know about data and model. <paramref name="TokenLengths"/> are the untruncated lengths of
/// the train rows with special tokens; <paramref name="Origin"/> is pretrained, random or unknown; <paramref name="RowsOfLabels"/>
/// are the train rows of each label, null where nobody counted them.</summary>
public sealed record PreFlightFacts(int TrainRows, int ValidationRows, int Labels, IReadOnlyList<int> TokenLengths,
    int MaxPositions, int Blocks, double? SuggestedLearningRate, string Origin, IReadOnlyList<int>? RowsOfLabels = null,
    TextTask Task = TextTask.SingleLabel)
{
    /// <summary>Where the answers of the train rows' questions stand, of a task that finds answers; null of any other.</summary>
    public IReadOnlyList<AnswerPlace>? AnswerPlaces { get; init; }

    /// <summary>Whether the processor that trains has instructions for bfloat16; null where nobody knows.</summary>
    public bool? Bf16Instructions { get; init; }
}

/// <summary>Names every setting of a recipe that is impossible, inert or contradictory on the given data and model.</summary>
public static class PreFlight
{
    /// <summary>Learning rates at which BERT-like models are usually fine-tuned (Devlin et al. 2019 searched 2e-5 to 5e-5), with a margin.</summary>
    private const double LowestPretrainedRate = 5e-6, HighestPretrainedRate = 3e-4, HighestHeadRate = 3e-2, HighestAdapterRate = 3e-3, LowestAdapterRate = 9e-5, LowestRandomRate = 1e-4, LowestSgdRate = 1e-3;

    /// <summary>The findings, worst first; empty when there is nothing to say.</summary>
    public static IReadOnlyList<PreFlightFinding> Check(RunRecipe recipe, PreFlightFacts facts)
    {
        var findings = new List<PreFlightFinding>();
        void Add(Severity severity, string id, string? field, FormattableString sentence) =>
            findings.Add(new(id, severity, FormattableString.Invariant(sentence), field));

        foreach (var field in RunRecipe.Fields.Where(f => f.AppliesTo(facts.Task)))
            if (field.Problem(recipe) is { } problem) findings.Add(new("out-of-range", Severity.Block, problem, field.Name));
        foreach (var field in RunRecipe.Fields)
            if (field.Unread(recipe, facts.Task) is { } unread) findings.Add(new("setting-of-another-task", Severity.Block, unread, field.Name));
        if (recipe.Metric != Metric.ValidationLoss && !facts.Task.Metrics().Contains(recipe.Metric))
            Add(Severity.Block, "metric-of-another-task", "Metric", $"Best checkpoint by {recipe.Metric.Name()} is not possible, because this task is not measured by it; choose {string.Join(" or ", facts.Task.Metrics().Append(Metric.ValidationLoss).Select(m => m.Name()))}.");
        if (MixedPrecision.Problem(recipe) is { } unsupported) findings.Add(new("precision-unsupported", Severity.Block, unsupported, "Precision"));
        if (recipe.Contradiction is { } contradiction) findings.Add(new("contradiction", Severity.Block, contradiction, "LabelSmoothing"));
        if (facts.TrainRows == 0) Add(Severity.Block, "no-train-rows", null, $"There are no train rows to learn from; import labelled rows or change the split.");
        if (facts.Task == TextTask.SingleLabel && facts.Labels < 2) Add(Severity.Block, "one-label", null, $"The data has {Count(facts.Labels, "label")}; a classifier needs at least two.");
        if (findings.Count > 0) return findings;

        var plan = TrainingPlan.For(recipe, facts.TrainRows);
        CheckSteps(recipe, facts, plan, Add);
        CheckLengths(recipe, facts, Add);
        CheckLoss(recipe, facts, Add);
        CheckLayers(recipe, facts, Add);
        CheckUnfreezing(recipe, facts, Add);
        CheckMethod(recipe, facts, Add);
        CheckOptimizer(recipe, Add);
        CheckPrecision(recipe, facts, Add);
        CheckEvaluation(recipe, facts, plan, Add);
        CheckLearningRate(recipe, facts, Add);
        return findings.OrderBy(f => f.Severity).ToList();
    }

    private delegate void Report(Severity severity, string id, string? field, FormattableString sentence);

    private static void CheckSteps(RunRecipe recipe, PreFlightFacts facts, TrainingPlan plan, Report add)
    {
        if (plan.WarmupSteps >= plan.TotalSteps)
            add(Severity.Block, "warm-up-whole-run", "WarmupRatio", $"The run has only {Count(plan.TotalSteps, "step")} and warm-up takes {Count(plan.WarmupSteps, "step")}, so the learning rate never reaches its value; set warm-up to 0 or train for more epochs or with a smaller batch.");
        else if (plan.WarmupSteps * 2 > plan.TotalSteps)
            add(Severity.Warn, "warm-up-most-of-run", "WarmupRatio", $"Warm-up takes {plan.WarmupSteps} of the run's {plan.TotalSteps} steps; the learning rate is at its value for almost none of the run.");
        var rows = TrainingPlan.RowsPerStep(recipe);
        if (recipe.GradientAccumulation > 1 && recipe.BatchSize >= facts.TrainRows)
            add(Severity.Warn, "accumulation-inert", "GradientAccumulation", $"Accumulated batches is {recipe.GradientAccumulation} but has no effect, because one batch of {recipe.BatchSize} already takes all {Count(facts.TrainRows, "train row")}.");
        else if (recipe.GradientAccumulation > 1 && rows > facts.TrainRows)
            add(Severity.Warn, "batch-larger-than-data", "GradientAccumulation", $"{recipe.GradientAccumulation} accumulated batches of {recipe.BatchSize} make {rows} rows a step but there are only {Count(facts.TrainRows, "train row")}, so every epoch is one step; choose a product of at most {Math.Max(1, facts.TrainRows / 8)}.");
        if (recipe.BatchSize > facts.TrainRows)
            add(Severity.Warn, "batch-larger-than-data", "BatchSize", $"The batch size is {recipe.BatchSize} but there are only {Count(facts.TrainRows, "train row")}, so every epoch is one step; choose at most {Math.Max(1, facts.TrainRows / 8)}.");
        if (plan.TotalSteps < 20)
            add(Severity.Warn, "few-steps", "Epochs", $"The whole run is only {Count(plan.TotalSteps, "step")}; {(facts.Task == TextTask.Generation ? "a model rarely learns" : "a new head rarely learns")} in fewer than some tens. {(recipe.GradientAccumulation > 1 ? "More epochs or fewer accumulated batches" : "More epochs or a smaller batch")} give more steps.");
        if (recipe.Schedule == Schedule.OneCycle && plan.WarmupSteps == 0)
            add(Severity.Warn, "one-cycle-without-rise", "WarmupRatio", $"The one-cycle schedule rises during warm-up, and warm-up is 0, so the rate only falls; a warm-up of 0.3 is usual for it.");
        if (facts.Task is not (TextTask.Generation or TextTask.Regression or TextTask.QuestionAnswering) && facts.TrainRows < 8 * facts.Labels)
            add(Severity.Warn, "few-rows-per-label", null, $"There are {Count(facts.TrainRows, "train row")} for {Count(facts.Labels, "label")}, fewer than 8 a label on average; expect weak scores on rare labels.");
    }

    private static void CheckLengths(RunRecipe recipe, PreFlightFacts facts, Report add)
    {
        if (recipe.MaxLength > facts.MaxPositions)
            add(Severity.Block, "max-length-over-positions", "MaxLength", $"Max length is {recipe.MaxLength} tokens but the base model has only {facts.MaxPositions} positions; set it to {facts.MaxPositions} or less.");
        if (facts.Task == TextTask.QuestionAnswering)
        {
            CheckWindows(recipe, facts, add);
            return;
        }
        var rows = facts.TokenLengths.Count;
        var cut = facts.TokenLengths.Count(length => length > recipe.MaxLength);
        if (cut * 100L <= rows) return;
        var sorted = facts.TokenLengths.Order().ToList();
        // The smallest length that cuts at most 1 % of the rows: all but floor(rows / 100) of them must fit.
        var enough = sorted[rows - 1 - rows / 100];
        var ceiling = Math.Min(facts.MaxPositions, 512);
        var share = (100.0 * cut / rows).ToString("0.0", CultureInfo.InvariantCulture);
        var mend = enough <= ceiling ? $"a max length of {enough} would cut at most 1 %"
            : $"it would take {enough} to cut at most 1 %, which is more than the {ceiling} this model allows, so shorten or split the texts";
        var loses = facts.Task switch
        {
            TextTask.Generation => "will lose the beginning of their prompt, and the end of their answer where that is not enough",
            TextTask.TokenClassification => "will be learned from their beginning only",
            _ => "will be cut",
        };
        add(Severity.Warn, "text-cut", "MaxLength", $"{share} % of the train rows ({cut} of {rows}) are longer than {recipe.MaxLength} tokens and {loses}; {mend} (the longest row has {sorted[^1]}).");
    }

    private static void CheckWindows(RunRecipe recipe, PreFlightFacts facts, Report add)
    {
        var (rows, split) = (facts.TokenLengths.Count, facts.TokenLengths.Count(length => length > recipe.MaxLength));
        if (split * 100L > rows)
            add(Severity.Note, "several-windows", "MaxLength", $"{Share(split, rows)} of the train rows ({split} of {rows}) have more than {recipe.MaxLength} tokens with their question, and their contexts are read in windows that overlap by a quarter (the longest row has {facts.TokenLengths.Max()}).");
        if (facts.AnswerPlaces is not { Count: > 0 } places) return;
        if (places.Count(p => !p.IsHeld(recipe.MaxLength)) is > 0 and var lost)
            add(Severity.Warn, "answers-lost", "MaxLength", $"{Share(lost, places.Count)} of the train rows' answers ({lost} of {places.Count}) are in no window whole, or have more than {AnswerSpans.MostTokens} tokens: the model learns that there is no answer in them. A larger max length makes windows and their overlap longer; shorten answers that are too long.");
        if (places.Count(p => p.CutsQuestion(recipe.MaxLength)) is > 0 and var questions)
            add(Severity.Warn, "questions-cut", "MaxLength", $"{Share(questions, places.Count)} of the train rows' questions ({questions} of {places.Count}) take more than half of {recipe.MaxLength} tokens and lose their end; set a larger max length.");
    }

    private static string Share(int part, int whole) => (100.0 * part / whole).ToString("0.0", CultureInfo.InvariantCulture) + " %";

    private static void CheckLoss(RunRecipe recipe, PreFlightFacts facts, Report add)
    {
        if (recipe.ClassWeights != ClassWeighting.Balanced || facts.RowsOfLabels?.Where(n => n > 0).ToList() is not { Count: > 0 } counts) return;
        // With several labels a row, each label's rows weigh against those without it.
        if (facts.Task == TextTask.MultiLabel && counts.Min() is var rarest && (facts.TrainRows - rarest) / rarest is >= 100 and var times)
            add(Severity.Warn, "class-weights-steep", "ClassWeights", $"Balanced class weights make a row with the rarest label ({Count(rarest, "train row")}) count {times} times as much for that label as a row without it; a few wrong labels there would steer the run, so check those rows.");
        if (facts.Task != TextTask.SingleLabel || counts.Count == 1) return;
        if (counts.Min() == counts.Max())
            add(Severity.Warn, "class-weights-inert", "ClassWeights", $"Class weights is set to balanced but has no effect, because every label has {Count(counts[0], "train row")}.");
        else if (counts.Max() >= 100 * counts.Min())
            add(Severity.Warn, "class-weights-steep", "ClassWeights", $"Balanced class weights make a row of the rarest label ({Count(counts.Min(), "train row")}) count {counts.Max() / counts.Min()} times as much as one of the commonest; a few wrong labels there would steer the run, so check those rows.");
    }

    private static void CheckLayers(RunRecipe recipe, PreFlightFacts facts, Report add)
    {
        if (recipe.TrainableLayers == TrainableLayers.LastBlocks && recipe.LastBlocks > facts.Blocks)
            add(Severity.Block, "last-blocks-over-blocks", "LastBlocks", $"Last blocks is {recipe.LastBlocks} but the base model has {Count(facts.Blocks, "block")}; choose at most {facts.Blocks}, or all layers.");
        if (recipe.TrainableLayers == TrainableLayers.LastBlocks && recipe.LastBlocks == facts.Blocks)
            add(Severity.Note, "last-blocks-are-all", "LastBlocks", $"Last blocks covers all {Count(facts.Blocks, "block")} of the model; only the embeddings stay as they are.");
        if (recipe.TrainableLayers != TrainableLayers.LastBlocks && recipe.LastBlocks != (int)RunRecipe.Field("LastBlocks")!.Default)
            add(Severity.Warn, "last-blocks-inert", "LastBlocks", $"Last blocks is set to {recipe.LastBlocks} but has no effect, because trainable layers is {recipe.TrainableLayers}.");
        if (recipe.TrainableLayers != TrainableLayers.HeadOnly) return;
        if (recipe.Dropout > 0)
            add(Severity.Note, "dropout-head-only", "Dropout", $"With only the head training, dropout acts only just before the head; the frozen layers run without it.");
        if (recipe.WeightDecay > 0)
            add(Severity.Note, "weight-decay-head-only", "WeightDecay", $"With only the head training, weight decay acts on the head's weights alone.");
        if (facts.Origin == "random")
            add(Severity.Warn, "head-only-on-random", "TrainableLayers", $"Only the head trains, on a base model with random weights: it has learned nothing that the head could use. Train all layers.");
    }

    private static void CheckMethod(RunRecipe recipe, PreFlightFacts facts, Report add)
    {
        if (facts.Task != TextTask.Generation)
            foreach (var (field, sentence) in EncoderAdapters.Contradictions(recipe)) add(Severity.Block, "adapters-exclude", field, $"{sentence}");
        else if (recipe.TrainableLayers == TrainableLayers.HeadOnly)
            add(Severity.Block, "no-head-to-train", "TrainableLayers", $"Trainable layers is set to only the new head, but a language model has no new head; train all layers, the last blocks, or use LoRA.");
        if (recipe.Method == TrainingMethod.Full)
        {
            foreach (var name in new[] { nameof(RunRecipe.LoraRank), nameof(RunRecipe.LoraAlpha), nameof(RunRecipe.LoraDropout), nameof(RunRecipe.LoraTargets) })
                if (RunRecipe.Field(name) is { } field && !field.IsDefault(recipe)) add(Severity.Warn, "adapter-setting-inert", name, $"{field.Label} is set to {field.Text(field.Get(recipe))} but has no effect, because the method is full and makes no adapters.");
        }
        else if (recipe.TrainableLayers == TrainableLayers.LastBlocks || recipe.TrainableLayers == TrainableLayers.HeadOnly && facts.Task == TextTask.Generation)
            add(Severity.Warn, "trainable-layers-inert", "TrainableLayers", $"Trainable layers is set to {recipe.TrainableLayers} but has no effect, because only the adapters{(facts.Task == TextTask.Generation ? "" : " and the head")} train.");
        if (recipe.Method != TrainingMethod.Full && facts.Origin == "random" && facts.Task != TextTask.Generation)
            add(Severity.Warn, "adapters-on-random", "Method", $"Adapters train on a base model with random weights: it has learned nothing that small changes could bring out. Set the method to full.");
    }

    private static void CheckUnfreezing(RunRecipe recipe, PreFlightFacts facts, Report add)
    {
        var headOnly = recipe.TrainableLayers == TrainableLayers.HeadOnly;
        if (recipe.LayerDecay < 1 && headOnly)
            add(Severity.Warn, "layer-decay-inert", "LayerDecay", $"Layer-wise rate decay is {recipe.LayerDecay} but has no effect, because only the head trains.");
        else if (recipe.LayerDecay < 1 && recipe.TrainableLayers == TrainableLayers.All && Math.Pow(recipe.LayerDecay, facts.Blocks + 1) < 0.01)
            add(Severity.Note, "layer-decay-steep", "LayerDecay", $"A layer-wise rate decay of {recipe.LayerDecay} over {Count(facts.Blocks, "block")} leaves the embeddings with {Math.Pow(recipe.LayerDecay, facts.Blocks + 1):0.##e-0} of the learning rate; the lowest blocks will hardly move.");
        if (recipe.UnfreezeEpochs == 0) return;
        var parts = TrainingPlan.PartsToUnfreeze(recipe, facts.Blocks);
        var reached = (recipe.Epochs - 1) / recipe.UnfreezeEpochs;
        if (headOnly)
            add(Severity.Warn, "unfreezing-inert", "UnfreezeEpochs", $"Epochs per unfrozen block is {recipe.UnfreezeEpochs} but has no effect, because trainable layers leaves only the head to train.");
        else if (reached == 0)
            add(Severity.Warn, "unfreezing-never-begins", "UnfreezeEpochs", $"The first block would be unfrozen after {Count(recipe.UnfreezeEpochs, "epoch")}, and the run ends after {recipe.Epochs}, so only the head ever trains; train for more epochs, or set it to 0.");
        else if (reached < parts)
            add(Severity.Warn, "unfreezing-never-ends", "UnfreezeEpochs", $"Gradual unfreezing reaches only the last {Count(reached, "block")} of {facts.Blocks} within {Count(recipe.Epochs, "epoch")}; {(recipe.TrainableLayers == TrainableLayers.All ? "for all blocks and the embeddings" : $"for the last {Count(parts, "block")}")} the run needs {parts * recipe.UnfreezeEpochs + 1} epochs.");
        var before = recipe.UnfreezeEpochs * recipe.EvaluationsPerEpoch;
        if (!headOnly && reached > 0 && recipe.EarlyStoppingPatience > 0 && recipe.EarlyStoppingPatience < before)
            add(Severity.Note, "patience-before-unfreezing", "EarlyStoppingPatience", $"The model is evaluated {before} times before each unfreezing, and early stopping waits for only {recipe.EarlyStoppingPatience} without improvement; it may end the run before the next block gets to learn.");
    }

    private static void CheckOptimizer(RunRecipe recipe, Report add)
    {
        if (recipe.Optimizer != OptimizerKind.Sgd && recipe.Momentum != (double)RunRecipe.Field("Momentum")!.Default)
            add(Severity.Warn, "momentum-inert", "Momentum", $"Momentum is {recipe.Momentum} but has no effect, because the optimizer is {recipe.Optimizer}.");
        if (recipe.Optimizer == OptimizerKind.Sgd && recipe.LearningRate < LowestSgdRate)
            add(Severity.Warn, "rate-low-for-sgd", "LearningRate", $"The learning rate is {recipe.LearningRate:0.######e-0}; SGD moves weights by the bare gradient and usually needs 1e-3 to 1e-1.");
    }

    private static void CheckPrecision(RunRecipe recipe, PreFlightFacts facts, Report add)
    {
        if (recipe.Precision == Precision.Bf16 && facts.Bf16Instructions == false)
            add(Severity.Warn, "bf16-without-instructions", "Precision", $"Precision is bf16 mixed, but the processor has no bf16 instructions (avx512_bf16 or amx_bf16): the run works, and is slower than in float32.");
        if (recipe.ActivationCheckpointing == ActivationCheckpointing.Off) return;
        var layers = recipe.Method == TrainingMethod.Full ? recipe.TrainableLayers : TrainableLayers.All;
        if (layers == TrainableLayers.HeadOnly)
            add(Severity.Warn, "checkpointing-inert", "ActivationCheckpointing", $"Activation checkpointing is on but has no effect, because only the head trains and no block is computed again.");
        else if (facts.Blocks == 1 || layers == TrainableLayers.LastBlocks && recipe.LastBlocks == 1)
            add(Severity.Warn, "checkpointing-one-block", "ActivationCheckpointing", $"Activation checkpointing is on but saves next to nothing, because only one block trains and backward needs all of what it computes; turn it off, for it costs time.");
    }

    private static void CheckEvaluation(RunRecipe recipe, PreFlightFacts facts, TrainingPlan plan, Report add)
    {
        if (recipe.EvaluationsPerEpoch == 0)
        {
            add(Severity.Warn, "evaluation-off", "EvaluationsPerEpoch", $"Evaluations are off: over-fitting will not be seen, and the last weights are kept instead of the best.");
            if (recipe.EarlyStoppingPatience > 0)
                add(Severity.Warn, "patience-without-evaluation", "EarlyStoppingPatience", $"Early stopping patience is {recipe.EarlyStoppingPatience} but evaluations are off, so it can never act; turn evaluations on or set it to 0.");
            if (recipe.Metric != (Metric)RunRecipe.Field("Metric")!.Default)
                add(Severity.Warn, "metric-inert", "Metric", $"Best checkpoint by {recipe.Metric} has no effect, because evaluations are off.");
            return;
        }
        if (facts.ValidationRows == 0)
            add(Severity.Block, "no-validation-rows", "EvaluationsPerEpoch", $"There are no validation rows, so the {plan.EvaluationSteps.Count} planned evaluations cannot be done; give validation a share of the split, or set evaluations per epoch to 0.");
        else if (facts.Task != TextTask.Regression && facts.ValidationRows < 2 * facts.Labels)
            add(Severity.Warn, "small-validation", null, $"Validation has {Count(facts.ValidationRows, "row")} for {Count(facts.Labels, "label")}; its numbers will jump about, and so will the choice of the best checkpoint.");
        if (recipe.EvaluationsPerEpoch > plan.StepsPerEpoch)
            add(Severity.Warn, "more-evaluations-than-steps", "EvaluationsPerEpoch", $"{recipe.EvaluationsPerEpoch} evaluations per epoch were asked for but an epoch has only {Count(plan.StepsPerEpoch, "step")}; the run evaluates after each step and no more often.");
        var evaluations = plan.EvaluationSteps.Count;
        // The first evaluation is always the best so far, and stopping at the last one saves nothing.
        if (recipe.EarlyStoppingPatience > 0 && recipe.EarlyStoppingPatience > evaluations - 2)
            add(Severity.Warn, "patience-never-fires", "EarlyStoppingPatience", evaluations < 3
                ? $"Early stopping can never act: the run has only {Count(evaluations, "evaluation")}. Train for more epochs, evaluate more often, or set patience to 0."
                : (FormattableString)$"Early stopping patience is {recipe.EarlyStoppingPatience} but the run has only {evaluations} evaluations, so it can never act; choose at most {evaluations - 2}, or evaluate more often.");
        if (recipe.EarlyStoppingPatience == 0 && recipe.Epochs > 10)
            add(Severity.Note, "long-without-early-stopping", "EarlyStoppingPatience", $"The run goes on for all {recipe.Epochs} epochs even if validation gets worse; early stopping would end it.");
    }

    private static void CheckLearningRate(RunRecipe recipe, PreFlightFacts facts, Report add)
    {
        var rate = recipe.LearningRate;
        if (recipe.Optimizer == OptimizerKind.Sgd) { /* The usual rates below are those of optimizers that divide by the gradient's size. */ }
        else if (facts.SuggestedLearningRate is { } suggested)
        {
            if (rate > suggested * 5 || rate < suggested / 5)
                add(Severity.Warn, "rate-unlike-suggested", "LearningRate", $"The learning rate is {rate:0.######e-0}; this base model suggests {suggested:0.######e-0}, {(rate > suggested ? rate / suggested : suggested / rate):0.#} times {(rate > suggested ? "less" : "more")}.");
        }
        else if (facts.Origin == "random")
        {
            if (rate < LowestRandomRate)
                add(Severity.Warn, "rate-low-for-random", "LearningRate", $"The learning rate is {rate:0.######e-0}; a model with random weights usually needs about 1e-3 to learn anything in {recipe.Epochs} epochs.");
        }
        else
        {
            var adapters = recipe.Method != TrainingMethod.Full;
            var highest = adapters ? HighestAdapterRate : recipe.TrainableLayers == TrainableLayers.HeadOnly ? HighestHeadRate : HighestPretrainedRate;
            if (rate > highest)
                add(Severity.Warn, "rate-too-high", "LearningRate", $"The learning rate is {rate:0.######e-0}, far above the usual {(adapters ? "1e-4 to 1e-3 for adapters" : "1e-5 to 1e-4 for a pretrained model")}; it will probably destroy what the model knows.");
            if (adapters && rate is >= LowestPretrainedRate and < LowestAdapterRate)
                add(Severity.Note, "rate-low-for-adapters", "LearningRate", $"The learning rate is {rate:0.######e-0}; adapters start at nothing and usually learn at 1e-4 to 1e-3.");
            if (rate < LowestPretrainedRate)
                add(Severity.Warn, "rate-too-low", "LearningRate", $"The learning rate is {rate:0.######e-0}, far below the usual 1e-5 to 1e-4; the new head will hardly move from where it starts.");
        }
        if (facts.Origin == "random" && recipe.Dropout > 0)
            add(Severity.Warn, "dropout-on-random", "Dropout", $"Dropout is {recipe.Dropout} on a base model with random weights: it has nothing to over-fit yet, and learns far more slowly with dropout; leave it as the model has it.");
        if (facts.Origin == "random")
            add(Severity.Warn, "origin-random", null, $"The base model's weights are random, not pretrained: good for practice, and weak for real use.");
        else if (facts.Origin != "pretrained")
            add(Severity.Warn, "origin-unknown", null, $"Nobody said whether the base model was pretrained; its origin counts as unknown, not as pretrained.");
    }

    private static string Count(int number, string noun) => number.ToString(CultureInfo.InvariantCulture) + " " + noun + (number == 1 ? "" : "s");
}
