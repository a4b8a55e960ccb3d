using System.Runtime.InteropServices;

namespace FineTuneStudio.Engine.Text;

/// <summary>UTF-16 text that remembers, per unit, the index of the code point of the original text that it came from.</summary>
/// <param name="most">Units that it may have: what a broken or hostile tokenizer makes of a text is bounded by the text's own length.</param>
sealed class MappedText(int capacity, int most)
{
    /// <summary>Units that a text may come to have for each that it had. The most that Unicode's forms and bytes make of one is 18 and 3.</summary>
    const int MostGrowth = 100, FreeGrowth = 1024;

    readonly List<char> chars = new(capacity);
    readonly List<int> origins = new(capacity);

    public int Length => chars.Count;
    public int Most => most;
    public ReadOnlySpan<char> Chars => CollectionsMarshal.AsSpan(chars);
    public ReadOnlySpan<int> Origins => CollectionsMarshal.AsSpan(origins);

    /// <summary>A text as it is; <paramref name="origin"/> is the index of its first code point.</summary>
    public static MappedText Of(ReadOnlySpan<char> text, int origin)
    {
        MappedText mapped = new(text.Length, (int)Math.Min(Array.MaxLength, FreeGrowth + (long)MostGrowth * text.Length));
        mapped.chars.AddRange(text);
        CollectionsMarshal.SetCount(mapped.origins, text.Length);
        Span<int> origins = CollectionsMarshal.AsSpan(mapped.origins);
        for (int i = 0; i < text.Length; i++)
        {
            origins[i] = origin;
            if (!IsFirstOfTwo(text, i)) origin++;
        }
        return mapped;
    }

    public void Add(char unit, int origin)
    {
        if (chars.Count >= most) throw TooLong();
        chars.Add(unit);
        origins.Add(origin);
    }

    public void Add(int code, int origin)
    {
        if (code < 0x10000)
        {
            Add((char)code, origin);
            return;
        }
        Add((char)((code - 0x10000 >> 10) + 0xD800), origin);
        Add((char)((code - 0x10000 & 0x3FF) + 0xDC00), origin);
    }

    public void Add(ReadOnlySpan<char> text, ReadOnlySpan<int> from)
    {
        if (text.Length > most - chars.Count) throw TooLong();
        chars.AddRange(text);
        origins.AddRange(from);
    }

    public TokenizerFileException TooLong() =>
        new($"tokenizer.json makes more than {most} characters of a text of {(most - FreeGrowth) / MostGrowth}; a normalizer or pre-tokenizer in it lets every text grow, so it cannot be used.");

    static bool IsFirstOfTwo(ReadOnlySpan<char> text, int at) =>
        char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]);

    /// <summary>The code point at a place and how many units it has; half of a pair counts as itself.</summary>
    public static int CodeAt(ReadOnlySpan<char> text, int at, out int units)
    {
        units = IsFirstOfTwo(text, at) ? 2 : 1;
        return units == 1 ? text[at] : char.ConvertToUtf32(text[at], text[at + 1]);
    }

    public static int CountCodes(ReadOnlySpan<char> text)
    {
        int count = text.Length;
        for (int i = 1; i < text.Length; i++) if (char.IsLowSurrogate(text[i]) && char.IsHighSurrogate(text[i - 1])) count--;
        return count;
    }

    /// <summary>
    /// The text made of other code points. The change of each says what it replaces: 0 the next code point, 1 none (it
    /// shares the origin of the one before), -n the next and the n after it, whose origins are lost.
    /// </summary>
    public MappedText Transform(List<(int Code, int Change)> to)
    {
        ReadOnlySpan<char> old = Chars;
        ReadOnlySpan<int> from = Origins;
        List<int> codeOrigins = new(old.Length);
        for (int i = 0; i < old.Length; i++)
        {
            codeOrigins.Add(from[i]);
            if (IsFirstOfTwo(old, i)) i++;
        }
        MappedText result = new(old.Length, most);
        int next = 0;
        foreach (var (code, change) in to)
        {
            int at = change > 0 ? Math.Max(next - 1, 0) : next;
            result.Add(code, codeOrigins[Math.Min(at, codeOrigins.Count - 1)]);
            if (change <= 0) next += 1 - change;
        }
        return result;
    }
}
