namespace FineTuneStudio.Engine.Weights;

/// <summary>
/// How a weight file met a model. Counts are in elements (numbers), of the backbone only: the classifier head is new by nature.
/// </summary>
/// <param name="BackboneElements">Elements of the model's backbone parameters.</param>
/// <param name="MatchedBackboneElements">Those that were filled from the file.</param>
/// <param name="Missing">Model parameters the file does not have.</param>
/// <param name="Unexpected">Tensors of the file that the model has no place for.</param>
/// <param name="Reshaped">Parameters whose shape differs from the file's and that were therefore initialised anew.</param>
public sealed record WeightReport(long BackboneElements, long MatchedBackboneElements, IReadOnlyList<string> Missing,
    IReadOnlyList<string> Unexpected, IReadOnlyList<string> Reshaped)
{
    /// <summary>The share of the backbone that came from the file, 0 to 1.</summary>
    public double BackboneShare => BackboneElements == 0 ? 0 : (double)MatchedBackboneElements / BackboneElements;
}
