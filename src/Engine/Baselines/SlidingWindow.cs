using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Baselines;

/// <summary>
/// The baseline that learns no language: it answers with the words of the context that stand nearest to most words of the question, rare words
/// counting more (the sliding window with distances of Richardson et al. 2013, MCTest, with answers taken from the context as in Rajpurkar et al. 2016).
/// </summary>
public sealed class SlidingWindow
{
    /// <summary>Words on either side of an answer that are compared with the question.</summary>
    const int Around = 8;

    readonly Dictionary<string, int> counts;

    SlidingWindow(Dictionary<string, int> counts, int length) => (this.counts, Length) = (counts, length);

    /// <summary>Words of every answer: the median of the train rows' answers.</summary>
    public int Length { get; }

    /// <param name="rows">Context and answer of each train row, "" for none.</param>
    public static SlidingWindow Fit(IReadOnlyList<(string Context, string Answer)> rows)
    {
        Dictionary<string, int> counts = new(StringComparer.Ordinal);
        foreach (string context in rows.Select(r => r.Context).Distinct())
            foreach (string word in WordsOf(context).Select(w => w.Word)) counts[word] = counts.GetValueOrDefault(word) + 1;
        int[] lengths = [.. rows.Select(r => WordsOf(r.Answer).Count).Where(n => n > 0).Order()];
        return new(counts, lengths.Length == 0 ? 1 : lengths[lengths.Length / 2]);
    }

    /// <summary>The answer as it stands in the context; "" where the context has no word that the question lacks.</summary>
    public string Predict(string question, string context)
    {
        var words = WordsOf(context);
        HashSet<string> asked = [.. WordsOf(question).Select(w => w.Word)];
        double Weight(string word) => Math.Log(1 + 1.0 / (1 + counts.GetValueOrDefault(word)));
        var (best, top) = ("", double.NegativeInfinity);
        for (int at = 0; at + Length <= words.Count; at++)
        {
            // What the question says already is not what it asks for.
            if (words.Skip(at).Take(Length).Any(w => asked.Contains(w.Word) || !char.IsLetterOrDigit(w.Word[0]))) continue;
            Dictionary<string, int> near = new(StringComparer.Ordinal);
            for (int i = Math.Max(0, at - Around); i < Math.Min(words.Count, at + Length + Around); i++)
                if (asked.Contains(words[i].Word))
                {
                    int distance = i < at ? at - i : i - at - Length + 1;
                    near[words[i].Word] = Math.Min(distance, near.GetValueOrDefault(words[i].Word, int.MaxValue));
                }
            double score = near.Sum(n => Weight(n.Key) / n.Value);
            if (score > top) (best, top) = (context[words[at].Start..words[at + Length - 1].End], score);
        }
        return best;
    }

    static List<(string Word, int Start, int End)> WordsOf(string text) => [.. Words.Of(text).Select(w => (text[w.Start..w.End].ToLowerInvariant(), w.Start, w.End))];
}
