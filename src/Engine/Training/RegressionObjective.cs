using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// A number for each text, or for each pair of texts. The head learns the values in standard deviations from the train rows' mean,
/// so that a learning rate means the same whatever the unit, and losses are in units of their variance: 1 is as good as always
/// saying the mean. What is saved gives values in the data's own unit, as transformers' problem_type "regression" does.
/// </summary>
internal sealed class RegressionObjective(RunRecipe recipe, string baseFolder) : EncoderObjective<ValuedTexts>(recipe, baseFolder, [OnlyOutput])
{
    /// <summary>What transformers calls the one output.</summary>
    private const string OnlyOutput = "LABEL_0";

    private double mean, deviation = 1;

    public override double LossOfGuessing => 1;

    public override string HeadSaid => NewHead ? $"the head for the number starts at random with seed {Recipe.Seed}." : "the head was kept, because the base model answers a number already.";

    protected override string ProblemType => "regression";

    public static new void Check(FineTuneJob job)
    {
        if (job.Train.Concat(job.Validation).Cast<ScoredText>().FirstOrDefault(r => !double.IsFinite(r.Value)) is { } stray)
            throw new TrainingException($"Row {stray.RowId} has a value that is not a finite number.");
        var first = ((ScoredText)job.Train[0]).Value;
        if (job.Train.All(r => ((ScoredText)r).Value == first)) throw new TrainingException(FormattableString.Invariant($"All train rows have the value {first}; there is no difference to learn."));
    }

    protected override ValuedTexts Texts(IReadOnlyList<TrainingExample> rows, Tokenizer tokenizer, CancellationToken cancel)
    {
        var (ids, types) = TextPair.Encode(tokenizer, [.. rows.Select(r => r.Text)], Recipe.MaxLength, cancel);
        return new(ids, types, [.. rows.Select(r => ((ScoredText)r).Value)], tokenizer.PadId);
    }

    protected override ValuedTexts Texts(int[][] ids, int padId) => new(ids, null, [.. ids.Select((_, i) => (double)(i % 2))], padId);

    protected override void Prepare(ValuedTexts train)
    {
        mean = train.Values.Average();
        deviation = Math.Sqrt(train.Values.Average(v => (v - mean) * (v - mean)));
        if (!(deviation > 0)) deviation = 1;
        if (NewHead) return;
        using var noGrad = no_grad();
        Classifier.Classifier.weight!.div_(deviation);
        Classifier.Classifier.bias!.sub_(mean).div_(deviation);
    }

    protected override Tensor Loss(ValuedTexts texts, int[] rows)
    {
        var (said, wanted) = (Scaled(texts, rows), Wanted(texts, rows));
        return Recipe.RegressionLoss == RegressionLoss.Huber ? Huber(said, wanted) : F.mse_loss(said, wanted);
    }

    /// <summary>Half the squared error up to <paramref name="delta"/> and delta * (|error| - delta / 2) beyond it (Huber 1964), averaged.</summary>
    internal static Tensor Huber(Tensor said, Tensor wanted, double delta = 1) => F.smooth_l1_loss(said, wanted, beta: delta) * delta;

    protected override Evaluation Measure(ValuedTexts texts, IEnumerable<int[]> batches)
    {
        var (loss, truth, predictions) = (0.0, new List<double>(), new List<double>());
        foreach (var rows in batches)
        {
            using var scope = NewDisposeScope();
            var said = Scaled(texts, rows);
            loss += F.mse_loss(said, Wanted(texts, rows)).item<float>() * (double)rows.Length;
            predictions.AddRange(said.data<float>().ToArray().Select(v => mean + deviation * v));
            truth.AddRange(rows.Select(row => texts.Values[row]));
        }
        // A model whose numbers overflowed has diverged; the loop says so by the loss.
        if (!predictions.All(double.IsFinite)) return new(double.NaN, new Dictionary<Metric, double> { [Metric.Pearson] = 0, [Metric.Spearman] = 0, [Metric.RSquared] = 0, [Metric.RootMeanSquaredError] = 0, [Metric.MeanAbsoluteError] = 0 });
        return new(loss / truth.Count, new Dictionary<Metric, double>
        {
            [Metric.Pearson] = Regression.Pearson(truth, predictions), [Metric.Spearman] = Regression.Spearman(truth, predictions), [Metric.RSquared] = Regression.RSquared(truth, predictions),
            [Metric.RootMeanSquaredError] = Regression.RootMeanSquaredError(truth, predictions), [Metric.MeanAbsoluteError] = Regression.MeanAbsoluteError(truth, predictions),
        });
    }

    /// <summary>The head takes on the data's unit for the time of writing, and gets its own numbers back bit by bit.</summary>
    public override void Save(string folder)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (weight, bias) = (Classifier.Classifier.weight!, Classifier.Classifier.bias!);
        var (ownWeight, ownBias) = (weight.clone(), bias.clone());
        try
        {
            weight.mul_(deviation);
            bias.mul_(deviation).add_(mean);
            base.Save(folder);
        }
        finally
        {
            weight.copy_(ownWeight);
            bias.copy_(ownBias);
        }
    }

    /// <summary>float32 [rows], in standard deviations from the mean.</summary>
    private Tensor Scaled(ValuedTexts texts, int[] rows) => Logits(texts, rows).squeeze(-1);

    private Tensor Wanted(ValuedTexts texts, int[] rows) => tensor(rows.Select(row => (float)((texts.Values[row] - mean) / deviation)).ToArray());
}

/// <summary>Texts with a number each.</summary>
internal sealed class ValuedTexts(int[][] ids, int[][]? types, IReadOnlyList<double> values, int padId) : TokenizedTexts(ids, padId, types)
{
    public IReadOnlyList<double> Values => values;
}
