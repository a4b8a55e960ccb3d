using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Tests.Training;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.FewShot;

public sealed class FewShotDrawTests
{
    private static readonly List<LabeledText> Pool = [.. SmallTexts.Rows(90), new(1001, "lone", 3), new(1002, "pair", 3)];

    [Fact]
    public void A_draw_has_k_rows_of_each_label_or_all_that_a_label_has()
    {
        foreach (var k in new[] { 1, 2, 8 })
            Assert.Equal([k, k, k, Math.Min(k, 2)], FewShotDraw.Of(Pool, k, 0, 42).CountBy(r => r.Label).OrderBy(c => c.Key).Select(c => c.Value));
    }

    [Fact]
    public void The_draw_of_more_examples_contains_that_of_fewer()
    {
        foreach (var draw in new[] { 0, 1, 2 })
            foreach (var (fewer, more) in new[] { (1, 2), (2, 4), (4, 16) })
                Assert.Subset(FewShotDraw.Of(Pool, more, draw, 42).ToHashSet(), FewShotDraw.Of(Pool, fewer, draw, 42).ToHashSet());
    }

    [Fact]
    public void The_seed_decides_a_draw_and_the_order_of_the_pool_and_other_rows_do_not()
    {
        var drawn = FewShotDraw.Of(Pool, 4, 1, 42);
        Assert.Equal(drawn, FewShotDraw.Of([.. Pool.AsEnumerable().Reverse()], 4, 1, 42));
        var without = Pool.First(r => !drawn.Contains(r));
        Assert.Equal(drawn, FewShotDraw.Of([.. Pool.Where(r => r != without)], 4, 1, 42));
        Assert.NotEqual(drawn, FewShotDraw.Of(Pool, 4, 1, 43));
        Assert.NotEqual(drawn, FewShotDraw.Of(Pool, 4, 2, 42));
    }

    [Fact]
    public void Over_many_draws_every_row_comes_about_as_often()
    {
        var often = Enumerable.Range(0, 600).SelectMany(draw => FewShotDraw.Of(Pool, 10, draw, 1)).Where(r => r.Label < 3).CountBy(r => r.RowId).Select(c => c.Value).ToList();
        // 600 draws of 10 from 30 rows are 200 a row, with a standard deviation of 11.5.
        Assert.Equal(90, often.Count);
        Assert.All(often, count => Assert.InRange(count, 150, 250));
    }

    [Fact]
    public void Numbers_of_examples_that_no_label_reaches_are_left_out()
    {
        Assert.Equal([1, 16, 32], FewShotDraw.DistinctKs(Pool, [64, 1, 32, 16]));
        Assert.Equal([1, 30], FewShotDraw.DistinctKs(Pool, [1, 30, 31]));
        Assert.Equal([500], FewShotDraw.DistinctKs(Pool, [500, 600]));
    }

    [Fact]
    public void What_two_draws_share_is_foreseen_from_the_counts()
    {
        // Three labels of 30 rows and one of 2: of 10 a label, 32 rows, two draws share 3 * 100 / 30 + 2.
        Assert.Equal((32, 12 / 32.0), (FewShotDraw.Rows(Pool, 10), FewShotDraw.Shared(Pool, 10)));
        Assert.Equal((92, 1.0), (FewShotDraw.Rows(Pool, 30), FewShotDraw.Shared(Pool, 30)));
        var common = Enumerable.Range(0, 200).Average(draw => FewShotDraw.Of(Pool, 10, draw, 5).Intersect(FewShotDraw.Of(Pool, 10, draw + 200, 5)).Count());
        Assert.Equal(12, common, 0.5);
    }

    [Fact]
    public void The_measured_sample_is_fixed_and_no_larger_than_asked()
    {
        var sample = FewShotDraw.Sample(Pool, 20, 42);
        Assert.Equal(20, sample.Distinct().Count());
        Assert.Equal(sample, FewShotDraw.Sample([.. Pool.AsEnumerable().Reverse()], 20, 42));
        Assert.Equal(Pool.Count, FewShotDraw.Sample(Pool, 1000, 42).Count);
    }
}
