using System.Diagnostics;
using System.Globalization;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>What a loop works on.</summary>
/// <param name="Recipe">Valid.</param>
/// <param name="Plan">The steps of the recipe on the train texts.</param>
/// <param name="OutputFolder">Gets best, a complete Hugging Face folder, and last, from which the run can go on.</param>
/// <param name="BaseFolder">Where the objective's model comes from: a checkpoint that began with other weights is refused.</param>
/// <param name="Objective">Whoever made it frees it, after the loop.</param>
/// <param name="Texts">Train and validation texts as the objective reads them, with what it says of them in the log; called once.</param>
/// <param name="DataSha256">Of the texts and what they teach: a checkpoint of other data is refused.</param>
/// <param name="MostFeatureBytes">As in <see cref="FineTuneJob"/>, as is <paramref name="Saves"/>.</param>
internal sealed record LoopWork(RunRecipe Recipe, TrainingPlan Plan, string OutputFolder, string BaseFolder, Objective Objective,
    Func<(TokenizedTexts Train, TokenizedTexts Validation)> Texts, string DataSha256, long? MostFeatureBytes = null, bool Saves = true)
{
    /// <summary>Of all settings: a checkpoint of others is refused.</summary>
    public string RecipeSha256 { get; init; } = Recipe.Sha256();

    /// <summary>Train rows that an evaluation measures at most, beside all validation rows; never more than those.</summary>
    public int MostSampled { get; init; } = int.MaxValue;

    /// <summary>Whether the model is evaluated before the first step too, as step 0: what it learns is told from there. It is never the best.</summary>
    public bool MeasuresStart { get; init; }
}

/// <summary>The training loop: steps, evaluations and checkpoints. Where its texts come from is said by <see cref="FineTune"/> and <see cref="Pretrain"/>, what is learned by <see cref="Training.Objective"/>.</summary>
internal sealed class TrainingLoop : IDisposable
{
    internal const int EvaluationBatchSize = 64;

    private readonly LoopWork work;
    private readonly RunRecipe recipe;
    private readonly Action<TrainingEvent> report;
    private readonly Func<StopRequest> stop;
    private readonly CancellationToken cancel;
    private readonly TrainingPlan plan;
    private readonly Objective objective;
    private readonly RecipeOptimizer optimizer;
    private readonly TokenizedTexts train;
    private readonly TokenizedTexts validation;
    private readonly int[] trainSample;
    private RunState state;
    private readonly Pace pace = new();

