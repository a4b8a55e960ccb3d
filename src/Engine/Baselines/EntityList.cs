using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Baselines;

/// <summary>The baseline that knows the entities of the training rows by heart: from left to right it takes the longest run of words that is one of them.</summary>
public sealed class EntityList
{
    readonly Dictionary<string, int> types;
    readonly int longest;

    EntityList(Dictionary<string, int> types, int longest) => (this.types, this.longest) = (types, longest);

    /// <summary>An entity that has several types in training gets its most frequent one, of equally frequent ones the first. Case counts; blanks between words do not.</summary>
    public static EntityList Fit(IReadOnlyList<(string Text, IReadOnlyList<TextSpan> Spans)> rows)
    {
        Dictionary<string, Dictionary<int, int>> seen = new(StringComparer.Ordinal);
        int longest = 0;
        foreach (var (text, spans) in rows)
        {
            foreach (TextSpan span in spans)
            {
                string entity = text[span.Start..span.End];
                var words = Words.Of(entity);
                if (words.Count == 0) continue;
                longest = Math.Max(longest, words.Count);
                string key = Key(entity, words, 0, words.Count);
                if (!seen.TryGetValue(key, out var counts)) seen[key] = counts = [];
                counts[span.Label] = counts.GetValueOrDefault(span.Label) + 1;
            }
        }
        return new(seen.ToDictionary(s => s.Key, s => s.Value.OrderByDescending(t => t.Value).ThenBy(t => t.Key).First().Key, StringComparer.Ordinal), longest);
    }

    /// <summary>Number of different entities that are known.</summary>
    public int Count => types.Count;

    public IReadOnlyList<TextSpan> Predict(string text)
    {
        List<TextSpan> found = [];
        var words = Words.Of(text);
        for (int i = 0; i < words.Count;)
        {
            int length = Math.Min(longest, words.Count - i), type = -1;
            while (length > 0 && !types.TryGetValue(Key(text, words, i, length), out type)) length--;
            if (length > 0) found.Add(new(words[i].Start, words[i + length - 1].End, type));
            i += Math.Max(1, length);
        }
        return found;
    }

    static string Key(string text, List<(int Start, int End)> words, int from, int count) =>
        string.Join(' ', words.Skip(from).Take(count).Select(w => text[w.Start..w.End]));
}
