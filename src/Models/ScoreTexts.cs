using System.Globalization;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Models;

/// A model of a task in memory, answering many texts for a file.
internal abstract class ScoreTexts : IDisposable
{
    /// Cells are ready for a CSV, one for each of the columns; the answer and its confidence, where there is one number for it, are for the preview.
    internal sealed record Score(IReadOnlyList<string> Cells, string Answer, double? Confidence);

    internal static ScoreTexts Load(TextTask task, string folder) => task switch
    {
        TextTask.SingleLabel => new OfLabels(TextClassifier.Load(folder)),
        TextTask.TokenClassification => new OfSpans(SpanTagger.Load(folder)),
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    /// What is added to the columns of the file.
    internal abstract IReadOnlyList<string> Columns { get; }

    internal abstract IReadOnlyList<Score> Handle(IReadOnlyList<string> texts, int maxLength, CancellationToken cancel);

    public abstract void Dispose();

    internal static string Number(float number) => number.ToString("0.######", CultureInfo.InvariantCulture);

    private sealed class OfSpans(SpanTagger tagger) : ScoreTexts
    {
        internal override IReadOnlyList<string> Columns => ["predicted spans"];

        internal override IReadOnlyList<Score> Handle(IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. tagger.Predict(texts, maxLength).Zip(texts, (found, text) =>
            new Score([DownloadRejected.Cell(FoundSpans.ToJson(text, found, tagger.Types))],
                found.Count == 0 ? "no span" : string.Join(", ", found.Select(f => $"{tagger.Types[f.Span.Label]}: {text[f.Span.Start..f.Span.End]}")), found.Count == 0 ? null : found.Min(f => f.Probability)))];

        public override void Dispose() => tagger.Dispose();
    }

    private sealed class OfLabels(TextClassifier classifier) : ScoreTexts
    {
        internal override IReadOnlyList<string> Columns => ["predicted label", "confidence", .. classifier.Labels.Select(l => $"probability {l}")];

        internal override IReadOnlyList<Score> Handle(IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. classifier.Predict(texts, maxLength).Select(p =>
        {
            var best = Array.IndexOf(p, p.Max());
            return new Score([DownloadRejected.Cell(classifier.Labels[best]), Number(p[best]), .. p.Select(Number)], classifier.Labels[best], p[best]);
        })];

        public override void Dispose() => classifier.Dispose();
    }
}
