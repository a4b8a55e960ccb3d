using System.Diagnostics;
using FineTuneStudio.Splits;
using Row = FineTuneStudio.Splits.StratifiedSplit.Row;

namespace FineTuneStudio.Tests.Splits;

public sealed class StratifiedSplitTests
{
    private static readonly double[] Usual = [0.8, 0.1, 0.1];

    private static int[] Count(IReadOnlyList<Row> rows, SplitPart[] parts, int label) =>
        [.. Enum.GetValues<SplitPart>().Select(p => Enumerable.Range(0, rows.Count).Count(i => rows[i].Label == label && parts[i] == p))];

    private static List<Row> Rows(params (int Label, UInt128 Key)[] rows) => [.. rows.Select((r, i) => new Row(i + 1, r.Key, r.Label))];

    private static List<Row> Different(params int[] counts) =>
        Rows([.. counts.SelectMany((n, label) => Enumerable.Repeat(label, n)).Select((label, i) => (label, (UInt128)i))]);

    [Fact]
    public void Each_label_is_divided_by_the_shares()
    {
        var rows = Different(100, 50, 10);
        var parts = StratifiedSplit.Divide(rows, 3, Usual, 1);
        Assert.Equal([80, 10, 10], Count(rows, parts, 0));
        Assert.Equal([40, 5, 5], Count(rows, parts, 1));
        Assert.Equal([8, 1, 1], Count(rows, parts, 2));
    }

    [Fact]
    public void Rounding_favours_neither_validation_nor_test()
    {
        var rows = Different([.. Enumerable.Repeat(14, 77)]);
        var parts = StratifiedSplit.Divide(rows, 77, Usual, 1);
        Assert.InRange(parts.Count(p => p == SplitPart.Validation), 107, 109);
        Assert.InRange(parts.Count(p => p == SplitPart.Test), 107, 109);
    }

    [Fact]
    public void A_label_with_three_rows_has_one_in_each_part_and_a_rarer_one_stays_in_train()
    {
        var rows = Different(200, 3, 2, 1);
        var parts = StratifiedSplit.Divide(rows, 4, Usual, 5);
        Assert.Equal([1, 1, 1], Count(rows, parts, 1));
        Assert.Equal([2, 0, 0], Count(rows, parts, 2));
        Assert.Equal([1, 0, 0], Count(rows, parts, 3));
    }

    [Fact]
    public void Rows_with_the_same_text_stay_on_one_side_even_where_their_labels_differ()
    {
        var random = new Random(3);
        var rows = Rows([.. Enumerable.Range(0, 5000).Select(_ => (random.Next(5), (UInt128)random.Next(1500)))]);
        for (var seed = 0; seed < 5; seed++)
        {
            var parts = StratifiedSplit.Divide(rows, 5, [0.6, 0.2, 0.2], seed);
            Assert.All(rows.Zip(parts).GroupBy(r => r.First.Key), text => Assert.Single(text.Select(r => r.Second).Distinct()));
            for (var label = 0; label < 5; label++)
            {
                var counts = Count(rows, parts, label);
                Assert.InRange((double)counts[0] / counts.Sum(), 0.57, 0.63);
                Assert.InRange((double)counts[2] / counts.Sum(), 0.17, 0.23);
            }
        }
    }

    [Fact]
    public void A_text_repeated_many_times_leaves_the_other_parts_their_share_of_the_label()
    {
        var rows = Rows([.. Enumerable.Range(0, 40).Select(_ => (0, (UInt128)1)), .. Enumerable.Range(0, 2).Select(i => (0, (UInt128)(10 + i))), .. Enumerable.Range(0, 50).Select(i => (1, (UInt128)(100 + i)))]);
        var counts = Count(rows, StratifiedSplit.Divide(rows, 2, Usual, 0), 0);
        Assert.Equal([40, 1, 1], counts);
    }

    [Fact]
    public void The_same_seed_gives_the_same_parts_and_another_seed_others()
    {
        var rows = Different(300, 300);
        var first = StratifiedSplit.Divide(rows, 2, Usual, 7);
        Assert.Equal(first, StratifiedSplit.Divide(rows, 2, Usual, 7));
        Assert.NotEqual(first, StratifiedSplit.Divide(rows, 2, Usual, 8));
    }

    [Fact]
    public void Any_small_data_keeps_the_promises()
    {
        var random = new Random(11);
        for (var round = 0; round < 2000; round++)
        {
            var labels = random.Next(1, 5);
            var rows = Rows([.. Enumerable.Range(0, random.Next(1, 30)).Select(_ => (random.Next(labels), (UInt128)random.Next(25)))]);
            var parts = StratifiedSplit.Divide(rows, labels, [0.34, 0.33, 0.33], round);
            Assert.All(rows.Zip(parts).GroupBy(r => r.First.Key), text => Assert.Single(text.Select(r => r.Second).Distinct()));
            for (var label = 0; label < labels; label++)
            {
                var own = rows.GroupBy(r => r.Key).Where(g => g.All(r => r.Label == label)).Select(g => g.Count()).ToList();
                if (own.Count == rows.GroupBy(r => r.Key).Count(g => g.Any(r => r.Label == label)) && own.Count >= 3)
                    Assert.All(Count(rows, parts, label), n => Assert.True(n > 0, $"round {round}: label {label} misses a part"));
            }
        }
    }

    [Fact, Trait("Cost", "Slow")]
    public void A_million_rows_take_seconds()
    {
        var random = new Random(1);
        var rows = Rows([.. Enumerable.Range(0, 1_000_000).Select(_ => (random.Next(100), (UInt128)random.Next(900_000)))]);
        var watch = Stopwatch.StartNew();
        var parts = StratifiedSplit.Divide(rows, 100, Usual, 1);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"{watch.Elapsed}");
        Assert.InRange(parts.Count(p => p == SplitPart.Test), 99_000, 101_000);
    }
}
