using System.Text.Json;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Where a run stands, with everything that the next step depends on besides weights and optimizer. Batches and dropout
/// follow from the recipe's seed and the step, so no generator's inner state has to be kept. The rows of a batch and of an evaluation's batch
/// are there only where memory ran out and they became fewer than the recipe's; whether features are kept, only where the head alone trains. The precision is that of the steps; the tensors are float32.
/// Checkpoints that are older than its fingerprint do not know with which base weights they began.
/// </summary>
internal sealed record RunState(int Step, int BestStep, double? BestMetric, int EvaluationsWithoutImprovement, double? FirstLoss, double? SmoothedLoss,
    string RecipeSha256, string DataSha256, string? WeightsFile = null, int? BatchSize = null, int? EvaluationRows = null, Precision Precision = Precision.Float32,
    bool? KeepsFeatures = null, double? BestLoss = null, string? BaseSha256 = null)
{
    /// <summary>
    /// Whether an evaluation is better than the best so far: its metric is, or is the same at a lower validation loss, so that a run
    /// goes on whose score stands still (the micro-F1 of several labels is 0 until the first label is dared) while it learns.
    /// A checkpoint that is older than this rule does not know its best loss: until the next better value only the old rule holds, by which the newest of several zeros is the best.
    /// </summary>
    public bool IsImprovedBy(Metric metric, double value, double validationLoss) =>
        BestMetric is not { } best || metric.IsBetter(value, best) || value == best && (BestLoss is { } low ? validationLoss < low : metric.IsShare() && value == 0);

    /// <summary>After an evaluation: a better one becomes the best and starts the wait of early stopping again.</summary>
    public RunState Evaluated(Metric metric, double value, double validationLoss) => IsImprovedBy(metric, value, validationLoss)
        ? this with { BestStep = Step, BestMetric = value, BestLoss = validationLoss, EvaluationsWithoutImprovement = 0 }
        : this with { EvaluationsWithoutImprovement = EvaluationsWithoutImprovement + 1 };
}

/// <summary>
/// The folder from which a stopped run goes on: <c>checkpoint-STEP.safetensors</c> holds the trained weights and the
/// optimizer's state, <c>state.json</c> the rest. state.json names the weights file and is replaced last, in one rename: whatever
/// moment the process dies at, the folder holds one whole checkpoint.
/// </summary>
internal static class Checkpoint
{
    /// <summary>The steps of each parameter; checkpoints that are older than the choice of optimizers have one number for all.</summary>
    private const string Steps = "optimizer_steps", StepsOfAll = "adamw_step";

    private const string StateFile = "state.json", Weight = "weight.";

    public static bool Exists(string folder) => File.Exists(Path.Combine(folder, StateFile));

    public static void Save(string folder, RecipeOptimizer optimizer, RunState state)
    {
        Directory.CreateDirectory(folder);
        var tensors = new List<(string, string, long[], Func<ReadOnlyMemory<byte>>)>();
        void Add(string name, Tensor tensor) => tensors.Add((name, "F32", tensor.shape, () => StoredTensor.Bytes(tensor, "F32")));
        var (trained, steps) = (optimizer.Parameters, optimizer.Steps);
        for (var i = 0; i < trained.Count; i++)
        {
            Add(Weight + trained[i].Name, trained[i].Parameter);
            if (steps[i] > 0) foreach (var (prefix, tensor) in optimizer.StateOf(i)) Add(prefix + trained[i].Name, tensor);
        }
        var file = $"checkpoint-{state.Step}.safetensors";
        SafetensorsWriter.Write(Path.Combine(folder, file), tensors, new Dictionary<string, string> { [Steps] = string.Join(',', steps) });

        var path = Path.Combine(folder, StateFile);
        using (var stream = new FileStream(path + ".tmp", FileMode.Create, FileAccess.Write))
        {
            JsonSerializer.Serialize(stream, state with { WeightsFile = file });
            stream.Flush(flushToDisk: true);
        }
        File.Move(path + ".tmp", path, overwrite: true);
        foreach (var old in Directory.EnumerateFiles(folder, "checkpoint-*").Where(f => Path.GetFileName(f) != file)) File.Delete(old);
    }

    /// <summary>Puts weights and the optimizer's state back and returns the state.</summary>
    /// <param name="begun">The state at the beginning of the run that is to go on.</param>
    /// <exception cref="TrainingException">The checkpoint belongs to another recipe, other data or another base model, or is broken.</exception>
    public static RunState Load(string folder, RecipeOptimizer optimizer, RunState begun)
    {
        try
        {
            var state = JsonSerializer.Deserialize<RunState>(File.ReadAllText(Path.Combine(folder, StateFile))) ?? throw new JsonException("state.json is empty");
            if (state.RecipeSha256 != begun.RecipeSha256) throw new TrainingException("The last checkpoint was made with another recipe, so the run cannot go on from it; start the run anew.");
            if (state.DataSha256 != begun.DataSha256) throw new TrainingException("The last checkpoint was made with other train or validation rows, so the run cannot go on from it; start the run anew.");
            if ((state.BaseSha256 ?? begun.BaseSha256) != begun.BaseSha256) throw new TrainingException("The last checkpoint began with other weights of the base model, so the run cannot go on from it; name the base model that it began with, or start the run anew.");
            using var file = SafetensorsFile.Open(Path.Combine(folder, Path.GetFileName(state.WeightsFile!)));
            void Read(string name, Tensor target)
            {
                if (!file.Entries.TryGetValue(name, out var entry) || !entry.Shape.SequenceEqual(target.shape))
                    throw new TrainingException($"The last checkpoint has no fitting tensor {name}, so the run cannot go on from it; start the run anew.");
                StoredTensor.CopyTo(file, entry, target);
            }
            var trained = optimizer.Parameters;
            var steps = file.Metadata.TryGetValue(Steps, out var each) ? [.. each.Split(',').Select(long.Parse)] : Enumerable.Repeat(long.Parse(file.Metadata[StepsOfAll]), trained.Count).ToArray();
            if (steps.Length != trained.Count) throw new FormatException($"it counts the steps of {steps.Length} parameters, and {trained.Count} train");
            for (var i = 0; i < trained.Count; i++)
            {
                Read(Weight + trained[i].Name, trained[i].Parameter);
                optimizer.Restore(i, steps[i]);
                if (steps[i] > 0) foreach (var (prefix, tensor) in optimizer.StateOf(i)) Read(prefix + trained[i].Name, tensor);
            }
            return state with { BaseSha256 = begun.BaseSha256 };
        }
        catch (Exception broken) when (broken is JsonException or IOException or WeightFileException or ArgumentNullException or KeyNotFoundException or FormatException or OverflowException)
        {
            throw new TrainingException($"The last checkpoint cannot be read ({broken.Message.TrimEnd('.')}); start the run anew.");
        }
    }
}
