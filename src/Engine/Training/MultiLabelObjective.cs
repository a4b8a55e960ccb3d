using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Training;

/// <summary>Any number of labels for each text: a sigmoid for each label, <see cref="MultiLabelLoss"/>, and a label said from a probability of 0.5 on.</summary>
internal sealed class MultiLabelObjective(RunRecipe recipe, string baseFolder, IReadOnlyList<string> labels) : EncoderObjective<MultiLabeledTexts>(recipe, baseFolder, labels)
{
    private MultiLabelLoss? lossOf;

    public override double LossOfGuessing => Math.Log(2);

    protected override string ProblemType => "multi_label_classification";

    public static new void Check(FineTuneJob job)
    {
        if (job.Labels.Count == 0) throw new TrainingException("The data has no label; a classifier needs at least one.");
        if (job.Labels.GroupBy(l => l).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new TrainingException($"The label \"{twice.Key}\" is listed twice.");
        foreach (var row in job.Train.Concat(job.Validation).Cast<MultiLabeledText>())
            foreach (var label in row.Labels.Where(l => l < 0 || l >= job.Labels.Count))
                throw new TrainingException($"Row {row.RowId} has label number {label}, but labels are numbered 0 to {job.Labels.Count - 1}.");
        if (job.Train.Cast<MultiLabeledText>().All(r => r.Labels.Count == 0)) throw new TrainingException("No train row has a label; a classifier needs rows with labels.");
    }

    protected override MultiLabeledTexts Texts(IReadOnlyList<TrainingExample> rows, Tokenizer tokenizer, CancellationToken cancel) =>
        new(tokenizer.EncodeIds([.. rows.Select(r => r.Text)], Recipe.MaxLength, cancel), [.. rows.Select(r => ((MultiLabeledText)r).Labels)], Labels.Count, tokenizer.PadId);

    protected override MultiLabeledTexts Texts(int[][] ids, int padId) => new(ids, [.. ids.Select((_, i) => new[] { i % Labels.Count })], Labels.Count, padId);

    protected override void Prepare(MultiLabeledTexts train) => lossOf = MultiLabelLoss.For(Recipe, train.Labels, Labels.Count);

    protected override Tensor Loss(MultiLabeledTexts texts, int[] rows) => lossOf!.Mean(Logits(texts, rows), texts.TargetsOf(rows));

    protected override Evaluation Measure(MultiLabeledTexts texts, IEnumerable<int[]> batches)
    {
        var (loss, truth, predictions) = (0.0, new List<IReadOnlyList<int>>(), new List<IReadOnlyList<int>>());
        foreach (var rows in batches)
        {
            using var scope = NewDisposeScope();
            var logits = Logits(texts, rows);
            loss += F.binary_cross_entropy_with_logits(logits, texts.TargetsOf(rows)).item<float>() * (double)rows.Length;
            var values = logits.data<float>().ToArray();
            for (var i = 0; i < rows.Length; i++)
            {
                truth.Add(texts.Labels[rows[i]]);
                // A logit of 0 is a probability of 0.5.
                predictions.Add(MultiLabelClassification.Above(values[(i * Labels.Count)..((i + 1) * Labels.Count)], 0));
            }
        }
        var report = MultiLabelClassification.Evaluate(truth, predictions, Labels.Count);
        return new(loss / truth.Count, new Dictionary<Metric, double> { [Metric.MicroF1] = report.MicroF1, [Metric.MacroF1] = report.MacroF1, [Metric.ExactMatch] = report.ExactMatch });
    }

    public override void Dispose()
    {
        lossOf?.Dispose();
        base.Dispose();
    }
}

/// <summary>Texts with any number of labels each.</summary>
/// <param name="labels">Indices of each text's labels.</param>
/// <param name="count">How many labels there are.</param>
internal sealed class MultiLabeledTexts(int[][] ids, IReadOnlyList<IReadOnlyList<int>> labels, int count, int padId) : TokenizedTexts(ids, padId)
{
    public IReadOnlyList<IReadOnlyList<int>> Labels => labels;

    /// <summary>float32 [rows, labels], 1 where a row has the label.</summary>
    public Tensor TargetsOf(int[] rows)
    {
        var targets = new float[rows.Length * count];
        for (var i = 0; i < rows.Length; i++) foreach (var label in labels[rows[i]]) targets[i * count + label] = 1;
        return tensor(targets, [rows.Length, count]);
    }
}
