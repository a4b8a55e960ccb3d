using FineTuneStudio.Ui;

namespace FineTuneStudio.Tests.Ui;

public sealed class SayTests
{
    [Fact]
    public void A_negative_number_has_the_sign_of_a_minus_and_zero_has_none()
    {
        Assert.Equal(["−0.250", "0.000", "−12.000"], new[] { -0.25, -0.0001, -12 }.Select(Say.Score));
        Assert.Equal(["−0.25", "0", "−1,234", "−2e-5"], new[] { -0.25, -0.0, -1234, -0.00002 }.Select(Say.Number));
        Assert.Equal(["+0.250", "−0.250", "0.000", "0.000"], new[] { 0.25, -0.25, -0.0001, 0.0001 }.Select(Say.Signed));
        Assert.Equal(["−12.5 %", "0.00 %", "0 %", "−3 %"], new[] { -0.125, -0.00001, 0, -0.03 }.Select(Say.Percent));
    }

    [Fact]
    public void One_is_counted_in_the_singular() => Assert.Equal(["1 row", "0 rows", "1,200 entries"], new[] { Say.Count(1, "row"), Say.Count(0, "row"), Say.Count(1200, "entry", "entries") });
}
