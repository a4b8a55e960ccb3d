using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Baselines;

/// <summary>The baseline that gives every question the answer that is the commonest in training, which may be that there is none.</summary>
public sealed class MostFrequentAnswer
{
    MostFrequentAnswer(string answer, int rows) => (Answer, Rows) = (answer, rows);

    /// <summary>As it was first written; "" where most rows have no answer.</summary>
    public string Answer { get; }

    /// <summary>Train rows that have it.</summary>
    public int Rows { get; }

    /// <summary>Answers count as the same by <see cref="AnswerOverlap.Normalised"/>. Of those that are equally frequent, the first is taken.</summary>
    /// <param name="answers">The answer of each train row, "" for none; at least one.</param>
    public static MostFrequentAnswer Fit(IReadOnlyList<string> answers)
    {
        if (answers.Count == 0) throw new ArgumentException("There are no answers to count.");
        var most = answers.GroupBy(AnswerOverlap.Normalised).MaxBy(g => g.Count())!;
        return new(most.First(), most.Count());
    }
}
