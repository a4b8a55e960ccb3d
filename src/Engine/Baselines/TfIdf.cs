using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace FineTuneStudio.Engine.Baselines;

/// <summary>
/// Rows of TF-IDF weights, as scikit-learn's TfidfVectorizer gives them with its defaults: lower case, words of two or
/// more letters, digits or underscores, raw counts times ln((1 + rows) / (1 + rows with the word)) + 1, each row scaled
/// to length 1.
/// </summary>
sealed class TfIdf
{
    readonly Dictionary<string, int> words;
    readonly double[] inverseFrequencies;

    TfIdf(Dictionary<string, int> words, double[] inverseFrequencies, int seen) => (this.words, this.inverseFrequencies, Seen) = (words, inverseFrequencies, seen);

    /// <summary>Number of features.</summary>
    public int Count => inverseFrequencies.Length;

    /// <summary>Different words in the texts it was fitted on, kept or not.</summary>
    public int Seen { get; }

    /// <param name="most">Keeps only this many words, the most frequent ones.</param>
    public static TfIdf Fit(IReadOnlyList<string> texts, int most, CancellationToken cancel)
    {
        Dictionary<string, (int Rows, int Times, int LastRow)> seen = new(StringComparer.Ordinal);
        for (int row = 0; row < texts.Count; row++)
        {
            if (row % 1024 == 0) cancel.ThrowIfCancellationRequested();
            foreach (string word in Words(texts[row]))
            {
                ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(seen, word, out bool known);
                if (!known || entry.LastRow != row) entry.Rows++;
                entry.Times++;
                entry.LastRow = row;
            }
        }
        var kept = seen.AsEnumerable();
        if (seen.Count > most) kept = kept.OrderByDescending(w => w.Value.Times).ThenBy(w => w.Key, StringComparer.Ordinal).Take(most);
        Dictionary<string, int> words = new(StringComparer.Ordinal);
        List<double> inverse = [];
        foreach (var (word, (rows, _, _)) in kept.OrderBy(w => w.Key, StringComparer.Ordinal))
        {
            words.Add(word, words.Count);
            inverse.Add(Math.Log((1.0 + texts.Count) / (1 + rows)) + 1);
        }
        return new(words, [.. inverse], seen.Count);
    }

    /// <summary>The known words of a text as feature indices in order, with their weights.</summary>
    public (int[] Features, double[] Weights) Transform(string text)
    {
        SortedDictionary<int, double> counts = [];
        foreach (string word in Words(text))
        {
            if (words.TryGetValue(word, out int feature)) counts[feature] = counts.GetValueOrDefault(feature) + 1;
        }
        int[] features = [.. counts.Keys];
        double[] weights = [.. counts.Select(c => c.Value * inverseFrequencies[c.Key])];
        double length = Math.Sqrt(weights.Sum(w => w * w));
        for (int i = 0; i < weights.Length; i++) weights[i] /= length;
        return (features, weights);
    }

    static IEnumerable<string> Words(string text)
    {
        string lower = text.ToLowerInvariant();
        int start = -1, letters = 0;
        for (int i = 0; i <= lower.Length; i++)
        {
            int width = 1;
            bool word = false;
            if (i < lower.Length)
            {
                Rune.DecodeFromUtf16(lower.AsSpan(i), out Rune rune, out width);
                word = rune.Value == '_' || IsWordCategory(Rune.GetUnicodeCategory(rune));
            }
            if (word)
            {
                if (start < 0) (start, letters) = (i, 0);
                letters++;
            }
            else
            {
                if (start >= 0 && letters >= 2) yield return lower[start..i];
                start = -1;
            }
            i += width - 1;
        }
    }

    static bool IsWordCategory(UnicodeCategory category) => category is
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter
        or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;
}
