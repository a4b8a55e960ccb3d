namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Chooses the tokens that a masked language model must fill in (Devlin et al. 2019, arXiv:1810.04805): of those chosen 80 % become the
/// mask, 10 % a random token of the vocabulary and 10 % stay. Each epoch chooses anew (Liu et al. 2019, arXiv:1907.11692), and a choice
/// depends on the seed, the epoch and the row alone, so a resumed run sees the same.
/// </summary>
/// <param name="maskId">Id of the mask.</param>
/// <param name="vocabularySize">Ids are below it.</param>
/// <param name="special">Ids that are never chosen: padding, the template's tokens, the unknown word and the mask itself.</param>
/// <param name="probability">Of each token to be chosen. A row with any token to choose has at least one chosen.</param>
internal sealed class TokenMasking(int maskId, int vocabularySize, IReadOnlySet<int> special, double probability = 0.15)
{
    private const double ToMask = 0.8, ToRandom = 0.1;

    /// <summary>The row as the model sees it, and what it must fill in: the index and the true id of each chosen token, in order.</summary>
    public (int[] Ids, int[] Positions, int[] Targets) Mask(int[] ids, int seed, long epoch, long row)
    {
        var random = new Random(RowSeed.Of(seed, epoch, row));
        var free = Enumerable.Range(0, ids.Length).Where(i => !special.Contains(ids[i])).ToArray();
        var positions = free.Where(_ => random.NextDouble() < probability).ToArray();
        if (positions.Length == 0 && free.Length > 0) positions = [free[random.Next(free.Length)]];
        var seen = (int[])ids.Clone();
        foreach (var i in positions)
        {
            var fate = random.NextDouble();
            if (fate < ToMask) seen[i] = maskId;
            else if (fate < ToMask + ToRandom) seen[i] = random.Next(vocabularySize);
        }
        return (seen, positions, [.. positions.Select(i => ids[i])]);
    }
}
