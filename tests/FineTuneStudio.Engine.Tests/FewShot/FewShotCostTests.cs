using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Tests.Training;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.FewShot;

[Collection("training")]
public sealed class FewShotCostTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private FewShotJob Job => new(Repository.PracticeModel, SmallTexts.Labels, SmallTexts.Rows(90), [.. SmallTexts.Rows(60, seed: 8).Select(r => r with { RowId = r.RowId + 1000 })], folder.File("curve"))
    {
        Ks = [1, 2, 8], Draws = 2, LeastSteps = 50, Recipe = new() { LearningRate = 1e-3, MaxLength = 32 },
    };

    private static readonly int[] Lengths = [.. Enumerable.Range(0, 90).Select(i => 6 + i % 7)];

    [Fact]
    public void A_curve_is_estimated_from_a_few_steps_of_each_method_and_nothing_is_kept()
    {
        var shares = new List<double>();
        var estimate = FewShotCost.Measure(Job, Lengths, long.MaxValue, default, shares.Add);
        Assert.True(estimate.Seconds > 0 && double.IsFinite(estimate.Seconds), $"{estimate}");
        Assert.True(estimate.PeakMemoryBytes > 0);
        Assert.Equal(shares.Order(), shares);
        Assert.Equal(1, shares[^1]);
        Assert.False(Directory.Exists(Job.OutputFolder));
    }

    [Fact]
    public void Nearest_centroid_alone_takes_a_small_part_of_what_takes_steps()
    {
        double Of(params FewShotMethod[] methods) => FewShotCost.Measure(Job with { Methods = methods, LeastSteps = 10_000 }, Lengths, long.MaxValue, default).Seconds;
        var (nothing, full) = (Of(FewShotMethod.Centroid), Of(FewShotMethod.Full));
        Assert.InRange(nothing, double.Epsilon, full / 5);
    }

    [Fact]
    public void What_cannot_be_measured_is_refused_with_the_curve_s_own_sentence_and_a_person_ends_it()
    {
        Assert.Equal("There are no train rows to draw examples from.", Assert.Throws<TrainingException>(() => FewShotCost.Measure(Job with { Pool = [] }, Lengths, long.MaxValue, default)).Message);
        Assert.StartsWith("Weights and gradients alone take ", Assert.Throws<TrainingException>(() => FewShotCost.Measure(Job, Lengths, 1000, default)).Message);
        using var enough = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => FewShotCost.Measure(Job, Lengths, long.MaxValue, enough.Token, _ => enough.Cancel()));
    }

    public void Dispose() => folder.Dispose();
}
