using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Tests.FewShot;

public sealed class MoreRowsTests
{
    private static readonly int[] Sizes = [8, 16, 32, 64, 128, 256];

    private static List<(int Draw, int Rows, double Error)> Points(Func<int, int, double> error, int draws = 3, int[]? sizes = null) =>
        [.. Enumerable.Range(0, draws).SelectMany(draw => (sizes ?? Sizes).Select(n => (draw, n, error(draw, n))))];

    [Theory]
    [InlineData(0.1, 1.2, 0.5)]
    [InlineData(0.05, 0.9, 0.3)]
    [InlineData(0.2, 2.5, 1)]
    [InlineData(0, 1, 0.25)]
    public void A_law_is_found_again_from_its_own_points(double a, double b, double c)
    {
        PowerLaw law = new(a, b, c), found = MoreRows.Fit(Points((_, n) => law.ErrorAt(n), draws: 1)).Law!;
        Assert.Equal(c, found.C, 1e-3);
        foreach (var n in new[] { 8, 256, 1024 }) Assert.Equal(law.ErrorAt(n), found.ErrorAt(n), 1e-4);
    }

    [Fact]
    public void The_weighted_fit_is_scipy_s()
    {
        // scipy 1.10.1: curve_fit(lambda n, a, b, c: a + b * n**-c, n, error, p0=[.1, 1, .5], sigma=..., bounds=([0, 0, .02], [1, 50, 3]), tolerances 1e-14).
        double[][] draws = [[.62, .50, .41, .33, .27, .24], [.66, .52, .38, .35, .26, .22], [.60, .54, .43, .31, .29, .23]];
        double[] sigma = [.04, .03, .03, .02, .015, .01];
        var law = PowerLaw.Fit([.. draws.SelectMany(d => d.Select((e, i) => ((double)Sizes[i], e, 1 / (sigma[i] * sigma[i]))))]);
        Assert.Equal(0.07859106, law.A, 1e-5);
        Assert.Equal(1.22167588, law.B, 1e-4);
        Assert.Equal(0.37734619, law.C, 1e-5);
        Assert.Equal(0.19463522418135953, law.ErrorAt(512), 1e-7);
    }

    [Fact]
    public void How_many_more_rows_follows_from_the_law()
    {
        // 0.1 + 1.2 / sqrt(256) = 0.175; 0.155 is met where 1.2 / sqrt(n) = 0.055: at 476.03 rows.
        var answer = MoreRows.Fit(Points((_, n) => 0.1 + 1.2 / Math.Sqrt(n))).Answer(0.02, Metric.MacroF1);
        Assert.Equal((MoreRowsKind.Found, 256), (answer.Kind, answer.Now));
        Assert.InRange(answer.More!.Value, 219, 223);
        Assert.InRange(answer.Low!.Value, 217, answer.More.Value);
        Assert.InRange(answer.High!.Value, answer.More.Value, 225);
        Assert.Equal("To gain 2 points of macro-F1 over now (256 rows), label about 220 more rows (95 % interval 220 to 220).", answer.Sentence);
        // From 128 rows on: 0.2061 - 0.02 is met at 194 rows.
        Assert.InRange(MoreRows.Fit(Points((_, n) => 0.1 + 1.2 / Math.Sqrt(n))).Answer(0.02, now: 128).More!.Value, 64, 68);
    }

    [Fact]
    public void The_more_the_draws_differ_the_wider_the_interval_is()
    {
        double[] wave = [1, -0.6, 0.3, -0.9, 0.7, -0.5];
        MoreRows Noisy(double size) => MoreRows.Fit(Points((draw, n) => 0.1 + 1.2 / Math.Sqrt(n) + size / Math.Sqrt(n) * wave[(Array.IndexOf(Sizes, n) + 2 * draw) % 6]));
        Interval little = Noisy(0.02).ErrorInterval(512)!, much = Noisy(0.2).ErrorInterval(512)!;
        Assert.True(much.High - much.Low > 4 * (little.High - little.Low), $"{little} and {much}");
        Assert.InRange(0.1 + 1.2 / Math.Sqrt(512), much.Low, much.High);
        var answer = Noisy(0.02).Answer(0.02);
        Assert.True(answer.Low < answer.More && answer.More < answer.High, answer.ToString());
        Assert.Equal(Noisy(0.2).Answer(0.02), Noisy(0.2).Answer(0.02));
    }

    [Theory]
    [InlineData(2, 0.1, 1.2, 0.5)]
    [InlineData(3, 0.02, 0.9, 0.25)]
    public void The_intervals_hold_the_truth_of_simulated_curves_about_as_often_as_they_say(int draws, double a, double b, double c)
    {
        var (random, law, held) = (new Random(11), new PowerLaw(a, b, c), 0);
        double Noise() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        for (var curve = 0; curve < 12; curve++)
        {
            var interval = MoreRows.Fit(Points((_, n) => Math.Clamp(law.ErrorAt(n) + 0.25 / Math.Sqrt(n) * Noise(), 0, 1), draws)).ErrorInterval(768)!;
            if (interval.Low <= law.ErrorAt(768) && law.ErrorAt(768) <= interval.High) held++;
        }
        Assert.InRange(held, 10, 12);
    }

