using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>What a text encoder that was not fine-tuned makes of a text: the mean of its last hidden states over the text's tokens, special tokens included and padding not, of length 1.</summary>
internal static class TextFeatures
{
    private const int BatchSize = 32;

    /// <summary>One vector a text, in the order of <paramref name="texts"/>: float32 of the model's hidden size.</summary>
    /// <param name="maxLength">Longer texts are cut to this many tokens.</param>
    /// <param name="before">Called with the texts done before each batch; what it throws ends the work.</param>
    /// <exception cref="Weights.WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="TokenizerFileException">The base model's tokenizer is missing or broken.</exception>
    public static float[][] Compute(string baseFolder, IReadOnlyList<string> texts, int maxLength, Precision precision, Action<int> before, CancellationToken cancel)
    {
        // The head on each token is what leaves the hidden states unpooled; what it would say is not asked.
        using var model = LoadClassifier.ForTraining(baseFolder, ["0", "1"], dropout: null, seed: 0, EncoderHead.Token).Model;
        model.eval();
        var tokenizer = Tokenizer.Load(baseFolder);
        var tokens = new TokenizedTexts(tokenizer.EncodeIds(texts, maxLength, cancel), tokenizer.PadId);
        var (vectors, done) = (new float[texts.Count][], 0);
        using var noGrad = no_grad();
        using var mixed = MixedPrecision.Begin(precision);
        foreach (var rows in tokens.BatchesByLength(BatchSize))
        {
            before(done);
            using var scope = NewDisposeScope();
            var (ids, mask) = tokens.Batch(rows);
            var means = F.normalize(Mean(model.Features(ids, mask, null).to(float32), mask), 2, 1).data<float>().ToArray();
            var size = means.Length / rows.Length;
            for (var i = 0; i < rows.Length; i++) vectors[rows[i]] = means.AsSpan(i * size, size).ToArray();
            done += rows.Length;
        }
        return vectors;
    }

    /// <summary>[rows, length, hidden] and the mask int64 [rows, length], or null where nothing is padded, to [rows, hidden].</summary>
    private static Tensor Mean(Tensor hidden, Tensor? mask)
    {
        if (mask is null) return hidden.mean([1L]);
        var counted = mask.to(float32).unsqueeze(-1);
        return (hidden * counted).sum(1) / counted.sum(1).clamp_min(1);
    }
}
