using FineTuneStudio.Bench;

namespace FineTuneStudio.Engine.Tests.Weights;

public sealed class FuzzTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public static TheoryData<string> Kinds => [.. FuzzWeights.Kinds];

    /// <summary>A few hundred files of what `fuzz-weights` of the bench runs for ten minutes.</summary>
    [Theory, MemberData(nameof(Kinds))]
    public void Files_changed_at_random_are_read_or_refused_with_a_sentence(string kind)
    {
        var result = FuzzWeights.Run(kind, TimeSpan.Zero, 1, folder.File(kind), atLeast: 300);
        Assert.Null(result.Finding);
        Assert.True(result.Refused > 0, $"{result.Executions} files, {result.Refused} refused");
    }

    public void Dispose() => folder.Dispose();
}
