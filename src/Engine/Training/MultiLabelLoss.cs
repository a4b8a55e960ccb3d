using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// What a classifier with several labels a text is trained to lower: binary cross-entropy of each label, with the recipe's weights
/// for rows that have the label, or its focusing exponent (Lin et al. 2017, arXiv:1708.02002). Evaluations do not use it.
/// </summary>
/// <param name="positiveWeights">One weight a label for rows that have it, or null where all are 1.</param>
internal sealed class MultiLabelLoss(double gamma, double[]? positiveWeights) : IDisposable
{
    /// <summary>Where the focal loss's slope would be infinite, at a probability of 1 and an exponent below 1.</summary>
    private const double LeastDoubt = 1e-7;

    private readonly Tensor? weights = positiveWeights is null ? null : tensor(positiveWeights.Select(w => (float)w).ToArray()).DetachFromDisposeScope();

    public static MultiLabelLoss For(RunRecipe recipe, IReadOnlyList<IReadOnlyList<int>> train, int labels) =>
        new(recipe.FocalGamma, recipe.ClassWeights == ClassWeighting.Balanced ? Balanced(train, labels) : null);

    /// <summary>rows without the label / rows with it: both sides of a label then count the same in sum. A label without rows has 1.</summary>
    public static double[] Balanced(IReadOnlyList<IReadOnlyList<int>> train, int labels)
    {
        var rows = new int[labels];
        foreach (var row in train) foreach (var label in row) rows[label]++;
        return [.. rows.Select(n => n == 0 || n == train.Count ? 1 : (double)(train.Count - n) / n)];
    }

    /// <summary>The mean over all decisions; a float32 scalar.</summary>
    /// <param name="logits">float32 [rows, labels].</param>
    /// <param name="targets">float32 of the same shape, 1 where the row has the label.</param>
    public Tensor Mean(Tensor logits, Tensor targets)
    {
        if (gamma == 0) return F.binary_cross_entropy_with_logits(logits, targets, pos_weights: weights);
        var plain = F.binary_cross_entropy_with_logits(logits, targets, reduction: nn.Reduction.None);
        var weighted = weights is null ? plain : F.binary_cross_entropy_with_logits(logits, targets, reduction: nn.Reduction.None, pos_weights: weights);
        return ((1 - (-plain).exp()).clamp_min(LeastDoubt).pow(gamma) * weighted).mean();
    }

    public void Dispose() => weights?.Dispose();
}