    [Fact]
    public void Where_some_numbers_of_rows_have_one_draw_alone_their_neighbours_tell_the_spread()
    {
        double Error(int draw, int n) => 0.1 + 1.2 / Math.Sqrt(n) + 0.01 * draw;
        var half = MoreRows.Fit([.. Points(Error, draws: 1), .. Points((_, n) => Error(1, n), draws: 1, sizes: [8, 16]).Select(p => (1, p.Rows, p.Error))]);
        var (interval, law) = (half.ErrorInterval(512)!, half.Law!);
        Assert.True(interval.Low < law.ErrorAt(512) && law.ErrorAt(512) < interval.High, $"{interval} around {law.ErrorAt(512)}");
    }

    [Fact]
    public void A_flat_curve_is_called_flat()
    {
        var flat = MoreRows.Fit(Points((draw, _) => 0.3 + 0.001 * draw)).Answer(0.02);
        Assert.Equal((MoreRowsKind.Flat, null), (flat.Kind, flat.More));
        Assert.Equal("The curve is flat: up to 1,024 rows, 4 times the largest number measured, it promises no gain over now (256 rows); more rows of this kind are not what is missing.", flat.Sentence);
        Assert.Equal(MoreRowsKind.Flat, MoreRows.Fit(Points((_, n) => 0.2 + 0.001 * n / 256)).Answer(0.02).Kind);
        Assert.Contains("it promises a gain of 0.4 points over now (256 rows)", MoreRows.Fit(Points((_, n) => 0.2 + 1 / (double)n / 0.75)).Answer(0.02).Sentence);
    }

    [Fact]
    public void A_curve_whose_draws_differ_too_much_to_call_it_flat_is_called_unclear()
    {
        var unclear = MoreRows.Fit(Points((draw, n) => 0.8 + 0.1 * (draw - 1) * (n % 3 - 1.5), sizes: [8, 16, 32])).Answer(0.02, Metric.MacroF1);
        Assert.Equal((MoreRowsKind.Unclear, null), (unclear.Kind, unclear.More));
        Assert.Matches(@"^The curve does not rise any more, but its draws differ so much that it may yet gain up to [0-9.]+ points of macro-F1 over now \(32 rows\) by 128 rows, 4 times the largest number measured; more draws or more examples a label would tell\.$", unclear.Sentence);
    }

    [Fact]
    public void Beyond_four_times_the_largest_number_measured_nothing_is_promised()
    {
        var curve = MoreRows.Fit(Points((_, n) => 0.1 + 1.2 / Math.Sqrt(n)));
        var far = curve.Answer(0.05);
        Assert.Equal((MoreRowsKind.Beyond, null), (far.Kind, far.More));
        Assert.Equal("How many rows gain 5 points of accuracy over now (256 rows) is beyond what the curve can tell: up to 1,024 rows, 4 times the largest number measured, it promises 3.8 points (95 % interval 3.8 to 3.8).", far.Sentence);
        Assert.Equal("The curve was measured up to 256 rows, so it can tell nothing about more than 1,024, and there are 5,000 already; measure it with more examples a label.", curve.Answer(0.01, now: 5000).Sentence);
    }

    [Fact]
    public void A_curve_of_fewer_than_three_sizes_says_so_and_one_draw_has_no_interval()
    {
        Assert.Equal("There is no point yet, so nothing can be foreseen.", MoreRows.Fit([]).Answer(0.02).Sentence);
        var one = MoreRows.Fit(Points((_, _) => 0.3, sizes: [8])).Answer(0.02);
        Assert.Equal((MoreRowsKind.TooFew, "Only one number of rows was measured; what more rows would bring can be foreseen from at least three."), (one.Kind, one.Sentence));
        Assert.Equal("Only two numbers of rows were measured; what more rows would bring can be foreseen from at least three.", MoreRows.Fit(Points((_, _) => 0.3, sizes: [8, 16])).Answer(0.02).Sentence);
        var single = MoreRows.Fit(Points((_, n) => 0.1 + 1.2 / Math.Sqrt(n), draws: 1));
        Assert.Null(single.ErrorInterval(512));
        Assert.Equal("To gain 1 point of accuracy over now (256 rows), label about 85 more rows (with one draw nothing can be said of how sure that is).", single.Answer(0.01).Sentence);
    }

    [Fact]
    public void A_gain_that_is_none_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => MoreRows.Fit([]).Answer(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => MoreRows.Fit([]).Answer(1));
    }
}