    public TrainingLoop(LoopWork work, Action<TrainingEvent> report, Func<StopRequest> stop, CancellationToken cancel)
    {
        (this.work, recipe, plan, this.report, this.stop, this.cancel) = (work, work.Recipe, work.Plan, report, stop, cancel);
        try
        {
            objective = work.Objective;
            objective.Say = line => report(new LogLine(line));
            optimizer = RecipeOptimizer.For(objective.Trained, recipe);
            report(new WeightsLoaded(objective.Weights, optimizer.Parameters.Sum(p => p.Parameter.numel()), objective.TotalParameters));
            // Rounded down, so that not all of it is said where a part is new.
            report(new LogLine($"{Math.Floor(100 * objective.Weights.BackboneShare)} % of the backbone came from the file; {objective.HeadSaid}"));
            if (objective.MethodSaid is { } method) report(new LogLine(method));
            if (recipe.Precision == Precision.Bf16) report(new LogLine("Matrix products run in bfloat16; weights, losses, gradients and the optimizer stay float32."));

            (train, validation) = work.Texts();
            objective.Prepare(train);
            var rows = Enumerable.Range(0, train.Count).ToArray();
            new Random(recipe.Seed).Shuffle(rows);
            trainSample = rows[..Math.Min(work.MostSampled, Math.Min(validation.Count, train.Count))];
            state = new(0, 0, null, 0, null, null, work.RecipeSha256, work.DataSha256, Precision: recipe.Precision, BaseSha256: work.Saves ? ModelWeights.Sha256(work.BaseFolder) : null);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private string Last => Path.Combine(work.OutputFolder, "last");

    private string Best => Path.Combine(work.OutputFolder, "best");

    public FineTuneResult Run(bool resume)
    {
        if (resume && work.Saves && Checkpoint.Exists(Last))
        {
            state = Checkpoint.Load(Last, optimizer, state);
            report(new LogLine($"Going on after step {state.Step} of {plan.TotalSteps}."));
        }
        else if (work.Saves)
            foreach (var folder in new[] { Last, Best }.Where(Directory.Exists)) Directory.Delete(folder, recursive: true);
        // A run that had ended with early stopping before it was interrupted has nothing left to do.
        if (Impatient) return End(FineTuneOutcome.StoppedEarly);
        switch (KeepFeatures())
        {
            case StopRequest.Stop: return Stopped();
            case StopRequest.Cancel: return End(FineTuneOutcome.Cancelled);
        }

        if (work.MeasuresStart && state.Step == 0 && plan.EvaluationSteps.Count > 0 && !MeasureStart()) return End(FineTuneOutcome.Cancelled);
        var evaluations = plan.EvaluationSteps.ToHashSet();
        IReadOnlyList<int[]> batches = [];
        var epoch = -1;
        pace.Start();
        while (state.Step < plan.TotalSteps)
        {
            switch (cancel.IsCancellationRequested ? StopRequest.Cancel : stop())
            {
                case StopRequest.Stop: return Stopped();
                case StopRequest.Cancel:
                    if (!cancel.IsCancellationRequested) return End(FineTuneOutcome.Cancelled);
                    if (state.Step > 0) SaveLast();
                    throw new OperationCanceledException(cancel);
            }
            if (state.Step / plan.StepsPerEpoch != epoch)
            {
                batches = train.TrainBatches(TrainingPlan.RowsPerStep(recipe), recipe.Seed, epoch = state.Step / plan.StepsPerEpoch);
                objective.Epoch = epoch;
                Unfreeze(epoch);
            }
            Step(batches[state.Step % plan.StepsPerEpoch]);
            if (evaluations.Contains(state.Step))
            {
                if (!Evaluate()) return End(FineTuneOutcome.Cancelled);
            }
            else if (pace.CheckpointIsDue) SaveLast();
            if (Impatient && state.Step < plan.TotalSteps) return End(FineTuneOutcome.StoppedEarly);
        }
        return End(FineTuneOutcome.Finished);
    }

    /// <summary>
    /// Where nothing below the head trains, computes what it makes of each row once, if that fits into memory. A run that goes on does as
    /// it did before, so that its losses are the same to the bit.
    /// </summary>
    /// <returns>What a person asked for meanwhile. Then no features are kept, not even those computed so far, and no step may follow.</returns>
    private StopRequest KeepFeatures()
    {
        if (!objective.IsBackboneFixed) return StopRequest.None;
        var bytes = objective.FeatureBytes(train.Stretches.Lengths.Concat(validation.Stretches.Lengths));
        var (most, asBefore) = (work.MostFeatureBytes ?? FineTune.FeatureRoom(FreeMemory.Bytes()), state.KeepsFeatures == false);
        if (bytes > most || asBefore)
        {
            state = state with { KeepsFeatures = false };
            report(new LogLine("Only the head trains, but what lies below it is computed anew at every step"
                + (asBefore ? ", as before the interruption." : Text($": the features of all rows would take {bytes / 1048576.0:0.0} MiB of memory, and {most / 1048576.0:0.0} MiB are set aside for them."))));
            return StopRequest.None;
        }
        state = state with { KeepsFeatures = true };
        report(new LogLine("Only the head trains, so what lies below it is computed once for each row, without dropout, and kept."));
        var start = Stopwatch.GetTimestamp();
        objective.Model.eval();
        using var noGrad = no_grad();
        using var mixed = MixedPrecision.Begin(recipe.Precision);
        while (true)
        {
            try
            {
                objective.KeepFeatures([train, validation], texts => Watched(texts.BatchesByLength(EvaluationRows), endsWithStop: true));
                break;
            }
            catch (AskedToEnd asked) { return asked.What; }
            catch (Exception refused) when (OutOfMemory.Refused(refused)) { HalveEvaluation(refused); }
        }
        report(new LogLine(Text($"Computed the features of {train.Count} train and {validation.Count} validation rows once in {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s; they take {bytes / 1048576.0:0.0} MiB of memory. From here on a step computes the head alone.")));
        return StopRequest.None;
    }

    /// <summary>Gradual unfreezing: the head alone at first, then one more block every so many epochs, and after the blocks the embeddings.</summary>
    private void Unfreeze(int epoch)
    {
        if (recipe.UnfreezeEpochs == 0 || recipe.TrainableLayers == TrainableLayers.HeadOnly) return;
        var last = TrainingPlan.PartsToUnfreeze(recipe, objective.Layers);
        var parts = Math.Min(last, epoch / recipe.UnfreezeEpochs);
        objective.TrainOnlyHeadAnd(Math.Min(parts, objective.Layers));
        if (parts > objective.Layers) foreach (var (_, parameter) in optimizer.Parameters) parameter.requires_grad_(true);
        if (epoch % recipe.UnfreezeEpochs != 0 || epoch / recipe.UnfreezeEpochs > last) return;
        var count = optimizer.Parameters.Where(p => p.Parameter.requires_grad).Sum(p => p.Parameter.numel());
        report(new LogLine(Text($"From epoch {epoch + 1} on {(parts == 0 ? "only the head trains" : parts > objective.Layers ? "all blocks and the embeddings train" : $"the head and the last {(parts == 1 ? "block train" : $"{parts} blocks train")}")}: {count} parameters.")));
    }

    private bool Impatient => recipe.EarlyStoppingPatience > 0 && state.EvaluationsWithoutImprovement >= recipe.EarlyStoppingPatience;

    /// <summary>One step: forward, loss and backward for each of its batches, then clip and update. Every tensor it makes is freed at its end.</summary>
    private void Step(int[] rows)
    {
        using var scope = NewDisposeScope();
        objective.TrainMode();
        // Dropout's noise follows from seed and step alone, so a resumed run repeats it.
        manual_seed(unchecked(recipe.Seed * 1_000_003L + state.Step));
        var rate = recipe.LearningRate * plan.Factor(recipe.Schedule, state.Step);
        optimizer.SetRate(rate);

        double? taken = null;
        while (taken is null)
        {
            try { taken = Backward(rows); }
            catch (Exception refused) when (OutOfMemory.Refused(refused))
            {
                HalveBatch(refused);
                manual_seed(unchecked(recipe.Seed * 1_000_003L + state.Step));
            }
        }
        var value = taken.Value;
        // A bound that no finite norm reaches leaves the gradients as they are and still measures them.
        var norm = nn.utils.clip_grad_norm_(optimizer.Parameters.Select(p => p.Parameter), recipe.GradientClipping > 0 ? recipe.GradientClipping : 1e30);
        StopIfDiverged(value, norm);
        optimizer.Step();
        objective.ZeroGrad();

        state = state with { Step = state.Step + 1 };
        pace.Stepped(rows.Length);
        report(new StepDone(state.Step, plan.TotalSteps, Epoch, value, rate, norm, pace.ExamplesPerSecond, pace.MemoryBytes,
            pace.SecondsLeft(plan.TotalSteps - state.Step, plan.EvaluationSteps.Count(s => s >= state.Step))));
    }

    /// <summary>
    /// Adds up the gradients of the step's batches and returns the mean loss over its rows. Each batch counts by its share
    /// of the rows' weight, so that the sum is the gradient of one big batch.
    /// </summary>
    private double Backward(int[] rows)
    {
        var value = 0.0;
        // What the objective draws for a row it would draw twice, so the weight is asked for only where it counts.
        var all = rows.Length > BatchSize ? objective.WeightOf(train, rows) : 0;
        foreach (var part in rows.Chunk(BatchSize))
        {
            using var scope = NewDisposeScope();
            Tensor loss;
            using (MixedPrecision.Begin(recipe.Precision)) loss = objective.Loss(train, part);
            if (part.Length < rows.Length) loss = loss * (objective.WeightOf(train, part) / all);
            objective.Backward(loss);
            value += loss.item<float>();
        }
        return value;
    }

    /// <summary>Rows of a batch: the recipe's, or fewer since memory ran out.</summary>
    private int BatchSize => state.BatchSize ?? recipe.BatchSize;

    private int EvaluationRows => state.EvaluationRows ?? EvaluationBatchSize;

    /// <summary>
    /// Takes a step's rows in batches of half the size from now on, which is the same gradient but for rounding. It is put on disk
    /// at once, because a run that goes on must take the same batches to come to the same losses.
    /// </summary>
    private void HalveBatch(Exception refused)
    {
        objective.ZeroGrad();
        var before = BatchSize;
        if (before == 1) throw OutOfMemory.Explain(refused, "a batch of 1 row", recipe.MaxLength, Kept, keepsBlocks: recipe.ActivationCheckpointing == ActivationCheckpointing.Off && objective.TrainsBlocks);
        state = state with { BatchSize = before / 2 };
        PeakMemory.Trim();
        report(new LogLine($"There was not enough memory for a batch of {before} rows of up to {recipe.MaxLength} tokens; from step {state.Step + 1} on the rows of a step are taken in batches of {before / 2}."));
        if (state.Step > 0) SaveLast();
    }

    private void HalveEvaluation(Exception refused)
    {
        var before = EvaluationRows;
        if (before == 1) throw OutOfMemory.Explain(refused, "an evaluation of 1 row at a time", recipe.MaxLength, Kept);
        state = state with { EvaluationRows = before / 2 };
        PeakMemory.Trim();
        report(new LogLine($"There was not enough memory to evaluate {before} rows of up to {recipe.MaxLength} tokens at a time; from now on it is {before / 2}."));
    }

    private string Kept => work.Saves && Checkpoint.Exists(Last) ? "The last good checkpoint is kept." : "Nothing was saved yet.";

    private double Epoch => (double)state.Step / plan.StepsPerEpoch;

    /// <summary>Throws before the weights are touched, so what is on disk and in memory is still the last good state.</summary>
    private void StopIfDiverged(double loss, double norm)
    {
        var first = state.FirstLoss ?? loss;
        var smoothed = 0.95 * (state.SmoothedLoss ?? loss) + 0.05 * loss;
        if (!double.IsFinite(loss) || !double.IsFinite(norm))
            throw new TrainingException(Text($"The run diverged at step {state.Step + 1}: the {(double.IsFinite(loss) ? "gradient" : "training loss")} is no longer a finite number. {Kept} Try a learning rate below {recipe.LearningRate:0.######e-0}, a longer warm-up, or gradient clipping at 1."));
        if (smoothed > 4 * Math.Max(first, objective.LossOfGuessing) + 4)
            throw new TrainingException(Text($"The run diverged by step {state.Step + 1}: the training loss rose from {first:0.00} to about {smoothed:0.00}. {Kept} Try a learning rate below {recipe.LearningRate:0.######e-0}, a longer warm-up, or gradient clipping at 1."));
        state = state with { FirstLoss = first, SmoothedLoss = smoothed };
    }

    /// <summary>Evaluates and saves; false where a person cancelled meanwhile, and then nothing is changed.</summary>
    private bool Evaluate()
    {
        var start = Stopwatch.GetTimestamp();
        if (Measure(validation, null) is not { } onValidation || Measure(train, trainSample) is not { } onSample) return false;
        var (validationLoss, metric) = (onValidation.Loss, onValidation[recipe.Metric]);
        if (!double.IsFinite(validationLoss))
            throw new TrainingException($"The run diverged by step {state.Step}: the validation loss is no longer a finite number. Try a lower learning rate.");
        state = state.Evaluated(recipe.Metric, metric, validationLoss);
        var better = state.BestStep == state.Step;
        pace.Evaluated(Stopwatch.GetElapsedTime(start).TotalSeconds);
        report(new EvaluationDone(state.Step, Epoch, validationLoss, onValidation.Scores, onSample.Loss, onSample[recipe.Metric], better));
        if (better) SaveBest();
        SaveLast();
        foreach (var line in objective.Samples(validation, cancel)) report(new LogLine(line));
        return true;
    }

    /// <summary>False where a person cancelled meanwhile.</summary>
    private bool MeasureStart()
    {
        var start = Stopwatch.GetTimestamp();
        if (Measure(validation, null) is not { } onValidation || Measure(train, trainSample) is not { } onSample) return false;
        pace.Evaluated(Stopwatch.GetElapsedTime(start).TotalSeconds);
        report(new EvaluationDone(0, 0, onValidation.Loss, onValidation.Scores, onSample.Loss, onSample[recipe.Metric], IsBest: false));
        return true;
    }

    /// <summary>The given rows, or all, without dropout and without gradients; null where a person cancelled.</summary>
    private Evaluation? Measure(TokenizedTexts texts, int[]? rows)
    {
        objective.Model.eval();
        using var noGrad = no_grad();
        using var mixed = MixedPrecision.Begin(recipe.Precision);
        while (true)
        {
            try { return objective.Measure(texts, Watched(texts.BatchesByLength(EvaluationRows, rows))); }
            catch (AskedToEnd) { return null; }
            catch (Exception refused) when (OutOfMemory.Refused(refused)) { HalveEvaluation(refused); }
        }
    }

    /// <param name="endsWithStop">Whether a stop ends it too; an evaluation is what a stop waits for.</param>
    private IEnumerable<int[]> Watched(IEnumerable<int[]> batches, bool endsWithStop = false)
    {
        foreach (var batch in batches)
        {
            cancel.ThrowIfCancellationRequested();
            var asked = stop();
            if (asked == StopRequest.Cancel || endsWithStop && asked == StopRequest.Stop) throw new AskedToEnd(asked);
            yield return batch;
        }
    }

    private sealed class AskedToEnd(StopRequest what) : Exception
    {
        public StopRequest What => what;
    }

    private void SaveBest()
    {
        if (!work.Saves) return;
        objective.Save(Best);
        report(new CheckpointSaved(state.Step, Best, Best: true));
    }

    private void SaveLast()
    {
        if (!work.Saves) return;
        var start = Stopwatch.GetTimestamp();
        Checkpoint.Save(Last, optimizer, state);
        pace.Saved(Stopwatch.GetElapsedTime(start).TotalSeconds);
        report(new CheckpointSaved(state.Step, Last, Best: false));
    }

    /// <summary>Ends as a person asked, after an evaluation of what was learned since the last one.</summary>
    private FineTuneResult Stopped()
    {
        var isDue = state.Step > 0 && plan.EvaluationSteps.Count > 0 && !plan.EvaluationSteps.Contains(state.Step);
        return End(isDue && !Evaluate() ? FineTuneOutcome.Cancelled : FineTuneOutcome.StoppedByPerson);
    }

    private FineTuneResult End(FineTuneOutcome outcome)
    {
        if (outcome != FineTuneOutcome.Cancelled && state.Step > 0)
        {
            if (plan.EvaluationSteps.Count == 0)
            {
                state = state with { BestStep = state.Step };
                SaveBest();
            }
            SaveLast();
        }
        return new(outcome, state.BestStep, state.BestMetric ?? double.NaN, state.Step, work.Saves && Directory.Exists(Best) ? Best : null);
    }

    /// <summary>Also of a loop that failed halfway through its making.</summary>
    public void Dispose() => optimizer?.Dispose();

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>How fast the run goes, and when a checkpoint is due.</summary>
    private sealed class Pace
    {
        /// <summary>Between checkpoints where no evaluation comes first; longer where saving itself is slow.</summary>
        private const double SecondsBetweenCheckpoints = 30;

        private long mark, saved;
        private double evaluation, saving, secondsPerStep;
        private int steps;

        public double ExamplesPerSecond { get; private set; }

        /// <summary>Resident memory of the process; read from the system every tenth step.</summary>
        public long MemoryBytes { get; private set; }

        public bool CheckpointIsDue => Stopwatch.GetElapsedTime(saved).TotalSeconds > Math.Max(SecondsBetweenCheckpoints, 10 * saving);

        public void Start() => mark = saved = Stopwatch.GetTimestamp();

        public void Stepped(int examples)
        {
            var now = Stopwatch.GetTimestamp();
            var seconds = Stopwatch.GetElapsedTime(mark, now).TotalSeconds;
            secondsPerStep = steps == 0 ? seconds : 0.95 * secondsPerStep + 0.05 * seconds;
            ExamplesPerSecond = steps == 0 ? examples / seconds : 0.95 * ExamplesPerSecond + 0.05 * examples / seconds;
            if (steps++ % 10 == 0) MemoryBytes = Environment.WorkingSet;
            mark = now;
        }

        public void Evaluated(double seconds) => (evaluation, mark) = (seconds, Stopwatch.GetTimestamp());

        public void Saved(double seconds) => (saving, saved, mark) = (seconds, Stopwatch.GetTimestamp(), Stopwatch.GetTimestamp());

        public double SecondsLeft(int stepsLeft, int evaluationsLeft) => stepsLeft * secondsPerStep + evaluationsLeft * evaluation;
    }
}
