using System.Diagnostics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>What a dry run needs to know. The texts themselves do not matter, only how long they are.</summary>
/// <param name="Labels">Outputs of the classifier.</param>
/// <param name="TokenLengths">Untruncated tokens of each train row, special tokens included; validation rows are taken to be about as long.</param>
/// <param name="ValidationRows">Rows of the validation part.</param>
/// <param name="MemoryLimitBytes">What the process may take on top of what it holds; batches that would pass it are not tried.</param>
public sealed record DryRunJob(RunRecipe Recipe, string BaseFolder, int Labels, IReadOnlyList<int> TokenLengths, int ValidationRows,
    long MemoryLimitBytes = long.MaxValue, TextTask Task = TextTask.SingleLabel);

/// <summary>What a few steps cost, and from it what the run will.</summary>
/// <param name="MedianStepSeconds">An optimizer step of the usual length, with all its accumulated batches.</param>
/// <param name="LongestStepSeconds">The slowest step of the first epoch.</param>
/// <param name="LongestTokens">Tokens to which the longest batch is padded.</param>
/// <param name="EvaluationSeconds">One evaluation: all validation rows and the sample of train rows; 0 where the recipe has none.</param>
/// <param name="RunSeconds">All steps and evaluations of the recipe, without early stopping and without the writing of checkpoints.</param>
/// <param name="PeakMemoryBytes">Resident memory above what the process held before, at its highest.</param>
/// <param name="BestCheckpointBytes">The best checkpoint's weights, which stay, with adapters alone beside the whole where there are some.</param>
/// <param name="LastCheckpointBytes">The last checkpoint while the run goes on: trained weights and the optimizer's state.</param>
/// <param name="MeasuredRows">Rows of the largest batch that was tried; below the recipe's batch size where the whole batch would have passed the
/// memory limit, and then memory and times are carried on from smaller batches.</param>
public sealed record DryRunResult(double MedianStepSeconds, double LongestStepSeconds, int LongestTokens, double EvaluationSeconds, double RunSeconds,
    long PeakMemoryBytes, long BestCheckpointBytes, long LastCheckpointBytes, int MeasuredRows)
{
    /// <summary>Memory for what lies below the head, computed once for each row where only the head trains and it fits; else 0. <see cref="PeakMemoryBytes"/> includes it.</summary>
    public long FeatureBytes { get; init; }

    /// <summary>Seconds that computing it takes, once, before the first step. <see cref="RunSeconds"/> includes them.</summary>
    public double FeatureSeconds { get; init; }

    /// <summary>Of the median step, what the update takes, however few rows it learns from.</summary>
    public double UpdateSeconds { get; init; }

    /// <summary>Seconds that reading the base model takes.</summary>
    public double ReadSeconds { get; init; }

    /// <summary>On the disk at the most: both checkpoints, and the larger of them twice while it is replaced.</summary>
    public long DiskBytes => BestCheckpointBytes + LastCheckpointBytes + Math.Max(BestCheckpointBytes, LastCheckpointBytes);
}

/// <summary>
/// Trains a few steps of a recipe to learn what it costs, and keeps nothing: no folder is touched and the weights are thrown away.
/// Token ids are drawn at random, because time and memory depend on lengths alone.
/// Gradual unfreezing is measured as it is at its end, when a step costs the most.
/// </summary>
public static class DryRun
{
    /// <summary>
    /// Runs on the calling thread, for some seconds with a small model. Sets the generator of libtorch, so no run may train meanwhile.
    /// </summary>
    /// <param name="cancel">Asked before each batch.</param>
    /// <param name="progress">Told the share that is done, rising to 1.</param>
    /// <exception cref="TrainingException">The recipe is not valid or does not fit the model, or weights and gradients alone pass the memory limit.</exception>
    /// <exception cref="WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; nothing is left behind.</exception>
    public static DryRunResult Measure(DryRunJob job, CancellationToken cancel, Action<double>? progress = null)
    {
        if (job.Recipe.Validate() is { Count: > 0 } problems) throw new TrainingException($"The recipe is not valid. {string.Join(" ", problems)}");
        if (MixedPrecision.Problem(job.Recipe) is { } unsupported) throw new TrainingException(unsupported);
        if (job.TokenLengths.Count == 0) throw new TrainingException("There are no train rows to learn from.");
        if (job.Task == TextTask.SingleLabel && job.Labels < 2) throw new TrainingException("A classifier needs at least two labels.");
        try
        {
            using var bench = new Bench(job, cancel, progress);
            return bench.Measure();
        }
        finally { PeakMemory.Trim(); }
    }

