using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>What a backbone is worth to a new head, compared with the same backbone drawn anew.</summary>
/// <param name="Loss">On the validation rows, with the weights as they were loaded.</param>
/// <param name="ReinitialisedLoss">The same with weights that know nothing.</param>
/// <param name="TrainRows">Rows that the head learned from; 0 where there is no head.</param>
/// <param name="ValidationRows">Rows of both losses.</param>
public sealed record ProbeResult(double Loss, double ReinitialisedLoss, int TrainRows, int ValidationRows)
{
    /// <summary>How far the loss falls through the loaded weights, in proportion: 0.2 is a fifth lower, below 0 is higher.</summary>
    public double Gain => 1 - Loss / ReinitialisedLoss;
}

/// <summary>
/// Whether weights that are said to be pretrained know anything: a linear head learns one epoch on the frozen backbone, and again, from the same start and in the
/// same order, on that backbone drawn anew from normal(0, initializer_range) with zero biases and norms of 1. Weights that were mapped to wrong places fit by
/// name and shape, and do no better than the drawn ones.
/// <para>
/// The head is a linear probe (Alain and Bengio 2016, arXiv:1610.01644) on the last block's output averaged over a text's tokens, or on each token where the task labels
/// words. The fine-tuned model's own head may read the first token through a pooler, which is new in a model that only learned to fill in words, so that it tells little of the backbone.
/// Features are centred and scaled over the train rows, as linear probing does with a normalisation that is not trained before the head (He et al. 2021, arXiv:2111.06377), and
/// divided by the root of their number, so that vectors are of length 1 in the mean whatever the model's scale and width. Adam from zero then moves an output by at most 0.08 in a
/// step: an epoch is short on purpose. With much more learning random features, which keep apart the words of a text, catch up with what a model knows.
/// </para>
/// <para>A language model has no new head: its loss on the answers before any training is compared with that of the same model drawn anew.</para>
/// </summary>
public static class BackboneProbe
{
    /// <summary>A gain from which weights count as knowing something. Shuffled and random weights gained nothing in all that was measured (docs/LOG.md).</summary>
    public const double LeastGain = 0.05;

    /// <summary>Rows of each part at most, so that it costs about as much as one evaluation on a thousand rows.</summary>
    public const int MostRows = 500;

    /// <summary>Train rows of each label where there are so many labels that <see cref="MostRows"/> would be fewer: of 77 labels a head learns little from 500 rows on any backbone (docs/LOG.md).</summary>
    public const int RowsOfLabel = 30;

    /// <summary>The same where each word of a row counts.</summary>
    public const int MostRowsOfWords = 200;

    private const double MostMove = 0.08;

    private const int Steps = 64;

    /// <summary>Few rows in smaller batches, so that an epoch always has about as many steps; rows of more labels in more steps.</summary>
    internal static int BatchSize(int rows) => Math.Clamp(rows / Steps, 1, MostRows / Steps);

    /// <summary>Adam moves a weight by its rate at most, and so the output for a vector of length 1 by the rate times the root of its dimensions.</summary>
    internal static double LearningRate(int hidden) => MostMove / Math.Sqrt(hidden);

    private const int RowsTogether = 32;

    /// <summary>Why a task has no probe; null where it has one.</summary>
    public static string? WhyNot(TextTask task) => task switch
    {
        TextTask.QuestionAnswering => "where an answer begins and ends cannot be read off frozen features by a linear head, so its loss would say little of the backbone",
        TextTask.Regression => "a linear head’s loss on numbers differs as much between two draws of random weights as between random and pretrained ones",
        _ => null,
    };

