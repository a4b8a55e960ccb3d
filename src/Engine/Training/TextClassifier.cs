using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>A fine-tuned model folder in use: texts in, label probabilities out. It only reads its weights, so several threads may use it at once.</summary>
public sealed class TextClassifier : IDisposable
{
    private readonly SequenceClassifier model;
    private readonly Tokenizer tokenizer;

    private TextClassifier(SequenceClassifier model, Tokenizer tokenizer) => (this.model, this.tokenizer) = (model, tokenizer);

    /// <summary>Label names, in the order of the probabilities.</summary>
    public IReadOnlyList<string> Labels => model.Config.Labels;

    /// <summary>What the head answers, by config.json.</summary>
    public TextTask Task => model.Config.ProblemType switch
    {
        "regression" => TextTask.Regression,
        "multi_label_classification" => TextTask.MultiLabel,
        _ => TextTask.SingleLabel,
    };

    /// <summary>Loads a Hugging Face folder with a trained head.</summary>
    /// <exception cref="Weights.WeightFileException">The weights or config.json are missing or do not fit.</exception>
    /// <exception cref="TokenizerFileException">The tokenizer's files are missing or broken.</exception>
    public static TextClassifier Load(string folder)
    {
        var tokenizer = Tokenizer.Load(folder);
        return new(LoadClassifier.ForPrediction(folder).Model, tokenizer);
    }

    /// <summary>
    /// Probabilities [texts][labels]: summing to 1 in each row where a text has one label, each on its own where it may have several; of
    /// a regression the one number. In the order of <paramref name="texts"/>.
    /// </summary>
    /// <param name="maxLength">Longer texts are cut to this many tokens, and never exceed the model's positions.</param>
    /// <param name="batchSize">Texts computed together; the result does not depend on it.</param>
    /// <param name="done">Called with the number of texts finished so far, after each batch.</param>
    public float[][] Predict(IReadOnlyList<string> texts, int maxLength = 128, int batchSize = 32, Action<int>? done = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        var length = Math.Min(maxLength, model.Config.MaxPositions);
        var (encoded, types) = Task == TextTask.Regression ? TextPair.Encode(tokenizer, texts, length) : (tokenizer.EncodeIds(texts, length), null);
        var tokenized = new TokenizedTexts(encoded, tokenizer.PadId);
        var results = new float[texts.Count][];
        var finished = 0;
        using var noGrad = no_grad();
        foreach (var rows in tokenized.BatchesByLength(batchSize))
        {
            using var scope = NewDisposeScope();
            var (ids, mask) = tokenized.Batch(rows);
            var logits = model.call(ids, mask, TextPair.Types(types, rows, ids.shape[1]));
            var probabilities = (Task switch { TextTask.Regression => logits, TextTask.MultiLabel => logits.sigmoid(), _ => logits.softmax(-1) }).data<float>().ToArray();
            for (var i = 0; i < rows.Length; i++) results[rows[i]] = probabilities.AsSpan(i * Labels.Count, Labels.Count).ToArray();
            done?.Invoke(finished += rows.Length);
        }
        return results;
    }

    public void Dispose() => model.Dispose();
}
