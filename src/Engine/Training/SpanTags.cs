using FineTuneStudio.Engine.Text;
using Encoding = FineTuneStudio.Engine.Text.Encoding;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Spans as tags of words and back, in the BIO scheme (Ramshaw and Marcus 1995, cmp-lg/9505040, in its second form): O outside, B- for
/// the first word of a span, I- for its others. Tag 0 is O; tags 2t + 1 and 2t + 2 are B and I of type t.
/// </summary>
public static class SpanTags
{
    /// <summary>The label of a token that is not counted: special tokens, and those inside a word.</summary>
    public const int Uncounted = -100;

    /// <summary>O, B-x, I-x, B-y, I-y, ... in the order of the types.</summary>
    public static IReadOnlyList<string> Names(IReadOnlyList<string> types) => ["O", .. types.SelectMany(t => new[] { $"B-{t}", $"I-{t}" })];

    /// <summary>The types of such a list of names; null where it is none.</summary>
    public static IReadOnlyList<string>? Types(IReadOnlyList<string> names)
    {
        if (names.Count % 2 == 0 || names.Count < 3) return null;
        List<string> types = [.. names.Where((_, i) => i % 2 == 1).Select(n => n.Length > 2 ? n[2..] : "")];
        return Names(types).SequenceEqual(names) ? types : null;
    }

    internal static int Begin(int type) => 2 * type + 1;

    internal static int Inside(int type) => 2 * type + 2;

    internal static int TypeOf(int tag) => (tag - 1) / 2;

    /// <summary>
    /// The tag of each word. A word belongs to the span that holds its first character; a span that holds none is lost, as nothing
    /// but words is tagged.
    /// </summary>
    /// <param name="words">UTF-16 offsets, rising.</param>
    /// <param name="spans">Without overlap; any order.</param>
    public static int[] Of(IReadOnlyList<(int Start, int End)> words, IReadOnlyList<TextSpan> spans)
    {
        var tags = new int[words.Count];
        var (word, sorted) = (0, spans.OrderBy(s => s.Start).ToList());
        foreach (var span in sorted)
        {
            while (word < words.Count && words[word].Start < span.Start) word++;
            for (var first = true; word < words.Count && words[word].Start < span.End; word++, first = false)
                tags[word] = first ? Begin(span.Label) : Inside(span.Label);
        }
        return tags;
    }

    /// <summary>
    /// Runs of tags as spans over words, [first, last + 1): B always begins one, and so does I where the tag before it is not of its type,
    /// as conlleval and seqeval's default mode read them.
    /// </summary>
    public static List<TextSpan> Runs(IReadOnlyList<int> tags)
    {
        List<TextSpan> runs = [];
        for (var i = 0; i < tags.Count; i++)
        {
            if (tags[i] <= 0) continue;
            var (type, from) = (TypeOf(tags[i]), i);
            while (i + 1 < tags.Count && tags[i + 1] == Inside(type)) i++;
            runs.Add(new(from, i + 1, type));
        }
        return runs;
    }

    /// <summary>The spans of tagged words, from the first word's start to the last one's end.</summary>
    public static List<TextSpan> Spans(IReadOnlyList<(int Start, int End)> words, IReadOnlyList<int> tags) =>
        [.. Runs(tags).Select(r => new TextSpan(words[r.Start].Start, words[r.End - 1].End, r.Label))];

    /// <summary>
    /// For each token the word (an index into <paramref name="words"/>) whose tag it carries: the one that begins where the token begins, and
    /// only for the first such token. -1 for special tokens and for those inside a word, as Hugging Face's run_ner has it.
    /// </summary>
    internal static int[] Heads(string text, IReadOnlyList<(int Start, int End)> words, Encoding encoding)
    {
        var heads = Enumerable.Repeat(-1, encoding.Length).ToArray();
        var word = 0;
        foreach (var (token, start, _) in Places(text, encoding))
        {
            while (word < words.Count && words[word].Start < start) word++;
            if (word < words.Count && words[word].Start == start) heads[token] = word++;
        }
        return heads;
    }

    /// <summary>
    /// Whether each word begins amid a token, as the s of "McDonald's" does where 's is one token. Such a word has no token to carry a tag, and
    /// goes on with the span of the word before.
    /// </summary>
    internal static bool[] GoesOn(string text, IReadOnlyList<(int Start, int End)> words, IEnumerable<Encoding> encodings)
    {
        var goesOn = new bool[words.Count];
        foreach (var encoding in encodings)
        {
            var word = 0;
            foreach (var (_, start, end) in Places(text, encoding))
            {
                while (word < words.Count && words[word].Start <= start) word++;
                for (; word < words.Count && words[word].Start < end; word++) goesOn[word] = true;
            }
        }
        return goesOn;
    }

    /// <summary>Where the tokens that stand for some of the text begin and end, in UTF-16 units and without the blanks before them.</summary>
    private static IEnumerable<(int Token, int Start, int End)> Places(string text, Encoding encoding)
    {
        var units = Utf16Offsets(text);
        for (var i = 0; i < encoding.Length; i++)
        {
            if (encoding.SpecialTokensMask[i] == 1 || encoding.Offsets[i].End <= encoding.Offsets[i].Start) continue;
            var (start, end) = units is null ? encoding.Offsets[i] : (units[encoding.Offsets[i].Start], units[encoding.Offsets[i].End]);
            // Some tokenizers count the blank before a word as a part of its first token.
            while (start < end && char.IsWhiteSpace(text[start])) start++;
            if (start < end) yield return (i, start, end);
        }
    }

    /// <summary>The UTF-16 offset of each code point and of the end; null where they are the same.</summary>
    internal static int[]? Utf16Offsets(string text)
    {
        if (!text.Any(char.IsHighSurrogate)) return null;
        List<int> units = [];
        for (var i = 0; i < text.Length; i++)
        {
            units.Add(i);
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])) i++;
        }
        units.Add(text.Length);
        return [.. units];
    }
}