    /// <summary>
    /// Runs on the calling thread and draws from libtorch's generator, so no run may train meanwhile. The same job gives the same result. Needs the memory of the model
    /// and, for a short time, of the features of the rows.
    /// </summary>
    /// <param name="job">Of its recipe only seed, max length, precision and prompt format are read. Where there are more rows than <see cref="MostRows"/>, or <see cref="RowsOfLabel"/>, the seed chooses.</param>
    /// <param name="stop">Asked before each batch; whatever a person asks for ends the probe.</param>
    /// <returns>Null where a person ended it.</returns>
    /// <exception cref="TrainingException">It cannot be measured; the sentence says why.</exception>
    /// <exception cref="Weights.WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="Text.TokenizerFileException">The base model's tokenizer is missing or broken.</exception>
    /// <exception cref="OperationCanceledException">The process is going down.</exception>
    public static ProbeResult? Measure(FineTuneJob job, Func<StopRequest> stop, CancellationToken cancel)
    {
        if (WhyNot(job.Task) is { } why) throw new TrainingException($"There is no probe for this task: {why}.");
        if (job.Train.Count == 0 || job.Validation.Count == 0) throw new TrainingException("A probe needs train rows and validation rows.");
        var (seed, most) = (job.Recipe.Seed, job.Task == TextTask.TokenClassification ? MostRowsOfWords : MostRows);
        var recipe = new RunRecipe { Seed = seed, MaxLength = job.Recipe.MaxLength, Precision = job.Recipe.Precision, PromptFormat = job.Recipe.PromptFormat, Dropout = 0 };
        var mostTrained = job.Task == TextTask.SingleLabel ? Math.Max(most, RowsOfLabel * job.Labels.Count) : most;
        using var objective = Objective.For(job.Task, recipe, job.BaseFolder, job.Labels);
        var (train, validation) = (objective.Tokenize(Sample(job.Train, mostTrained, seed), cancel), objective.Tokenize(Sample(job.Validation, most, seed), cancel));
        if (objective.FeatureBytes(train.Stretches.Lengths.Concat(validation.Stretches.Lengths)) is var bytes && bytes > FineTune.FeatureRoom(FreeMemory.Bytes()))
            throw new TrainingException($"The features of the rows would take {bytes >> 20} MiB of memory, which is more than half of what is free.");
        objective.Prepare(train);
        objective.Model.eval();
        try
        {
            var loaded = objective.ProbeLoss(train, validation, Watched);
            Reinitialise(objective.Model, ConfigJson.Read(job.BaseFolder).Number("initializer_range", 0.02), seed);
            var drawn = objective.ProbeLoss(train, validation, Watched);
            return double.IsFinite(loaded) && double.IsFinite(drawn) && drawn > 0 ? new(loaded, drawn, job.Task == TextTask.Generation ? 0 : train.Count, validation.Count)
                : throw new TrainingException("The losses of the probe are not finite numbers above 0.");
        }
        catch (AskedToEnd) { return null; }

        IEnumerable<int[]> Watched(TokenizedTexts texts)
        {
            foreach (var rows in texts.BatchesByLength(RowsTogether))
            {
                cancel.ThrowIfCancellationRequested();
                if (stop() != StopRequest.None) throw new AskedToEnd();
                yield return rows;
            }
        }
    }

    private static IReadOnlyList<TrainingExample> Sample(IReadOnlyList<TrainingExample> rows, int most, int seed)
    {
        if (rows.Count <= most) return rows;
        var chosen = Enumerable.Range(0, rows.Count).ToArray();
        new Random(seed).Shuffle(chosen);
        return [.. chosen.Take(most).Order().Select(row => rows[row])];
    }

    /// <summary>Draws a model's weights anew. Tables that no training changes, such as positions that are sines, are no knowledge and stay.</summary>
    private static void Reinitialise(nn.Module model, double range, int seed)
    {
        manual_seed(seed);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, parameter) in model.named_parameters().Where(p => p.parameter.requires_grad))
            if (name.EndsWith(".bias")) parameter.zero_();
            else if (parameter.dim() == 1) parameter.fill_(1);
            else nn.init.normal_(parameter, 0, range);
    }

    private sealed class AskedToEnd : Exception;
}
