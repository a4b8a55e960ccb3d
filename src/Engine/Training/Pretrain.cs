using System.Globalization;
using System.Security.Cryptography;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Training;

/// <summary>Everything that pretraining needs. Nothing outside the output and cache folders is written.</summary>
/// <param name="Recipe">Its max length is the length of the blocks that the texts are cut into, special tokens included.</param>
/// <param name="BaseFolder">A BERT, which learns to fill in masked words, or a GPT-2, Llama or Qwen2, which learns to foresee the next token. For new weights see <see cref="NewModelFolder"/>.</param>
/// <param name="Train">Text files as <see cref="TextDocuments"/> reads them; their order counts.</param>
/// <param name="Validation">Text files that are not learned from; empty where the recipe has no evaluations.</param>
/// <param name="CacheFolder">Where texts are kept as token ids. Other runs may use it too, unless it lies in the output folder: then it is this run's own, and what is kept there of other texts is deleted.</param>
/// <param name="Steps">As in <see cref="TrainingPlan.For"/>.</param>
/// <param name="Stored">In which numbers the best model is saved, half as large in bf16; null is float32 for masked words and the base's own types for the next token.</param>
public sealed record PretrainJob(RunRecipe Recipe, string BaseFolder, IReadOnlyList<string> Train, IReadOnlyList<string> Validation, string OutputFolder, string CacheFolder, int? Steps = null, Precision? Stored = null)
{
    /// <summary>Whether the held-out text is measured before the first step too, and reported as step 0.</summary>
    public bool MeasuresStart { get; init; }

    /// <summary>Where the model computes. What is kept of a run does not depend on it: one that began on the CPU can go on elsewhere, to other roundings.</summary>
    public torch.Device Device { get; init; } = torch.CPU;
}

/// <summary>
/// Pretrains a model on running text, or goes on with its pretraining on the text of a field (Gururangan et al. 2020, arXiv:2004.10964), in the loop
/// of <see cref="FineTune"/>. Documents are packed one after the other and cut into blocks of one length (Liu et al. 2019, arXiv:1907.11692); each
/// epoch reads the blocks in another order.
/// </summary>
public static class Pretrain
{
    /// <summary>Settings of a recipe that speak of answers, labels or parts of a model.</summary>
    private static readonly string[] Unread = [nameof(RunRecipe.TrainableLayers), nameof(RunRecipe.LabelSmoothing), nameof(RunRecipe.ClassWeights), nameof(RunRecipe.FocalGamma), nameof(RunRecipe.RegressionLoss),
        nameof(RunRecipe.UnfreezeEpochs), nameof(RunRecipe.PromptFormat), nameof(RunRecipe.Packing)];

    /// <summary>Train blocks that an evaluation measures at most: validation text is often long, and as much train text again would double the evaluation's time.</summary>
    internal const int MostSampled = 512;

    /// <summary>Usual settings for a small model: one pass, blocks of 128 tokens, no dropout because no text is seen twice.</summary>
    public static RunRecipe DefaultRecipe { get; } = new()
    {
        Epochs = 1, BatchSize = 64, MaxLength = 128, LearningRate = 1e-3, WarmupRatio = 0.05, Dropout = 0, EvaluationsPerEpoch = 10, EarlyStoppingPatience = 0, Metric = Metric.ValidationLoss,
    };

