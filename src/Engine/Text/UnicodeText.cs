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
    public static string ToNfkc(string text)
    {
        if (System.Text.Ascii.IsValid(text)) return text;
        List<int> codes = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes()) Decompose(rune.Value, compatibility: true, codes);
        Reorder(codes);
        return ToText(Compose(codes));
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

    static void Reorder(List<int> codes)
    {
        for (int i = 1; i < codes.Count; i++)
        {
            byte combining = CombiningClass(codes[i]);
            if (combining == 0) continue;
            for (int j = i; j > 0 && CombiningClass(codes[j - 1]) > combining; j--) (codes[j], codes[j - 1]) = (codes[j - 1], codes[j]);
        }
    }

    static List<int> Compose(List<int> codes)
    {
        List<int> composed = new(codes.Count);
        int starter = -1;
        byte last = 0;
        foreach (int code in codes)
        {
            byte combining = CombiningClass(code);
            // A character is blocked from its starter by one between them with the same or a higher class.
            bool blocked = starter < 0 || (composed.Count - 1 > starter && (last == 0 || last >= combining));
            if (!blocked && Pair(composed[starter], code) is { } pair)
            {
                composed[starter] = pair;
                continue;
            }
            if (combining == 0) starter = composed.Count;
            composed.Add(code);
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

    static string ToText(List<int> codes)
    {
        StringBuilder text = new(codes.Count);
        Span<char> utf16 = stackalloc char[2];
        foreach (int code in codes) text.Append(utf16[..new Rune(code).EncodeToUtf16(utf16)]);
        return text.ToString();
    }
}
