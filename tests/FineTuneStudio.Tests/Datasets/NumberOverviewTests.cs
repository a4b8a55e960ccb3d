using FineTuneStudio.Datasets;

namespace FineTuneStudio.Tests.Datasets;

public sealed class NumberOverviewTests
{
    /// Quartiles as numpy.percentile([…], [25, 50, 75]) has them.
    [Fact]
    public void Numbers_are_summed_up_by_their_quartiles_mean_and_ranges()
    {
        var seen = NumberOverview.Of([5, -1, 2, 2, 8])!;
        Assert.Equal((5, -1.0, 2.0, 2.0, 3.2, 5.0, 8.0), (seen.Count, seen.Least, seen.LowerQuartile, seen.Median, seen.Mean, seen.UpperQuartile, seen.Most));
        Assert.Equal([1, 0, 0, 2, 0, 0, 1, 0, 0, 1], seen.Bins.Select(b => b.Count));
        Assert.Equal((-1.0, 8.0), (seen.Bins[0].From, seen.Bins[^1].To));
        var even = NumberOverview.Of([5, -1, 2, 8])!;
        Assert.Equal((1.25, 3.5, 5.75), (even.LowerQuartile, even.Median, even.UpperQuartile));
    }

    [Fact]
    public void One_number_no_number_and_the_widest_range_have_an_overview_too()
    {
        Assert.Null(NumberOverview.Of([]));
        Assert.Equal([new NumberOverview.Bin(3, 3, 2)], NumberOverview.Of([3, 3])!.Bins);
        var widest = NumberOverview.Of([double.MinValue, double.MaxValue])!;
        Assert.Equal((1, 1, 10), (widest.Bins[0].Count, widest.Bins[^1].Count, widest.Bins.Count));
        Assert.All(widest.Bins, b => Assert.True(double.IsFinite(b.From) && double.IsFinite(b.To)));
    }
}
