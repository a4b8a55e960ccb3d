using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>Holds values against their reference and remembers how far each group was off at most; docs/parity.md has the numbers.</summary>
internal sealed class Deviations(ITestOutputHelper output, string golden = "") : IDisposable
{
    private readonly Dictionary<string, (double Worst, string Tolerance)> groups = [];

    /// <summary>At most <paramref name="tolerance"/> apart.</summary>
    public void Absolute(string group, string what, double deviation, double tolerance)
    {
        Note(group, deviation, $"{tolerance:0e-0} absolute");
        Assert.True(deviation <= tolerance, $"{what}: off by {deviation}, allowed {tolerance}");
    }

    /// <summary>At most <paramref name="relative"/> of the expected value and <paramref name="absolute"/> apart.</summary>
    public void Relative(string group, string what, double expected, double actual, double relative, double absolute = 0)
    {
        var off = Math.Abs(expected - actual);
        // What the absolute part of the tolerance takes does not count as a relative deviation.
        Note(group, expected == 0 ? 0 : Math.Max(0, off - absolute) / Math.Abs(expected), $"{relative:0e-0} relative{(absolute > 0 ? " beyond the absolute part" : "")}");
        Assert.True(off <= relative * Math.Abs(expected) + absolute, $"{what}: {actual}, expected {expected}");
    }

    private void Note(string group, double deviation, string tolerance) =>
        groups[group] = (Math.Max(deviation, groups.GetValueOrDefault(group).Worst), tolerance);

    public void Dispose()
    {
        foreach (var (group, (worst, tolerance)) in groups) output.WriteLine(FormattableString.Invariant($"deviation | {(golden == "" ? "" : golden + " | ")}{group} | {tolerance} | {worst:0.0e-0}"));
    }
}
