using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Tests.Metrics;

public sealed class StudentTTests
{
    [Theory]
    [InlineData(0.95, 1, 12.706204736432095)]
    [InlineData(0.95, 2, 4.302652729911275)]
    [InlineData(0.95, 4, 2.7764451051977987)]
    [InlineData(0.95, 9, 2.2621571627409915)]
    [InlineData(0.95, 29, 2.045229642132703)]
    [InlineData(0.9, 7, 1.894578605061305)]
    public void The_reach_of_an_interval_is_scipy_s(double level, int degrees, double expected) => Assert.Equal(1, StudentT.Reach(level, degrees) / expected, 1e-10);

    [Fact]
    public void The_interval_of_a_mean_is_scipy_s()
    {
        // scipy 1.10.1: t.interval(0.95, 2, loc=mean, scale=std(ddof=1)/sqrt(3)) of 0.7, 0.75 and 0.83.
        var interval = StudentT.OfMean([0.7, 0.75, 0.83])!;
        Assert.Equal(0.5971041966868434, interval.Low, 1e-10);
        Assert.Equal(0.9228958033131563, interval.High, 1e-10);
    }

    [Fact]
    public void One_value_has_no_interval_and_equal_ones_have_none_but_themselves()
    {
        Assert.Null(StudentT.OfMean([0.7]));
        Assert.Equal(new Interval(0.5, 0.5), StudentT.OfMean([0.5, 0.5, 0.5]));
    }

    [Fact]
    public void A_level_or_degree_that_cannot_be_is_refused() =>
        Assert.Equal("Student's t needs a level between 0 and 1 and at least one degree of freedom; got 1 and 0.", Assert.Throws<ArgumentException>(() => StudentT.Reach(1, 0)).Message);
}