    private sealed class Bench : IDisposable
    {
        private const int Repetitions = 5;

        /// <summary>Of a slow model each batch is measured fewer times.</summary>
        private const double SecondsForEachBatch = 2;

        private readonly RunRecipe recipe;
        private readonly DryRunJob job;
        private readonly CancellationToken cancel;
        private readonly Action<double>? progress;
        private readonly PeakMemory memory = new();
        private readonly Objective objective;
        private readonly List<(string Name, Parameter Parameter)> trained;
        private readonly RecipeOptimizer optimizer;
        private readonly int[] lengths, byLength;
        private readonly long featureBytes;
        private readonly double readSeconds;
        private (int[] Rows, TokenizedTexts Texts)? kept;

        public Bench(DryRunJob job, CancellationToken cancel, Action<double>? progress)
        {
            (this.job, recipe, this.cancel, this.progress) = (job, job.Recipe, cancel, progress);
            lengths = [.. job.TokenLengths.Select(n => Math.Clamp(n, 1, Objective.LongestRow(job.Task, recipe)))];
            byLength = [.. lengths.OrderDescending()];
            cancel.ThrowIfCancellationRequested();
            try
            {
                var start = Stopwatch.GetTimestamp();
                objective = Objective.For(job.Task, recipe, job.BaseFolder, [.. Enumerable.Range(0, job.Labels).Select(l => $"label {l}")]);
                readSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                trained = [.. objective.Trained];
                if (4 * (Weights + Trained) is var least && least > job.MemoryLimitBytes)
                    throw new TrainingException($"Weights and gradients alone take {Mebibytes(least)} of memory and only {Mebibytes(job.MemoryLimitBytes)} are free; train fewer layers or start from a smaller base model.");
                if (objective.IsBackboneFixed && Features() is var bytes && bytes <= FineTune.FeatureRoom(job.MemoryLimitBytes < long.MaxValue ? job.MemoryLimitBytes : FreeMemory.Bytes())) featureBytes = bytes;
                optimizer = RecipeOptimizer.For(trained, recipe);
                // The weights must stay what they are: those that run away make numbers so small, or so large, that they cost other times.
                optimizer.SetRate(0);
                objective.Prepare(objective.Random([.. Enumerable.Repeat(1, Math.Max(1, job.Labels))]));
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        private long Weights => objective.Model.parameters().Sum(p => p.numel());

        private long Trained => trained.Sum(p => p.Parameter.numel());

        private long OptimizerState => Enumerable.Range(0, optimizer.Parameters.Count).SelectMany(optimizer.StateOf).Sum(s => s.Tensor.numel());

        /// <summary>Bytes of the features of all train rows and as many validation rows as there are, of the same lengths. Windows repeat a quarter of the one before.</summary>
        private long Features()
        {
            var each = job.TokenLengths.Select(n => n <= recipe.MaxLength ? n : n + n / 3).ToList();
            return (long)(objective.FeatureBytes(each) * (1 + (double)job.ValidationRows / each.Count));
        }

        public DryRunResult Measure()
        {
            var plan = TrainingPlan.For(recipe, lengths.Length);
            var steps = TokenizedTexts.TrainBatches(lengths, TrainingPlan.RowsPerStep(recipe), recipe.Seed, epoch: 0)
                .Select(step => step.Chunk(recipe.BatchSize).Select(part => part.Select(row => lengths[row]).ToArray()).ToArray()).ToArray();
            // Whatever the epoch, no batch is longer than the one of the longest rows.
            var longest = byLength[..Math.Min(recipe.BatchSize, byLength.Length)];
            var usual = Middle(steps.SelectMany(s => s).Where(b => b.Length == longest.Length).DefaultIfEmpty(longest));

            var (tried, peak) = Grow(longest);
            progress?.Invoke(0.4);
            var update = new List<double>();
            var learning = new Cost(
                Repeat(longest, tried, rows => { var seconds = Learn(rows); update.Add(Update()); return seconds; }, 0.4, 0.6),
                Repeat(usual, tried, rows => { var seconds = Learn(rows); update.Add(Update()); return seconds; }, 0.6, 0.8));
            var seconds = steps.Select(s => s.Sum(learning.Of) + Median(update)).ToArray();
            var features = featureBytes == 0 ? 0 : FeatureSeconds(tried < longest.Length ? tried : TrainingLoop.EvaluationBatchSize);
            var evaluation = plan.EvaluationSteps.Count > 0 && job.ValidationRows > 0 ? Evaluation(tried < longest.Length ? tried : TrainingLoop.EvaluationBatchSize) : 0;
            progress?.Invoke(1);
            return new(Median(seconds), seconds.Max(), Math.Min(longest[0], recipe.MaxLength), evaluation, features + recipe.Epochs * seconds.Sum() + plan.EvaluationSteps.Count * evaluation,
                Math.Max(peak, memory.Rise()) + featureBytes, 4 * (Weights + (recipe.Method == TrainingMethod.Full ? 0 : Trained)), 4 * (Trained + OptimizerState), tried) { FeatureBytes = featureBytes, FeatureSeconds = features, UpdateSeconds = Median(update), ReadSeconds = readSeconds };
        }

        /// <summary>Rows of random tokens; where features are kept, with theirs.</summary>
        private TokenizedTexts Random(int[] rows)
        {
            if (featureBytes == 0) return objective.Random(rows);
            if (kept is { } last && last.Rows.SequenceEqual(rows)) return last.Texts;
            var texts = objective.Random(rows);
            Keep(texts);
            kept = (rows, texts);
            return texts;
        }

        private void Keep(TokenizedTexts texts)
        {
            objective.Model.eval();
            using var noGrad = no_grad();
            using var mixed = MixedPrecision.Begin(recipe.Precision);
            objective.KeepFeatures([texts], all => [all.AllRows]);
            memory.Rise();
        }

        /// <summary>Seconds for the features of all rows, from the longest and the middle batch.</summary>
        private double FeatureSeconds(int most)
        {
            double One(int[] rows)
            {
                cancel.ThrowIfCancellationRequested();
                var texts = objective.Random(rows);
                var start = Stopwatch.GetTimestamp();
                Keep(texts);
                return Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
            kept = null;
            var batches = byLength.Chunk(TrainingLoop.EvaluationBatchSize).ToArray();
            var cost = new Cost(Repeat(batches[0], most, One, 0.8, 0.8), Repeat(Middle(batches), most, One, 0.8, 0.8));
            return batches.Sum(cost.Of) * (1 + (double)job.ValidationRows / lengths.Length);
        }

        /// <summary>
        /// Warms up with the longest batch, 1 row of it at first and then twice as many each time, and stops where what the
        /// whole batch would take, in a straight line from the last two, passes the limit: better a prediction than a server that dies.
        /// </summary>
        /// <returns>Rows tried, and bytes that the whole batch takes.</returns>
        private (int Rows, long Peak) Grow(int[] longest)
        {
            var (before, peak) = (0L, 0L);
            for (var (rows, last) = (1, 0); ; (last, rows) = (rows, Math.Min(2 * rows, longest.Length)))
            {
                Learn(longest[..rows]);
                Update();
                (before, peak) = (peak, memory.Rise());
                progress?.Invoke(0.4 * rows / longest.Length);
                var whole = last == 0 ? peak : peak + (long)((peak - before) / (double)(rows - last) * (longest.Length - rows));
                if (rows == longest.Length || whole > job.MemoryLimitBytes) return (rows, whole);
            }
        }

        /// <summary>Forward, loss and backward of one batch: seconds.</summary>
        private double Learn(int[] rows)
        {
            cancel.ThrowIfCancellationRequested();
            var texts = Random(rows);
            objective.TrainMode();
            var start = Stopwatch.GetTimestamp();
            using (NewDisposeScope())
            {
                Tensor loss;
                using (MixedPrecision.Begin(recipe.Precision)) loss = objective.Loss(texts, [.. Enumerable.Range(0, rows.Length)]);
                objective.Backward(loss);
                loss.item<float>();
                memory.Rise();
            }
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        /// <summary>Clips and moves the weights, by nothing: seconds.</summary>
        private double Update()
        {
            cancel.ThrowIfCancellationRequested();
            var start = Stopwatch.GetTimestamp();
            using (NewDisposeScope())
            {
                nn.utils.clip_grad_norm_(trained.Select(p => p.Parameter), recipe.GradientClipping > 0 ? recipe.GradientClipping : 1e30);
                optimizer.Step();
                objective.ZeroGrad();
                memory.Rise();
            }
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        /// <summary>Seconds of one evaluation, from its longest and its middle batch.</summary>
        private double Evaluation(int most)
        {
            var sample = (int[])lengths.Clone();
            new Random(recipe.Seed).Shuffle(sample);
            sample = sample[..Math.Min(job.ValidationRows, sample.Length)];
            var batches = sample.OrderDescending().Chunk(TrainingLoop.EvaluationBatchSize).ToArray();
            var longest = byLength[..Math.Min(TrainingLoop.EvaluationBatchSize, sample.Length)];
            var cost = new Cost(Repeat(longest, most, Score, 0.8, 0.9), Repeat(Middle(batches), most, Score, 0.9, 1));
            return batches.Sum(cost.Of) * (job.ValidationRows + sample.Length) / sample.Length;
        }

        /// <summary>Forward of one batch without gradients: seconds.</summary>
        private double Score(int[] rows)
        {
            cancel.ThrowIfCancellationRequested();
            var texts = Random(rows);
            objective.Model.eval();
            var start = Stopwatch.GetTimestamp();
            using (no_grad())
            using (MixedPrecision.Begin(recipe.Precision))
            using (NewDisposeScope())
            {
                objective.Measure(texts, [[.. Enumerable.Range(0, rows.Length)]]);
                memory.Rise();
            }
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        private Measured Repeat(int[] rows, int most, Func<int[], double> one, double from, double to)
        {
            var (part, seconds) = (rows[..Math.Min(most, rows.Length)], new List<double>());
            do
            {
                seconds.Add(one(part));
                progress?.Invoke(from + (to - from) * seconds.Count / Repetitions);
            }
            while (seconds.Count < Repetitions && seconds.Sum() < SecondsForEachBatch);
            return new(part[0], part.Length, Median(seconds));
        }

        /// <summary>Also of a bench that failed halfway through its making.</summary>
        public void Dispose()
        {
            optimizer?.Dispose();
            objective?.Dispose();
        }
    }

    private sealed record Measured(int Tokens, int Rows, double Seconds)
    {
        public double ForEachRow => Seconds / Rows;
    }

    /// <summary>The time of any batch, in a straight line over its padded length through two that were measured.</summary>
    private sealed record Cost(Measured Longest, Measured Usual)
    {
        /// <param name="batch">Tokens of each row.</param>
        public double Of(int[] batch)
        {
            var tokens = batch.Max();
            var inProportion = Usual.ForEachRow * tokens / Usual.Tokens;
            if (Longest.Tokens == Usual.Tokens) return batch.Length * inProportion;
            var onTheLine = Usual.ForEachRow + (Longest.ForEachRow - Usual.ForEachRow) * (tokens - Usual.Tokens) / (Longest.Tokens - Usual.Tokens);
            return batch.Length * (tokens < Usual.Tokens ? Math.Max(onTheLine, inProportion) : Math.Max(onTheLine, 0));
        }
    }

    /// <summary>The batch of the middle padded length, its longest row first.</summary>
    private static int[] Middle(IEnumerable<int[]> batches)
    {
        var sorted = batches.OrderBy(b => b.Max()).ToArray();
        return [.. sorted[sorted.Length / 2].OrderDescending()];
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }

    private static string Mebibytes(long bytes) => FormattableString.Invariant($"{bytes / 1048576.0:N0} MiB");
}
