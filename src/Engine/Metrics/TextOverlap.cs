using System.Text;
using System.Text.RegularExpressions;

namespace FineTuneStudio.Engine.Metrics;

/// <summary>How much of a reference a text has, and how much of the text is in the reference.</summary>
public readonly record struct Overlap(double Precision, double Recall)
{
    /// <summary>Harmonic mean; 0 where both are.</summary>
    public double F1 => Precision + Recall > 0 ? 2 * Precision * Recall / (Precision + Recall) : 0;
}

/// <summary>How near a written answer comes to a reference answer.</summary>
public static partial class TextOverlap
{
    /// <summary>
    /// ROUGE-N (Lin 2004): runs of n words that both have. Words are lower-cased runs of a-z and 0-9, without stemming, as in
    /// Google's implementation; texts in other scripts therefore score 0.
    /// </summary>
    public static Overlap Rouge(string text, string reference, int n)
    {
        var (ours, theirs) = (Runs(RougeWords(text), n), Runs(RougeWords(reference), n));
        double both = Both(ours, theirs);
        return new(both / Math.Max(1, ours.Values.Sum()), both / Math.Max(1, theirs.Values.Sum()));
    }

    /// <summary>Whether ROUGE sees any word in a text.</summary>
    public static bool HasRougeWords(string text) => RougeWords(text).Length > 0;

    /// <summary>ROUGE-L: the longest common subsequence of words, as <see cref="Rouge"/> counts words.</summary>
    public static Overlap RougeL(string text, string reference)
    {
        var (ours, theirs) = (RougeWords(text), RougeWords(reference));
        if (ours.Length == 0 || theirs.Length == 0) return default;
        var row = new int[theirs.Length + 1];
        foreach (var word in ours)
        {
            var diagonal = 0;
            for (var j = 1; j <= theirs.Length; j++)
            {
                var above = row[j];
                row[j] = word == theirs[j - 1] ? diagonal + 1 : Math.Max(row[j], row[j - 1]);
                diagonal = above;
            }
        }
        return new((double)row[^1] / ours.Length, (double)row[^1] / theirs.Length);
    }

    /// <summary>chrF2 (Popović 2015) of one text, 0 to 100: F-score with beta 2 over runs of 1 to 6 characters, blanks left out, as sacrebleu computes it.</summary>
    public static double Chrf(string text, string reference) => Chrf([text], [reference]);

    /// <summary>chrF2 of a whole set: the counts of all texts are summed first.</summary>
    public static double Chrf(IReadOnlyList<string> texts, IReadOnlyList<string> references)
    {
        Check(texts, references);
        var sums = new CharacterCounts();
        for (var i = 0; i < texts.Count; i++) sums.Add(CharacterCounts.Of(texts[i], references[i]));
        return sums.Chrf();
    }

    /// <summary>What <see cref="Chrf(IReadOnlyList{string}, IReadOnlyList{string})"/> needs of each text, counted once, so that many draws of rows cost little.</summary>
    public static ChrfCounts CountCharacters(IReadOnlyList<string> texts, IReadOnlyList<string> references)
    {
        Check(texts, references);
        return new([.. texts.Select((text, i) => CharacterCounts.Of(text, references[i]))]);
    }

    /// <summary>Counted texts.</summary>
    public sealed class ChrfCounts
    {
        private readonly CharacterCounts[] counts;

        internal ChrfCounts(CharacterCounts[] counts) => this.counts = counts;

        /// <summary>chrF2 of the given texts, which may come several times.</summary>
        public double Chrf(int[] rows)
        {
            var sums = new CharacterCounts();
            foreach (var row in rows) sums.Add(counts[row]);
            return sums.Chrf();
        }
    }

    /// <summary>
    /// BLEU (Papineni et al. 2002) of a whole set with one reference each, 0 to 100: runs of up to 4 tokens, exponential smoothing
    /// and the tokenisation of mteval-v13a, which are sacrebleu's defaults.
    /// </summary>
    public static double Bleu(IReadOnlyList<string> texts, IReadOnlyList<string> references)
    {
        Check(texts, references);
        var (matches, totals, ours, theirs) = (new double[4], new double[4], 0, 0);
        for (var i = 0; i < texts.Count; i++)
        {
            var (text, reference) = (BleuTokens(texts[i]), BleuTokens(references[i]));
            (ours, theirs) = (ours + text.Length, theirs + reference.Length);
            for (var n = 1; n <= 4; n++)
            {
                var runs = Runs(text, n);
                matches[n - 1] += Both(runs, Runs(reference, n));
                totals[n - 1] += runs.Values.Sum();
            }
        }
        var (logs, smooth) = (0.0, 1.0);
        for (var n = 0; n < 4; n++)
        {
            if (totals[n] == 0 || matches[0] == 0) return 0;
            if (matches[n] == 0) smooth *= 2;
            logs += Math.Log(matches[n] > 0 ? matches[n] / totals[n] : 1 / (smooth * totals[n]));
        }
        return 100 * Math.Exp(logs / 4) * (ours < theirs ? Math.Exp(1 - (double)theirs / ours) : 1);
    }

