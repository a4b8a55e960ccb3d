using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Tests.Metrics;

public sealed class TextOverlapTests
{
    [Theory]
    [InlineData("Paris", " paris ", true)]
    [InlineData("in  Paris", "in\nParis", true)]
    [InlineData("Paris.", "Paris", false)]
    public void An_exact_match_does_not_see_case_and_blanks(string text, string reference, bool equal) => Assert.Equal(equal, TextOverlap.IsExactMatch(text, reference));

    [Theory]
    [InlineData("So 3 and 4 make 7.\n#### 7", "It is 7\n#### 7", true)]
    [InlineData("#### 1,200", "#### 1200", true)]
    [InlineData("#### 1200.0", "#### 1200", true)]
    [InlineData("#### -5", "#### 5", false)]
    [InlineData("nothing", "#### 5", false)]
    [InlineData("Yes", "yes", true)]
    public void Arithmetic_answers_are_compared_by_their_last_number(string text, string reference, bool equal) => Assert.Equal(equal, TextOverlap.IsLastNumberEqual(text, reference));

    [Fact]
    public void The_interval_of_a_mean_holds_the_mean_and_repeats_with_its_seed()
    {
        double[] values = [.. Enumerable.Range(0, 200).Select(i => i % 4 == 0 ? 1.0 : 0)];
        var interval = BootstrapMean.Of(values);
        Assert.InRange(0.25, interval.Low, interval.High);
        // The normal approximation says 0.19 to 0.31.
        Assert.InRange(interval.Low, 0.17, 0.21);
        Assert.InRange(interval.High, 0.29, 0.33);
        Assert.Equal(interval, BootstrapMean.Of(values));
        Assert.Throws<ArgumentException>(() => BootstrapMean.Of([]));
    }
}
