using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// Unicode normalisation and case folding on code points, from a table shipped with the engine: string.Normalize
/// returns its input unchanged when .NET runs without ICU, as this product does. Rules: Unicode Standard Annex 15 and
/// section 3.13 of the standard.
/// </summary>
static class UnicodeText
{
    sealed record Decomposition(bool Compatibility, int[] To);

    static readonly FrozenDictionary<int, Decomposition> Decompositions;
    static readonly FrozenDictionary<(int, int), int> Compositions;
    static readonly FrozenDictionary<int, byte> CombiningClasses;
    static readonly FrozenDictionary<int, int[]> Folds;

    const int SBase = 0xAC00, LBase = 0x1100, VBase = 0x1161, TBase = 0x11A7, VCount = 21, TCount = 28, SCount = 11172;

    static UnicodeText()
    {
        Dictionary<int, Decomposition> decompositions = [];
        Dictionary<(int, int), int> compositions = [];
        Dictionary<int, byte> classes = [];
        Dictionary<int, int[]> folds = [];
        using Stream stream = typeof(UnicodeText).Assembly.GetManifestResourceStream("UnicodeTables.txt")!;
        using StreamReader reader = new(stream, System.Text.Encoding.UTF8);
        string section = "";
        while (reader.ReadLine() is { } line)
        {
            if (line[0] == '#') continue;
            if (line[0] == '[') { section = line; continue; }
            string[] words = line.Split(' ');
            if (section == "[decomposition]")
            {
                int code = Hex(words[0]);
                int[] to = [.. words.Skip(2).Select(Hex)];
                decompositions[code] = new(words[1] == "K", to);
                if (words[1] == "P") compositions[(to[0], to[1])] = code;
            }
            else if (section == "[combining class]")
            {
                byte combining = byte.Parse(words[0], CultureInfo.InvariantCulture);
                foreach (string range in words.Skip(1))
                {
                    string[] ends = range.Split('-');
                    for (int code = Hex(ends[0]); code <= Hex(ends[^1]); code++) classes[code] = combining;
                }
            }
            else
            {
                folds[Hex(words[0])] = [.. words.Skip(1).Select(Hex)];
            }
        }
        Decompositions = decompositions.ToFrozenDictionary();
        Compositions = compositions.ToFrozenDictionary();
        CombiningClasses = classes.ToFrozenDictionary();
        Folds = folds.ToFrozenDictionary();
    }

    static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    /// <summary>Appends the full canonical (or compatibility) decomposition of one code point, not yet reordered.</summary>
    public static void Decompose(int code, bool compatibility, List<int> into)
    {
        if (code < 0xA0)
        {
            into.Add(code);
        }
        else if (code - SBase is >= 0 and < SCount)
        {
            int s = code - SBase;
            into.Add(LBase + s / (VCount * TCount));
            into.Add(VBase + s % (VCount * TCount) / TCount);
            if (s % TCount != 0) into.Add(TBase + s % TCount);
        }
        else if (Decompositions.TryGetValue(code, out Decomposition? found) && (compatibility || !found.Compatibility))
        {
            foreach (int part in found.To) Decompose(part, compatibility, into);
        }
        else
        {
            into.Add(code);
        }
    }

    /// <summary>Normalization form KC of a text.</summary>
    public static string ToNfkc(string text) =>
        System.Text.Ascii.IsValid(text) ? text : ToText(Normalize(text, compatibility: true, compose: true).Select(c => c.Code));

    /// <summary>
    /// A normalization form as code points, each with what it replaces: 0 the next code point of the text, 1 none (the
    /// second and later parts of a decomposition), less than 0 that many more.
    /// </summary>
    public static List<(int Code, int Change)> Normalize(ReadOnlySpan<char> text, bool compatibility, bool compose)
    {
        List<(int Code, int Change)> codes = new(text.Length);
        List<int> parts = [];
        for (int i = 0; i < text.Length;)
        {
            parts.Clear();
            Decompose(MappedText.CodeAt(text, i, out int units), compatibility, parts);
            for (int part = 0; part < parts.Count; part++) codes.Add((parts[part], part == 0 ? 0 : 1));
            i += units;
        }
        Reorder(codes);
        return compose ? Compose(codes) : codes;
    }

    /// <summary>Full case folding (for caseless comparison), so that "STRASSE" and "straße" become the same.</summary>
    public static string Fold(string text)
    {
        if (System.Text.Ascii.IsValid(text)) return text.ToLowerInvariant();
        List<int> codes = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (Folds.TryGetValue(rune.Value, out int[]? to)) codes.AddRange(to);
            else codes.Add(Rune.ToLowerInvariant(rune).Value);
        }
        return ToText(codes);
    }

    static byte CombiningClass(int code) => code < 0x300 ? (byte)0 : CombiningClasses.GetValueOrDefault(code);

    /// <summary>Puts each run of combining marks in the order of their classes; marks of one class stay as they are.</summary>
    static void Reorder(List<(int Code, int Change)> codes)
    {
        for (int start = 0; start < codes.Count; start++)
        {
            if (CombiningClass(codes[start].Code) == 0) continue;
            int end = start + 1;
            bool ordered = true;
            for (; end < codes.Count && CombiningClass(codes[end].Code) != 0; end++) ordered &= CombiningClass(codes[end - 1].Code) <= CombiningClass(codes[end].Code);
            if (!ordered)
            {
                var run = codes.GetRange(start, end - start).OrderBy(c => CombiningClass(c.Code)).ToList();
                for (int i = 0; i < run.Count; i++) codes[start + i] = run[i];
            }
            start = end;
        }
    }

    static List<(int Code, int Change)> Compose(List<(int Code, int Change)> codes)
    {
        List<(int Code, int Change)> composed = new(codes.Count);
        int starter = -1;
        byte last = 0;
        foreach (var (code, change) in codes)
        {
            byte combining = CombiningClass(code);
            // A character is blocked from its starter by one between them with the same or a higher class.
            bool blocked = starter < 0 || (composed.Count - 1 > starter && (last == 0 || last >= combining));
            if (!blocked && Pair(composed[starter].Code, code) is { } pair)
            {
                composed[starter] = (pair, composed[starter].Change + change - 1);
                continue;
            }
            if (combining == 0) starter = composed.Count;
            composed.Add((code, change));
            last = combining;
        }
        return composed;
    }

    static int? Pair(int first, int second)
    {
        int l = first - LBase, v = second - VBase;
        if (l is >= 0 and < 19 && v is >= 0 and < VCount) return SBase + (l * VCount + v) * TCount;
        int s = first - SBase, t = second - TBase;
        if (s is >= 0 and < SCount && s % TCount == 0 && t is > 0 and < TCount) return first + t;
        return Compositions.TryGetValue((first, second), out int pair) ? pair : null;
    }

    static string ToText(IEnumerable<int> codes)
    {
        StringBuilder text = new();
        foreach (int code in codes)
        {
            if (code < 0x10000) text.Append((char)code);
            else text.Append(char.ConvertFromUtf32(code));
        }
        return text.ToString();
    }
}
