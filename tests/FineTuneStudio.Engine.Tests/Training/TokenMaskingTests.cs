using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

public sealed class TokenMaskingTests
{
    private const int Cls = 2, Sep = 3, MaskId = 4, Vocabulary = 8000;
    private static readonly TokenMasking Masking = new(MaskId, Vocabulary, new HashSet<int> { 0, Cls, Sep });

    private static int[] Row(int row) => [Cls, .. Enumerable.Range(0, 126).Select(i => 5 + (row * 131 + i * 17) % (Vocabulary - 5)), Sep];

    [Fact]
    public void Fifteen_in_a_hundred_tokens_are_asked_for_of_which_eight_tenths_are_masked_one_is_random_and_one_stays()
    {
        var (asked, masked, random, kept, all) = (0, 0, 0, 0, 0);
        for (var row = 0; row < 2000; row++)
        {
            var ids = Row(row);
            var (seen, positions, targets) = Masking.Mask(ids, seed: 1, epoch: 0, row);
            Assert.Equal(positions.Select(i => ids[i]), targets);
            Assert.Equal(positions.Order().Distinct(), positions);
            Assert.All(Enumerable.Range(0, ids.Length).Except(positions), i => Assert.Equal(ids[i], seen[i]));
            (all, asked) = (all + 126, asked + positions.Length);
            foreach (var i in positions)
                if (seen[i] == MaskId) masked++;
                else if (seen[i] == ids[i]) kept++;
                else
                {
                    random++;
                    Assert.InRange(seen[i], 0, Vocabulary - 1);
                }
        }
        Assert.InRange((double)asked / all, 0.147, 0.153);
        Assert.InRange((double)masked / asked, 0.79, 0.81);
        Assert.InRange((double)random / asked, 0.093, 0.107);
        Assert.InRange((double)kept / asked, 0.093, 0.107);
    }

    [Fact]
    public void Special_tokens_are_never_asked_for_and_a_short_text_is_asked_for_something()
    {
        for (var row = 0; row < 200; row++)
        {
            Assert.DoesNotContain(0, Masking.Mask(Row(row), 1, 0, row).Positions);
            Assert.DoesNotContain(127, Masking.Mask(Row(row), 1, 0, row).Positions);
            Assert.Equal([1], Masking.Mask([Cls, 77, Sep, 0, 0], 1, 0, row).Positions);
        }
        Assert.Empty(Masking.Mask([Cls, Sep], 1, 0, 0).Positions);
    }

    [Fact]
    public void A_choice_is_the_same_again_for_the_same_seed_epoch_and_row_and_another_for_any_other()
    {
        var ids = Row(0);
        string Choice(int seed, long epoch, long row) => string.Join(' ', Masking.Mask(ids, seed, epoch, row).Ids);
        Assert.Equal(Choice(1, 2, 3), Choice(1, 2, 3));
        var choices = new[] { Choice(1, 2, 3), Choice(2, 2, 3), Choice(1, 3, 3), Choice(1, 2, 4), Choice(2, 1, 3), Choice(1, 3, 2), Choice(-1, 2, 3) };
        Assert.Equal(choices.Length, choices.Distinct().Count());
        // Pinned: a run that is resumed by a later version must see what it would have seen.
        Assert.Equal([2, 4], Masking.Mask([Cls, .. Enumerable.Range(100, 12), Sep], 7, 1, 2).Positions);
    }
}
