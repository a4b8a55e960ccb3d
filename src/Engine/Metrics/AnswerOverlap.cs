using System.Text.RegularExpressions;

namespace FineTuneStudio.Engine.Metrics;

/// <summary>
/// How near a found answer comes to the given ones, as SQuAD is scored (Rajpurkar et al. 2016, arXiv:1606.05250, and 2018, arXiv:1806.03822):
/// without case, punctuation, articles and runs of blanks, and the best over all given answers. "" is "no answer", and so is an empty list.
/// </summary>
public static partial class AnswerOverlap
{
    /// <summary>Lower case, without ASCII punctuation, without a, an and the, single blanks.</summary>
    public static string Normalised(string answer)
    {
        var bare = string.Concat(answer.ToLowerInvariant().Where(c => !(char.IsAscii(c) && (char.IsPunctuation(c) || char.IsSymbol(c)))));
        return string.Join(' ', Words(Articles().Replace(bare, " ")));
    }

    /// <summary>Whether the answer is one of the given ones, both normalised.</summary>
    public static bool IsExactMatch(string answer, IReadOnlyList<string> given) => References(given).Contains(Normalised(answer));

    /// <summary>The harmonic mean of the shares of words that answer and given answer have in common, from 0 to 1; with no words on either side, whether both have none.</summary>
    public static double F1(string answer, IReadOnlyList<string> given)
    {
        var ours = Words(Normalised(answer));
        return References(given).Max(reference =>
        {
            var theirs = Words(reference);
            if (ours.Length == 0 || theirs.Length == 0) return ours.Length == theirs.Length ? 1 : 0;
            var left = theirs.CountBy(w => w).ToDictionary();
            var both = ours.Count(word => left.TryGetValue(word, out var n) && (left[word] = n - 1) >= 0);
            return 2.0 * both / (ours.Length + theirs.Length);
        });
    }

    /// <summary>Normalised; answers of which nothing is left count only where there is no other.</summary>
    private static List<string> References(IReadOnlyList<string> given)
    {
        List<string> normalised = [.. given.Select(Normalised).Where(a => a.Length > 0)];
        return normalised.Count > 0 ? normalised : [""];
    }

    private static string[] Words(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    [GeneratedRegex(@"\b(a|an|the)\b")]
    private static partial Regex Articles();
}
