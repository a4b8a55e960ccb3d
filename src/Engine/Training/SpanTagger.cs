using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>A span that a model found.</summary>
/// <param name="Probability">The mean, over those of the span's words that have a token, of the probability of the tag that each was given.</param>
public sealed record FoundSpan(TextSpan Span, double Probability);

/// <summary>A fine-tuned folder that marks spans in texts. It only reads its weights, so several threads may use it at once.</summary>
public sealed class SpanTagger : IDisposable
{
    private readonly SequenceClassifier model;
    private readonly Tokenizer tokenizer;

    private SpanTagger(SequenceClassifier model, Tokenizer tokenizer, IReadOnlyList<string> types) => (this.model, this.tokenizer, Types) = (model, tokenizer, types);

    /// <summary>Names of the span types; <see cref="TextSpan.Label"/> is an index into them.</summary>
    public IReadOnlyList<string> Types { get; }

    /// <summary>Loads a Hugging Face folder of a token classifier whose labels are O, B-x, I-x, B-y, ...</summary>
    /// <exception cref="WeightFileException">The weights or config.json are missing or do not fit.</exception>
    /// <exception cref="TokenizerFileException">The tokenizer's files are missing or broken.</exception>
    public static SpanTagger Load(string folder)
    {
        var tokenizer = Tokenizer.Load(folder);
        var (model, _) = LoadClassifier.ForPrediction(folder, EncoderHead.Token);
        if (SpanTags.Types(model.Config.Labels) is { } types) return new(model, tokenizer, types);
        model.Dispose();
        throw new WeightFileException($"config.json has the labels {string.Join(", ", model.Config.Labels.Take(5))}{(model.Config.Labels.Count > 5 ? ", ..." : "")}; expected O and then B- and I- of each type, in this order.");
    }

    /// <summary>The spans of each text, rising and without overlap, in the order of <paramref name="texts"/>.</summary>
    /// <param name="maxLength">Texts with more tokens are read in windows that overlap; never above the model's positions.</param>
    /// <param name="batchSize">Texts computed together; the result does not depend on it.</param>
    /// <param name="done">Called with the number of texts finished so far, after each batch.</param>
    public IReadOnlyList<FoundSpan>[] Predict(IReadOnlyList<string> texts, int maxLength = 128, int batchSize = 32, Action<int>? done = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        var results = new IReadOnlyList<FoundSpan>[texts.Count];
        var finished = 0;
        using var noGrad = no_grad();
        var windowed = WindowedText.Of(texts, tokenizer, Math.Min(maxLength, model.Config.MaxPositions));
        foreach (var rows in Enumerable.Range(0, texts.Count).OrderByDescending(i => windowed[i].Windows.Sum(w => w.Ids.Length)).Chunk(batchSize))
        {
            var logs = WindowedText.LogProbabilities(batch => batch.Through(model, batch.AllRows), [.. rows.Select(r => windowed[r])], tokenizer.PadId, batchSize);
            for (var i = 0; i < rows.Length; i++) results[rows[i]] = Found(windowed[rows[i]], logs[i]);
            done?.Invoke(finished += rows.Length);
        }
        return results;
    }

    /// <summary>The runs of the likeliest tags.</summary>
    /// <param name="logs">Of <see cref="WindowedText.LogProbabilities"/>.</param>
    internal static List<FoundSpan> Found(WindowedText text, float[]?[] logs)
    {
        var (words, tags) = (text.Words, Tags(text, logs));
        return [.. SpanTags.Runs(tags).Select(run => new FoundSpan(new(words[run.Start].Start, words[run.End - 1].End, run.Label),
            Enumerable.Range(run.Start, run.End - run.Start).Where(word => logs[word] is not null).Average(word => Math.Exp(logs[word]![tags[word]]))))];
    }

    /// <summary>The likeliest tag of each word. One without a token goes on with the span of the word before where it shares that one's token, and else is outside.</summary>
    internal static int[] Tags(WindowedText text, float[]?[] logs)
    {
        var tags = new int[logs.Length];
        for (var word = 0; word < tags.Length; word++)
            tags[word] = logs[word] is { } log ? Array.IndexOf(log, log.Max()) : word > 0 && text.GoesOn[word] && tags[word - 1] > 0 ? SpanTags.Inside(SpanTags.TypeOf(tags[word - 1])) : 0;
        return tags;
    }

    public void Dispose() => model.Dispose();
}
