using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Models;

/// A model of a task in memory, answering many texts for a file.
internal abstract class ScoreTexts : IDisposable
{
    /// Cells are ready for a CSV, one for each of the columns; the answer and its confidence, where there is one number for it, are for the preview.
    internal sealed record Score(IReadOnlyList<string> Cells, string Answer, double? Confidence);

    internal static ScoreTexts Load(TextTask task, string folder, PromptFormat format) => task switch
    {
        TextTask.SingleLabel => new OfLabels(TextClassifier.Load(folder)),
        TextTask.TokenClassification => new OfSpans(SpanTagger.Load(folder)),
        TextTask.Generation => new OfAnswers(TextGenerator.Load(folder, format)),
        TextTask.MultiLabel => new OfSets(TextClassifier.Load(folder)),
        TextTask.Regression => new OfNumbers(TextClassifier.Load(folder)),
        TextTask.QuestionAnswering => new OfQuestions(AnswerFinder.Load(folder)),
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

    /// The texts are pairs of a question and its context.
    private sealed class OfQuestions(AnswerFinder finder) : ScoreTexts
    {
        internal override IReadOnlyList<string> Columns => ["predicted answer", "predicted start", "probability"];

        internal override IReadOnlyList<Score> Handle(IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. finder.Predict(texts, maxLength).Select(found =>
            new Score([DownloadRejected.Cell(found.Text), found.IsNone ? "" : found.Start.ToString(CultureInfo.InvariantCulture), Number((float)found.Probability)], found.IsNone ? "no answer" : found.Text, found.Probability))];

        public override void Dispose() => finder.Dispose();
    }

    /// A written answer to each prompt, always with the likeliest next word.
    private sealed class OfAnswers(TextGenerator generator) : ScoreTexts
    {
        private const int LongestAnswer = 256;

        internal override IReadOnlyList<string> Columns => ["answer", "note"];

        internal override IReadOnlyList<Score> Handle(IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) =>
            [.. generator.Answers([.. texts.Select(Prompt)], new GenerationOptions { MaxNewTokens = LongestAnswer }, maxLength, cancel: cancel)
                .Select(a => new Score([DownloadRejected.Cell(a.Text), DownloadRejected.Cell(a.PromptCut ?? "")], a.PromptCut is { } cut ? $"{a.Text} ({cut})" : a.Text, null))];

        /// A chat that ends with an answer is asked again without it.
        private static string Prompt(string text) => ChatTurns.Read(text) is { Count: > 1 } turns && turns[^1].Role == ChatTurns.Assistant ? ChatTurns.Write([.. turns.Take(turns.Count - 1)]) : text;

        public override void Dispose() => generator.Dispose();
    }

    private sealed class OfSets(TextClassifier classifier) : ScoreTexts
    {
        internal override IReadOnlyList<string> Columns => ["predicted labels", .. classifier.Labels.Select(l => $"probability {l}")];

        internal override IReadOnlyList<Score> Handle(IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. classifier.Predict(texts, maxLength).Select(p =>
        {
            var said = MultiLabelClassification.Above(p).Select(i => classifier.Labels[i]).ToList();
            // As the upload reads them, so that a scored file can become data.
            return new Score([DownloadRejected.Cell(JsonSerializer.Serialize(said, Readable)), .. p.Select(Number)], said.Count == 0 ? "none of the labels" : string.Join(", ", said), null);
        })];

        private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

        public override void Dispose() => classifier.Dispose();
    }

    private sealed class OfNumbers(TextClassifier classifier) : ScoreTexts
    {
        internal override IReadOnlyList<string> Columns => ["predicted value"];

        internal override IReadOnlyList<Score> Handle(IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. classifier.Predict(texts, maxLength).Select(p =>
            new Score([p[0].ToString("R", CultureInfo.InvariantCulture)], p[0].ToString("G4", CultureInfo.InvariantCulture), null))];

        public override void Dispose() => classifier.Dispose();
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
