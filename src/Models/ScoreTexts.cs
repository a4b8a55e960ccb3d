using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Models;

/// Answers to many texts of a file, by the same loaded model that the playgrounds ask.
internal abstract class ScoreTexts
{
    /// Cells are ready for a CSV, one for each of the columns; the answer and its confidence, where there is one number for it, are for the preview.
    internal sealed record Score(IReadOnlyList<string> Cells, string Answer, double? Confidence);

    internal static ScoreTexts Of(TextTask task, PromptFormat format) => task switch
    {
        TextTask.SingleLabel => new OfLabels(),
        TextTask.TokenClassification => new OfSpans(),
        TextTask.Generation => new OfAnswers(format),
        TextTask.MultiLabel => new OfSets(),
        TextTask.Regression => new OfNumbers(),
        TextTask.QuestionAnswering => new OfQuestions(),
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    /// Texts answered while others wait.
    internal virtual int Turn => 128;

    /// What is added to the columns of the file.
    internal abstract Task<IReadOnlyList<string>> Columns(LoadedModel loaded, string folder, CancellationToken cancel);

    internal abstract Task<IReadOnlyList<Score>> Handle(LoadedModel loaded, string folder, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel);

    private abstract class With<TModel>(Func<string, TModel> load) : ScoreTexts where TModel : class, IDisposable
    {
        internal sealed override Task<IReadOnlyList<string>> Columns(LoadedModel loaded, string folder, CancellationToken cancel) => loaded.Use(folder, load, Columns, cancel);

        internal sealed override Task<IReadOnlyList<Score>> Handle(LoadedModel loaded, string folder, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) =>
            loaded.Use(folder, load, model => Scores(model, texts, maxLength, cancel), cancel);

        protected abstract IReadOnlyList<string> Columns(TModel model);

        protected abstract IReadOnlyList<Score> Scores(TModel model, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel);
    }

    internal static string Number(float number) => number.ToString("0.######", CultureInfo.InvariantCulture);

    private sealed class OfSpans() : With<SpanTagger>(SpanTagger.Load)
    {
        protected override IReadOnlyList<string> Columns(SpanTagger tagger) => ["predicted spans"];

        protected override IReadOnlyList<Score> Scores(SpanTagger tagger, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. tagger.Predict(texts, maxLength).Zip(texts, (found, text) =>
            new Score([DownloadRejected.Cell(FoundSpans.ToJson(text, found, tagger.Types))],
                found.Count == 0 ? "no span" : string.Join(", ", found.Select(f => $"{tagger.Types[f.Span.Label]}: {text[f.Span.Start..f.Span.End]}")), found.Count == 0 ? null : found.Min(f => f.Probability)))];
    }

    /// The texts are pairs of a question and its context.
    private sealed class OfQuestions() : With<AnswerFinder>(AnswerFinder.Load)
    {
        protected override IReadOnlyList<string> Columns(AnswerFinder finder) => ["predicted answer", "predicted start", "probability"];

        protected override IReadOnlyList<Score> Scores(AnswerFinder finder, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. finder.Predict(texts, maxLength).Select(found =>
            new Score([DownloadRejected.Cell(found.Text), found.IsNone ? "" : found.Start.ToString(CultureInfo.InvariantCulture), Number((float)found.Probability)], found.IsNone ? "no answer" : found.Text, found.Probability))];
    }

    /// A written answer to each prompt, always with the likeliest next word.
    private sealed class OfAnswers(PromptFormat format) : With<TextGenerator>(folder => TextGenerator.Load(folder, format))
    {
        private const int LongestAnswer = 256;

        /// An answer takes hundreds of steps where a label takes one.
        internal override int Turn => 4;

        protected override IReadOnlyList<string> Columns(TextGenerator generator) => ["answer", "note"];

        protected override IReadOnlyList<Score> Scores(TextGenerator generator, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) =>
            [.. generator.Answers([.. texts.Select(Prompt)], new GenerationOptions { MaxNewTokens = LongestAnswer }, maxLength, cancel: cancel)
                .Select(a => new Score([DownloadRejected.Cell(a.Text), DownloadRejected.Cell(a.PromptCut ?? "")], a.PromptCut is { } cut ? $"{a.Text} ({cut})" : a.Text, null))];

        /// A chat that ends with an answer is asked again without it.
        private static string Prompt(string text) => ChatTurns.Read(text) is { Count: > 1 } turns && turns[^1].Role == ChatTurns.Assistant ? ChatTurns.Write([.. turns.Take(turns.Count - 1)]) : text;
    }

    private sealed class OfSets() : With<TextClassifier>(TextClassifier.Load)
    {
        protected override IReadOnlyList<string> Columns(TextClassifier classifier) => ["predicted labels", .. classifier.Labels.Select(l => $"probability {l}")];

        protected override IReadOnlyList<Score> Scores(TextClassifier classifier, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. classifier.Predict(texts, maxLength).Select(p =>
        {
            var said = MultiLabelClassification.Above(p).Select(i => classifier.Labels[i]).ToList();
            // As the upload reads them, so that a scored file can become data.
            return new Score([DownloadRejected.Cell(JsonSerializer.Serialize(said, Readable)), .. p.Select(Number)], said.Count == 0 ? "none of the labels" : string.Join(", ", said), null);
        })];

        private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    }

    private sealed class OfNumbers() : With<TextClassifier>(TextClassifier.Load)
    {
        protected override IReadOnlyList<string> Columns(TextClassifier classifier) => ["predicted value"];

        protected override IReadOnlyList<Score> Scores(TextClassifier classifier, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. classifier.Predict(texts, maxLength).Select(p =>
            new Score([p[0].ToString("R", CultureInfo.InvariantCulture)], Say.Number(p[0]), null))];
    }

    private sealed class OfLabels() : With<TextClassifier>(TextClassifier.Load)
    {
        protected override IReadOnlyList<string> Columns(TextClassifier classifier) => ["predicted label", "confidence", .. classifier.Labels.Select(l => $"probability {l}")];

        protected override IReadOnlyList<Score> Scores(TextClassifier classifier, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel) => [.. classifier.Predict(texts, maxLength).Select(p =>
        {
            var best = Array.IndexOf(p, p.Max());
            return new Score([DownloadRejected.Cell(classifier.Labels[best]), Number(p[best]), .. p.Select(Number)], classifier.Labels[best], p[best]);
        })];
    }
}
