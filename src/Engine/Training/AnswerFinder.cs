using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>A fine-tuned folder that finds answers to questions in contexts. It only reads its weights, so several threads may use it at once.</summary>
public sealed class AnswerFinder : IDisposable
{
    private readonly SequenceClassifier model;
    private readonly Tokenizer tokenizer;

    private AnswerFinder(SequenceClassifier model, Tokenizer tokenizer) => (this.model, this.tokenizer) = (model, tokenizer);

    /// <summary>Loads a Hugging Face folder of a model for question answering.</summary>
    /// <exception cref="Weights.WeightFileException">The weights or config.json are missing or do not fit.</exception>
    /// <exception cref="TokenizerFileException">The tokenizer's files are missing or broken.</exception>
    public static AnswerFinder Load(string folder)
    {
        var tokenizer = Tokenizer.Load(folder);
        return new(LoadClassifier.ForPrediction(folder, EncoderHead.Answer).Model, tokenizer);
    }

    /// <summary>The answer to each question, in the order of <paramref name="texts"/>.</summary>
    /// <param name="texts">Question and context each, as a <see cref="TextPair"/>; without a context there is no answer.</param>
    /// <param name="maxLength">Tokens of question and context together; a longer context is read in windows that overlap. Never above the model's positions.</param>
    /// <param name="batchSize">Questions computed together; the result does not depend on it.</param>
    /// <param name="done">Called with the number of questions finished so far, after each batch.</param>
    public FoundAnswer[] Predict(IReadOnlyList<string> texts, int maxLength = 384, int batchSize = 32, Action<int>? done = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        var (results, finished) = (new FoundAnswer[texts.Count], 0);
        using var noGrad = no_grad();
        foreach (var rows in Enumerable.Range(0, texts.Count).OrderByDescending(i => texts[i].Length).Chunk(batchSize))
        {
            var windowed = WindowedQuestion.Of([.. rows.Select(r => texts[r])], tokenizer, Math.Min(maxLength, model.Config.MaxPositions));
            var logits = WindowedQuestion.Logits(batch => batch.Through(model, batch.AllRows), windowed, tokenizer.PadId, batchSize);
            for (var i = 0; i < rows.Length; i++) results[rows[i]] = AnswerSpans.Find(windowed[i], logits[i]);
            done?.Invoke(finished += rows.Length);
        }
        return results;
    }

    public void Dispose() => model.Dispose();
}