    /// <summary>Splits off punctuation as mteval-v13a does, but where it stands between digits.</summary>
    public static string[] BleuTokens(string text)
    {
        text = text.Replace("<skipped>", "").Replace("-\n", "").Replace('\n', ' ').Replace("&quot;", "\"").Replace("&amp;", "&").Replace("&lt;", "<").Replace("&gt;", ">");
        text = Symbols().Replace($" {text} ", " $1 ");
        text = AfterNoDigit().Replace(text, "$1 $2 ");
        text = BeforeNoDigit().Replace(text, " $1 $2");
        return DashAfterDigit().Replace(text, "$1 $2 ").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>Equal but for case, blanks at the ends, and runs of blanks.</summary>
    public static bool IsExactMatch(string text, string reference) => string.Equals(Normalised(text), Normalised(reference), StringComparison.OrdinalIgnoreCase);

    /// <summary>
    /// Whether the last number of both texts is the same: what counts in arithmetic problems whose answer ends with it, as those
    /// of GSM8K (Cobbe et al. 2021, arXiv:2110.14168), whose own scoring reads only the number after ####. A reference without any number is compared as a whole.
    /// </summary>
    public static bool IsLastNumberEqual(string text, string reference) =>
        LastNumber(reference) is not { } expected ? IsExactMatch(text, reference) : LastNumber(text) is { } found && found == expected;

    /// <summary>The last number of a text, without the commas of its thousands; null where it has none.</summary>
    public static decimal? LastNumber(string text) =>
        Numbers().Matches(text) is { Count: > 0 } all && decimal.TryParse(all[^1].Value.Replace(",", ""), System.Globalization.NumberStyles.Number, System.Globalization.CultureInfo.InvariantCulture, out var value) ? value : null;

    /// <summary>Counts of one text for chrF: additive, so that those of a set are their sum.</summary>
    internal sealed class CharacterCounts
    {
        private readonly int[] text = new int[6], reference = new int[6], both = new int[6];

        public static CharacterCounts Of(string text, string reference)
        {
            var counts = new CharacterCounts();
            var (ours, theirs) = (Characters(text), Characters(reference));
            for (var n = 1; n <= 6; n++)
            {
                var (a, b) = (Runs(ours, n), Runs(theirs, n));
                // What is written beside a reference without any run of this length is not counted against it, as in sacrebleu 2.
                (counts.text[n - 1], counts.reference[n - 1], counts.both[n - 1]) = (b.Count == 0 ? 0 : a.Values.Sum(), b.Values.Sum(), Both(a, b));
            }
            return counts;
        }

        public void Add(CharacterCounts other)
        {
            for (var n = 0; n < 6; n++) (text[n], reference[n], both[n]) = (text[n] + other.text[n], reference[n] + other.reference[n], both[n] + other.both[n]);
        }

        public double Chrf()
        {
            var (precision, recall, orders) = (0.0, 0.0, 0);
            for (var n = 0; n < 6; n++)
            {
                if (text[n] == 0 || reference[n] == 0) continue;
                precision += (double)both[n] / text[n];
                recall += (double)both[n] / reference[n];
                orders++;
            }
            if (orders == 0 || precision + recall == 0) return 0;
            (precision, recall) = (precision / orders, recall / orders);
            return 100 * 5 * precision * recall / (4 * precision + recall);
        }

        private static string[] Characters(string text) => [.. text.EnumerateRunes().Where(r => !Rune.IsWhiteSpace(r)).Select(r => r.ToString())];
    }

    private static void Check(IReadOnlyList<string> texts, IReadOnlyList<string> references)
    {
        if (texts.Count != references.Count || texts.Count == 0) throw new ArgumentException($"There are {texts.Count} texts and {references.Count} references; each text needs one, and at least one text is needed.");
    }

    private static string[] RougeWords(string text) => [.. RougeWord().Matches(text.ToLowerInvariant()).Select(m => m.Value)];

    private static Dictionary<string, int> Runs(string[] words, int n)
    {
        var runs = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var i = 0; i + n <= words.Length; i++)
        {
            var run = string.Join('\u0001', words, i, n);
            runs[run] = runs.GetValueOrDefault(run) + 1;
        }
        return runs;
    }

    private static int Both(Dictionary<string, int> ours, Dictionary<string, int> theirs) => ours.Sum(run => Math.Min(run.Value, theirs.GetValueOrDefault(run.Key)));

    private static string Normalised(string text) => Blanks().Replace(text.Trim(), " ");

    [GeneratedRegex("[a-z0-9]+")]
    private static partial Regex RougeWord();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();

    // A minus after a letter or digit joins: a range, or a name with a number.
    [GeneratedRegex(@"(?:(?<![\p{L}\d])-)?\d[\d,]*(?:\.\d+)?")]
    private static partial Regex Numbers();

    [GeneratedRegex(@"([\{-\~\[-\` -\&\(-\+\:-\@\/])")]
    private static partial Regex Symbols();

    [GeneratedRegex(@"([^0-9])([\.,])")]
    private static partial Regex AfterNoDigit();

    [GeneratedRegex(@"([\.,])([^0-9])")]
    private static partial Regex BeforeNoDigit();

    [GeneratedRegex(@"([0-9])(-)")]
    private static partial Regex DashAfterDigit();
}
