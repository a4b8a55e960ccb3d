using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Training;

/// <summary>One label for each text: softmax over the labels and <see cref="TrainingLoss"/>.</summary>
internal sealed class SingleLabelObjective(RunRecipe recipe, string baseFolder, IReadOnlyList<string> labels) : EncoderObjective<LabeledTexts>(recipe, baseFolder, labels)
{
    private TrainingLoss? lossOf;

    public override double LossOfGuessing => Math.Log(Labels.Count);

    public static new void Check(FineTuneJob job)
    {
        if (job.Labels.Count < 2) throw new TrainingException($"The data has {(job.Labels.Count == 1 ? $"only the label \"{job.Labels[0]}\"" : "no label")}; a classifier needs at least two.");
        if (job.Labels.GroupBy(l => l).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new TrainingException($"The label \"{twice.Key}\" is listed twice.");
        if (job.Train.Concat(job.Validation).Cast<LabeledText>().FirstOrDefault(r => r.Label < 0 || r.Label >= job.Labels.Count) is { } stray)
            throw new TrainingException($"Row {stray.RowId} has label number {stray.Label}, but labels are numbered 0 to {job.Labels.Count - 1}.");
        var first = ((LabeledText)job.Train[0]).Label;
        if (job.Train.All(r => ((LabeledText)r).Label == first)) throw new TrainingException($"All train rows have the label \"{job.Labels[first]}\"; a classifier needs rows of at least two labels.");
    }

    protected override LabeledTexts Texts(IReadOnlyList<TrainingExample> rows, Tokenizer tokenizer, CancellationToken cancel) =>
        new(tokenizer.EncodeIds([.. rows.Select(r => r.Text)], Recipe.MaxLength, cancel), [.. rows.Select(r => ((LabeledText)r).Label)], tokenizer.PadId);

    protected override LabeledTexts Texts(int[][] ids, int padId) => new(ids, [.. ids.Select((_, i) => i % Labels.Count)], padId);

    protected override void Prepare(LabeledTexts train) => lossOf = TrainingLoss.For(Recipe, train.Labels, Labels.Count);

    protected override double WeightOf(LabeledTexts texts, int[] rows) => lossOf!.WeightOf(rows.Select(row => texts.Labels[row]));

    protected override Tensor Loss(LabeledTexts texts, int[] rows) => lossOf!.Mean(Logits(texts, rows), texts.LabelsOf(rows));

    protected override Evaluation Measure(LabeledTexts texts, IEnumerable<int[]> batches)
    {
        var (loss, labels, predictions) = (0.0, new List<int>(), new List<int>());
        foreach (var rows in batches)
        {
            using var scope = NewDisposeScope();
            var logits = Logits(texts, rows);
            loss += F.cross_entropy(logits, texts.LabelsOf(rows)).item<float>() * (double)rows.Length;
            predictions.AddRange(logits.argmax(-1).data<long>().ToArray().Select(p => (int)p));
            labels.AddRange(rows.Select(row => texts.Labels[row]));
        }
        var report = Classification.Evaluate(labels, predictions, Labels.Count);
        return new(loss / labels.Count, new Dictionary<Metric, double> { [Metric.MacroF1] = report.MacroF1, [Metric.Accuracy] = report.Accuracy });
    }

    public override void Dispose()
    {
        lossOf?.Dispose();
        base.Dispose();
    }
}
