using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Baselines;

/// <summary>The baseline that gives each word the tag that it has most often in training, whatever stands around it; a word that was not seen gets none.</summary>
public sealed class MostFrequentTags
{
    readonly Dictionary<string, int> tags;

    MostFrequentTags(Dictionary<string, int> tags) => this.tags = tags;

    /// <summary>Case counts. Of tags that are equally frequent, the first is taken, and no entity comes before all others.</summary>
    public static MostFrequentTags Fit(IReadOnlyList<(string Text, IReadOnlyList<TextSpan> Spans)> rows)
    {
        Dictionary<string, Dictionary<int, int>> seen = new(StringComparer.Ordinal);
        foreach (var (text, spans) in rows)
        {
            var words = Words.Of(text);
            int[] its = SpanTags.Of(words, spans);
            for (int i = 0; i < its.Length; i++)
            {
                string word = text[words[i].Start..words[i].End];
                if (!seen.TryGetValue(word, out var counts)) seen[word] = counts = [];
                counts[its[i]] = counts.GetValueOrDefault(its[i]) + 1;
            }
        }
        return new(seen.Select(s => (s.Key, Tag: s.Value.OrderByDescending(t => t.Value).ThenBy(t => t.Key).First().Key)).Where(s => s.Tag != 0)
            .ToDictionary(s => s.Key, s => s.Tag, StringComparer.Ordinal));
    }

    public IReadOnlyList<TextSpan> Predict(string text)
    {
        var words = Words.Of(text);
        return SpanTags.Spans(words, [.. words.Select(w => tags.GetValueOrDefault(text[w.Start..w.End]))]);
    }
}
