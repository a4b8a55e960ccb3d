using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Training;

/// <summary>Fine-tunes a model: the whole training loop, from texts to the best checkpoint. What depends on the task is in <see cref="Objective"/>.</summary>
public static class FineTune
{
    /// <summary>
    /// Runs a job on the calling thread and reports as it goes. Writes OutputFolder/best, a complete Hugging Face folder, and
    /// OutputFolder/last, from which the run can go on.
    /// </summary>
    /// <param name="stop">Asked before each step and each batch of an evaluation or of kept features. Stop evaluates, keeps the best checkpoint and
    /// returns; Cancel returns at once.</param>
    /// <param name="cancel">For a process that is going down: saves OutputFolder/last and throws <see cref="OperationCanceledException"/>.
    /// Amid an evaluation nothing is saved, because a run that goes on from there would miss it: it goes on from the checkpoint before.</param>
    /// <param name="resume">Go on from OutputFolder/last where there is one; on the CPU with the same number of threads the
    /// losses are those of the run that was never interrupted. Otherwise both folders start empty.</param>
    /// <exception cref="TrainingException">The job cannot be trained or diverged; the last good checkpoint stays.</exception>
    /// <exception cref="Weights.WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="TokenizerFileException">The base model's tokenizer is missing or broken.</exception>
    public static FineTuneResult Run(FineTuneJob job, Action<TrainingEvent> report, Func<StopRequest> stop, CancellationToken cancel, bool resume = false)
    {
        Check(job);
        using var objective = Objective.For(job.Task, job.Recipe, job.BaseFolder, job.Labels);
        using var loop = new TrainingLoop(new(job.Recipe, TrainingPlan.For(job.Recipe, job.Train.Count, job.Steps), job.OutputFolder, job.BaseFolder, objective,
            () => Texts(job, objective, report, cancel), DataSha256(job), job.MostFeatureBytes, job.Saves), report, stop, cancel);
        return loop.Run(resume);
    }

    /// <summary>Memory for kept features, of what is free.</summary>
    internal static long FeatureRoom(long? free) => free / 2 ?? 1L << 30;

    /// <summary>A new run empties the folders best and last, and best is written with the base's files at hand.</summary>
    /// <exception cref="TrainingException">The base model lies in one of them.</exception>
    internal static void CheckOutput(string baseFolder, string outputFolder)
    {
        baseFolder = Path.GetFullPath(baseFolder) + Path.DirectorySeparatorChar;
        foreach (var name in new[] { "best", "last" })
            if (baseFolder.StartsWith(Path.GetFullPath(Path.Combine(outputFolder, name)) + Path.DirectorySeparatorChar, StringComparison.Ordinal))
                throw new TrainingException($"The base model lies in the folder {name} of the output folder, which the run replaces; choose another output folder.");
    }

    private static void Check(FineTuneJob job)
    {
        CheckOutput(job.BaseFolder, job.OutputFolder);
        if (job.Recipe.Validate() is { Count: > 0 } problems) throw new TrainingException($"The recipe is not valid. {string.Join(" ", problems)}");
        if (RunRecipe.Fields.Select(f => f.Unread(job.Recipe, job.Task)).FirstOrDefault(p => p is not null) is { } unread) throw new TrainingException(unread);
        if (job.Train.Count == 0) throw new TrainingException("There are no train rows to learn from.");
        if (MixedPrecision.Problem(job.Recipe) is { } unsupported) throw new TrainingException(unsupported);
        Objective.Check(job);
        if (job.Recipe.EvaluationsPerEpoch > 0 && job.Validation.Count == 0)
            throw new TrainingException("There are no validation rows to evaluate on; give validation a share of the split, or set evaluations per epoch to 0.");
    }

    private static (TokenizedTexts Train, TokenizedTexts Validation) Texts(FineTuneJob job, Objective objective, Action<TrainingEvent> report, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        var (train, validation) = (objective.Tokenize(job.Train, cancel), objective.Tokenize(job.Validation, cancel));
        report(new LogLine(string.Create(CultureInfo.InvariantCulture, $"Tokenised {train.Count} train and {validation.Count} validation rows in {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s.")));
        return (train, validation);
    }

    private static string DataSha256(FineTuneJob job)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var row in job.Train.Append(new LabeledText(-1, "validation", -1)).Concat(job.Validation))
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes($"{row.RowId}\0{row.Answered}\0{row.Text.Length}\0{row.Text}"));
        hash.AppendData(System.Text.Encoding.UTF8.GetBytes(string.Join('\0', job.Labels)));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
