using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>Questions about small made-up reports, of which a few hundred teach where a name, a place, a day or a number stands.</summary>
static class SmallQuestions
{
    private static readonly (string Question, string[] Says, string[] Values)[] Facts =
    [
        ("Who carried it?", ["{0} carried it.", "It was carried by {0}."], ["Anna", "Carla Moor", "Ella", "Ben Stone"]),
        ("Where was it found?", ["It was found in {0}.", "In {0} it was found."], ["the old harbour", "Dover", "the north gate", "Oslo"]),
        ("When did it happen?", ["This happened on {0}.", "On {0} this happened."], ["Monday", "Friday", "Sunday night", "Tuesday"]),
        ("How many boxes were there?", ["There were {0} boxes.", "We counted {0} boxes."], ["seven", "twelve", "forty", "three"]),
    ];

    /// <param name="without">Of so many rows one asks for what the report does not say; 0 for none.</param>
    public static List<QuestionedText> Rows(int count, int seed, int without = 5)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(1, count).Select(i =>
        {
            var asked = random.Next(Facts.Length);
            var missing = without > 0 && i % without == 0;
            var told = Enumerable.Range(0, Facts.Length).Where(f => f == asked ? !missing : random.Next(4) > 0).ToArray();
            random.Shuffle(told);
            var (context, answers) = ("Report:", new List<GoldAnswer>());
            foreach (var fact in told)
            {
                var (says, value) = (Facts[fact].Says[random.Next(2)], Facts[fact].Values[random.Next(4)]);
                var start = context.Length + 1 + says.IndexOf("{0}", StringComparison.Ordinal);
                context += " " + says.Replace("{0}", value);
                if (fact == asked) answers.Add(new(value, start));
            }
            return new QuestionedText(i, TextPair.Join(Facts[asked].Question, context), answers);
        })];
    }
}
