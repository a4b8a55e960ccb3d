using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>What always saying the most frequent label of a curve's pool is worth on the rows that its points are measured on.</summary>
public sealed record OneLabel(string Label, double Accuracy, double MacroF1)
{
    /// <param name="scored">Of <see cref="FewShotJob.Scored"/>.</param>
    public static OneLabel Of(FewShotJob job, IReadOnlyList<LabeledText> scored)
    {
        var most = MajorityLabel.Fit([.. job.Pool.Select(r => r.Label)], job.Labels.Count).Label;
        var scores = Classification.Evaluate([.. scored.Select(r => r.Label)], [.. scored.Select(_ => most)], job.Labels.Count);
        return new(job.Labels[most], scores.Accuracy, scores.MacroF1);
    }
}