    /// <summary>Runs a job on the calling thread, as <see cref="FineTune.Run"/>.</summary>
    /// <exception cref="TrainingException">The job cannot be trained or diverged, or a text file is broken; the last good checkpoint stays.</exception>
    /// <exception cref="WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="TokenizerFileException">The base model's tokenizer is missing or broken.</exception>
    /// <inheritdoc cref="FineTune.Run"/>
    public static FineTuneResult Run(PretrainJob job, Action<TrainingEvent> report, Func<StopRequest> stop, CancellationToken cancel, bool resume = false)
    {
        Check(job);
        var causal = CausalTensors.ModelTypes.Contains(ModelFolder.ModelType(job.BaseFolder));
        var stored = job.Stored switch { null => null, Precision.Bf16 => "BF16", _ => "F32" };
        // The model first: what is wrong with it is known at once, and the texts may take long.
        Objective objective = causal ? new GenerationObjective(job.Recipe, job.BaseFolder, stored, job.Device) : new MaskedWordsObjective(job.Recipe, job.BaseFolder, stored ?? "F32", job.Device);
        PackedIds? train = null, validation = null;
        try
        {
            if (job.Device.type != DeviceType.CPU) report(new LogLine($"The model computes on {job.Device}."));
            var (length, endId) = objective switch
            {
                MaskedWordsObjective masked => (masked.BlockLength, masked.EndId),
                GenerationObjective next => (job.Recipe.MaxLength, next.LoadTokenizer().EndId ?? throw new TrainingException("The base model's tokenizer has no token for the end of a text, which must stand between documents.")),
                _ => throw new InvalidOperationException(),
            };
            report(new LogLine("Reading the texts; the first time they are cut into tokens, and these are kept for the next."));
            PackedIds Open(IReadOnlyList<string> files) => PackedIds.Open(files, job.BaseFolder, endId, special: causal, job.CacheFolder, cancel);
            train = Open(job.Train);
            if (job.Recipe.EvaluationsPerEpoch > 0) validation = Open(job.Validation);
            else report(new LogLine("Nothing is held out, so nothing is evaluated; the last weights are the model."));
            var (trainTexts, validationTexts) = (Texts(train, "train"), validation is null ? causal ? new AnsweredTexts([], [], 0) : new TokenizedTexts([], 0) : Texts(validation, "validation"));
            objective.WithCheckpoints(job.Recipe);
            report(new LogLine(string.Create(CultureInfo.InvariantCulture, $"{train.Documents:N0} train documents are {train.Tokens:N0} tokens, read in {trainTexts.Count:N0} blocks of {length}; {validation?.Documents ?? 0:N0} validation documents are {validationTexts.Count:N0} blocks.")));
            using var loop = new TrainingLoop(new(job.Recipe, TrainingPlan.For(job.Recipe, trainTexts.Count, job.Steps), job.OutputFolder, job.BaseFolder, objective, () => (trainTexts, validationTexts),
                Sha256($"{train.Sha256} {validation?.Sha256}")) { RecipeSha256 = Sha256($"{job.Recipe.Sha256()} {job.Steps} {stored}"), MostSampled = MostSampled, MeasuresStart = job.MeasuresStart }, report, stop, cancel);
            // A run that goes on may yet be refused, and then its checkpoint's texts are still wanted.
            if (!resume) KeepOnlyPacked();
            var result = loop.Run(resume);
            KeepOnlyPacked();
            return result;

            void KeepOnlyPacked()
            {
                if (IsWithin(job.OutputFolder, job.CacheFolder)) PackedIds.DeleteOthers(job.CacheFolder, [train.Sha256, .. validation is null ? Array.Empty<string>() : [validation.Sha256]]);
            }

            TokenizedTexts Texts(PackedIds packed, string part)
            {
                var blocks = new PackedBlocks(packed, length);
                if (blocks.Count == 0) throw new TrainingException($"The {part} text has {packed.Tokens} tokens, which is less than one block of {length}; give more text, or set max length to fewer tokens.");
                // Nothing comes before a block's first token that would foretell it.
                int[] lengths = [.. Enumerable.Repeat(length, blocks.Count)];
                return causal ? new AnsweredTexts(blocks, [.. Enumerable.Repeat(1, blocks.Count)], 0, lengths) { Device = job.Device } : new TokenizedTexts(blocks, 0, lengths: lengths) { Device = job.Device };
            }
        }
        finally
        {
            objective.Dispose();
            train?.Dispose();
            validation?.Dispose();
        }
    }

    private static string Sha256(string text) => Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)));

    private static void Check(PretrainJob job)
    {
        FineTune.CheckOutput(job.BaseFolder, job.OutputFolder);
        if (job.Recipe.Validate() is { Count: > 0 } problems) throw new TrainingException($"The recipe is not valid. {string.Join(" ", problems)}");
        if (RunRecipe.Fields.FirstOrDefault(f => Unread.Contains(f.Name) && !f.IsDefault(job.Recipe)) is { } unread)
            throw new TrainingException($"{unread.Label} is {unread.Text(unread.Get(job.Recipe))}, but pretraining does not read it; set it back to {unread.Text(unread.Default)}.");
        if (job.Recipe.Metric is not (Metric.ValidationLoss or Metric.Perplexity or Metric.TokenAccuracy)) throw new TrainingException($"Best checkpoint by is {job.Recipe.Metric}, but pretraining measures {nameof(Metric.ValidationLoss)}, {nameof(Metric.Perplexity)} and {nameof(Metric.TokenAccuracy)}.");
        if (job.Recipe.Method != TrainingMethod.Full && !CausalTensors.ModelTypes.Contains(ModelFolder.ModelType(job.BaseFolder)))
            throw new TrainingException("Method is set to adapters, but a model that fills in masked words is pretrained whole; set it to Full.");
        if (job.Steps < 1) throw new TrainingException($"The number of steps is {job.Steps}; expected 1 or more.");
        if (job.Train.Count == 0) throw new TrainingException("There is no text to learn from.");
        if (job.Train.FirstOrDefault(file => job.Validation.Any(held => IsSame(file, held))) is { } both)
            throw new TrainingException($"{Path.GetFileName(both)} is both train and validation text; a model must be measured on text that it did not learn from.");
        if (MixedPrecision.Problem(job.Recipe) is { } unsupported) throw new TrainingException(unsupported);
        if (job.Recipe.EvaluationsPerEpoch > 0 && job.Validation.Count == 0) throw new TrainingException("There is no validation text to evaluate on; give some that is not learned from, or set evaluations per epoch to 0.");
    }

    private static bool IsWithin(string folder, string inner) => Path.GetFullPath(inner).StartsWith(Path.GetFullPath(folder).TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static bool IsSame(string one, string other) => Path.GetFullPath(one) == Path.GetFullPath(other)
        || new FileInfo(one).Length == new FileInfo(other).Length && PackedIds.Hash(one, default).AsSpan().SequenceEqual(PackedIds.Hash(other, default));
}
