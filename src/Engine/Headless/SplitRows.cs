using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Headless;

/// <summary>Divides rows into train, validation and test so that each label has its share in each part.</summary>
internal static class SplitRows
{
    /// <summary>The same rows and seed give the same parts. A label with few rows keeps at least one in train.</summary>
    public static (List<LabeledText> Train, List<LabeledText> Validation, List<LabeledText> Test) ByLabel(
        IReadOnlyList<LabeledText> rows, double validationShare, double testShare, int seed)
    {
        if (validationShare + testShare >= 1) throw new CommandException($"--validation-share and --test-share leave nothing to train on; together they must be below 1.");
        var random = new Random(seed);
        List<LabeledText> train = [], validation = [], test = [];
        foreach (var label in rows.GroupBy(r => r.Label).OrderBy(g => g.Key))
        {
            var shuffled = label.ToArray();
            random.Shuffle(shuffled);
            var tests = Math.Min((int)Math.Round(shuffled.Length * testShare), shuffled.Length - 1);
            var validations = Math.Min((int)Math.Round(shuffled.Length * validationShare), shuffled.Length - 1 - tests);
            test.AddRange(shuffled[..tests]);
            validation.AddRange(shuffled[tests..(tests + validations)]);
            train.AddRange(shuffled[(tests + validations)..]);
        }
        return (train, validation, test);
    }
}
