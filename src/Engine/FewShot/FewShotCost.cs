using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>What a learning curve will take on this machine, from a few measured steps of each of its methods.</summary>
/// <param name="Seconds">Of all points, each with its reading of the model, its steps and its one evaluation.</param>
/// <param name="PeakMemoryBytes">Resident memory above what the process held before, at the highest of any method.</param>
public sealed record FewShotEstimate(double Seconds, long PeakMemoryBytes);

/// <summary>Estimates a learning curve before it is started: a <see cref="DryRun"/> of each method's recipe, and from it every point.</summary>
public static class FewShotCost
{
    /// <summary>
    /// Runs on the calling thread, for some seconds with a small model, and keeps nothing. Sets the generator of libtorch, so no run may train meanwhile.
    /// </summary>
    /// <param name="job">Its output folder is not touched.</param>
    /// <param name="tokenLengths">Untruncated tokens of each row of the pool, special tokens included; measured rows are taken to be about as long.</param>
    /// <param name="memoryLimitBytes">What the process may take on top of what it holds; see <see cref="DryRunJob"/>.</param>
    /// <param name="cancel">Asked before each batch.</param>
    /// <param name="progress">Told the share that is done, rising to 1.</param>
    /// <exception cref="TrainingException">The job cannot be run, or weights and gradients alone pass the memory limit.</exception>
    /// <exception cref="Weights.WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; nothing is left behind.</exception>
    public static FewShotEstimate Measure(FewShotJob job, IReadOnlyList<int> tokenLengths, long memoryLimitBytes, CancellationToken cancel, Action<double>? progress = null)
    {
        job.Check();
        var measured = job.Scored().Count;
        int[] rows = [.. FewShotDraw.DistinctKs(job.Pool, job.Ks).Select(k => FewShotDraw.Rows(job.Pool, k))];
        // The nearest centroid reads every row once and forward, which is what a head alone does before its steps.
        FewShotMethod[] tried = [.. job.Methods.Select(m => m == FewShotMethod.Centroid ? FewShotMethod.HeadOnly : m).Distinct().Order()];
        var (seconds, peak) = (0.0, 0L);
        foreach (var (i, method) in tried.Index())
        {
            var recipe = method.Recipe(job.Recipe);
            var start = i;
            var cost = DryRun.Measure(new(recipe, job.BaseFolder, job.Labels.Count, tokenLengths, measured, memoryLimitBytes), cancel, share => progress?.Invoke((start + share) / tried.Length));
            peak = Math.Max(peak, cost.PeakMemoryBytes);
            if (job.Methods.Contains(method)) seconds += job.Draws * rows.Sum(n => Point(job, cost, recipe, n, measured, tokenLengths.Count));
            if (method == FewShotMethod.HeadOnly && job.Methods.Contains(FewShotMethod.Centroid))
                seconds += cost.ReadSeconds + Forward(cost, tokenLengths.Count, measured) * (Math.Min(tokenLengths.Count, (double)job.Draws * rows[^1]) + measured);
        }
        return new(seconds, peak);
    }

    private static double Point(FewShotJob job, DryRunResult cost, RunRecipe recipe, int rows, int measured, int pool)
    {
        // A step of fewer rows than the recipe's takes less for its rows and as much for its update.
        var full = Math.Min(TrainingPlan.RowsPerStep(recipe), pool);
        var step = cost.UpdateSeconds + (cost.MedianStepSeconds - cost.UpdateSeconds) * Math.Min(1, (double)rows / full);
        var features = cost.FeatureBytes == 0 ? 0 : Forward(cost, pool, measured) * (rows + measured);
        // The rows learned from are scored too, as many as there are measured ones.
        var evaluation = cost.EvaluationSeconds * (measured + Math.Min(measured, rows)) / (measured + Math.Min(measured, pool));
        return cost.ReadSeconds + features + job.Steps(rows) * step + evaluation;
    }

    /// <summary>Seconds that a row takes forward through the whole model.</summary>
    private static double Forward(DryRunResult cost, int pool, int measured) =>
        cost.FeatureBytes == 0 ? cost.EvaluationSeconds / (measured + Math.Min(measured, pool)) : cost.FeatureSeconds / (pool + measured);
}
