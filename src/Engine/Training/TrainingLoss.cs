using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// What a classifier is trained to lower: cross-entropy, with the recipe's label smoothing (Szegedy et al. 2016,
/// arXiv:1512.00567), class weights, or focusing exponent (Lin et al. 2017, arXiv:1708.02002). Evaluations do not use it.
/// </summary>
/// <param name="classWeights">One weight a label, or null where all are 1.</param>
internal sealed class TrainingLoss(double smoothing, double gamma, double[]? classWeights) : IDisposable
{
    /// <summary>Where the focal loss's slope would be infinite, at a probability of 1 and an exponent below 1.</summary>
    private const double LeastDoubt = 1e-7;

    private readonly Tensor? weights = classWeights is null ? null : tensor(classWeights.Select(w => (float)w).ToArray()).DetachFromDisposeScope();

    /// <param name="trainLabels">The label of each train row, 0 to <paramref name="labels"/> - 1.</param>
    public static TrainingLoss For(RunRecipe recipe, IReadOnlyList<int> trainLabels, int labels) =>
        new(recipe.LabelSmoothing, recipe.FocalGamma, recipe.ClassWeights == ClassWeighting.Balanced ? Balanced(trainLabels, labels) : null);

    /// <summary>rows / (labels that occur * rows of the label): each label then counts the same in sum. A label without rows has 1.</summary>
    public static double[] Balanced(IReadOnlyList<int> trainLabels, int labels)
    {
        var rows = new int[labels];
        foreach (var label in trainLabels) rows[label]++;
        var occur = rows.Count(n => n > 0);
        return [.. rows.Select(n => n == 0 ? 1 : (double)trainLabels.Count / occur / n)];
    }

    /// <summary>How much rows of these labels count together: their class weights, or their number.</summary>
    public double WeightOf(IEnumerable<int> labels) => labels.Sum(label => classWeights?[label] ?? 1);

    /// <summary>The mean over the rows, each counted by its class weight; a float32 scalar.</summary>
    /// <param name="logits">float32 [rows, labels].</param>
    /// <param name="labels">int64 [rows].</param>
    public Tensor Mean(Tensor logits, Tensor labels)
    {
        if (gamma == 0) return F.cross_entropy(logits, labels, weights, label_smoothing: smoothing);
        var rows = Focal(logits, labels);
        return weights is null ? rows.mean() : (rows * weights.index_select(0, labels)).sum() / weights.index_select(0, labels).sum();
    }

    /// <summary>-(1 - p)^gamma * log p of each row's label: float32 [rows].</summary>
    private Tensor Focal(Tensor logits, Tensor labels)
    {
        var logs = logits.log_softmax(-1).gather(1, labels.unsqueeze(1)).squeeze(1);
        return (1 - logs.exp()).clamp_min(LeastDoubt).pow(gamma) * -logs;
    }

    public void Dispose() => weights?.Dispose();
}
