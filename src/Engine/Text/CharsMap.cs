using System.Buffers.Binary;
using System.Globalization;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// The normalisation that a sentencepiece model carries (Kudo and Richardson 2018): a double-array trie (Aoe 1989, in the
/// layout of darts-clone) from a piece of UTF-8 text to its replacement.
/// </summary>
sealed class CharsMap : Normalizer
{
    /// <summary>Longest grapheme in UTF-8 bytes that is looked up as a whole; longer ones go character by character.</summary>
    const int LongestGrapheme = 5;

    /// <summary>Longest replacement in UTF-8 bytes. The longest of NFKC has 33.</summary>
    const int LongestReplacement = 256;

    readonly uint[] trie;
    readonly byte[] replacements;

    public CharsMap(string base64)
    {
        byte[] blob = new byte[base64.Length];
        if (!Convert.TryFromBase64String(base64, blob, out int length)) throw new TokenizerFileException("tokenizer.json has a precompiled_charsmap that is not base64.");
        if (length == 0)
        {
            (trie, replacements) = ([], []);
            return;
        }
        uint size = length < 4 ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(blob);
        if (size == 0 || size % 4 != 0 || size > length - 4)
            throw new TokenizerFileException($"tokenizer.json has a precompiled_charsmap of {length} bytes that says its trie has {size}.");
        trie = new uint[size / 4];
        for (int i = 0; i < trie.Length; i++) trie[i] = BinaryPrimitives.ReadUInt32LittleEndian(blob.AsSpan(4 + 4 * i));
        replacements = blob[(4 + (int)size)..length];
    }

    public override MappedText Normalize(MappedText text)
    {
        if (trie.Length == 0) return text;
        ReadOnlySpan<char> chars = text.Chars;
        List<(int Code, int Change)> to = new(chars.Length);
        bool changed = false;
        for (int i = 0; i < chars.Length;)
        {
            int length = StringInfo.GetNextTextElementLength(chars[i..]);
            ReadOnlySpan<char> grapheme = chars.Slice(i, length);
            if (length > 1 && Replace(grapheme, LongestGrapheme, to)) changed = true;
            else
            {
                for (int at = 0; at < length;)
                {
                    int code = MappedText.CodeAt(grapheme, at, out int units);
                    if (Replace(grapheme.Slice(at, units), 4, to)) changed = true;
                    else to.Add((code, 0));
                    at += units;
                }
            }
            i += length;
            if (to.Count > text.Most) throw text.TooLong();
        }
        return changed ? text.Transform(to) : text;
    }

    bool Replace(ReadOnlySpan<char> part, int mostBytes, List<(int Code, int Change)> to)
    {
        Span<byte> utf8 = stackalloc byte[8];
        if (part.Length > mostBytes || !System.Text.Encoding.UTF8.TryGetBytes(part, utf8, out int length) || length > mostBytes) return false;
        int found = Find(utf8[..length]);
        if (found < 0 || found > replacements.Length) return false;
        ReadOnlySpan<byte> rest = replacements.AsSpan(found);
        int end = rest.IndexOf((byte)0);
        if (end >= 0) rest = rest[..end];
        if (rest.Length > LongestReplacement) throw new TokenizerFileException($"tokenizer.json has a precompiled_charsmap that replaces a character by {rest.Length} bytes; more than {LongestReplacement} are refused.");
        string text = System.Text.Encoding.UTF8.GetString(rest);

        int before = to.Count, old = MappedText.CountCodes(part), count = MappedText.CountCodes(text);
        for (int i = 0; i < text.Length;)
        {
            int code = MappedText.CodeAt(text, i, out int units);
            to.Add((code, to.Count - before < old ? 0 : 1));
            i += units;
        }
        if (count < old && to.Count > 0) to[^1] = (to[^1].Code, to[^1].Change + count - old);
        return true;
    }

    /// <summary>Where the replacement of the shortest prefix that the trie has begins, or -1: the shortest, as sentencepiece's own users do.</summary>
    int Find(ReadOnlySpan<byte> key)
    {
        uint at = Offset(trie[0]);
        foreach (byte label in key)
        {
            if (label == 0) return -1;
            at ^= label;
            if (at >= trie.Length) return -1;
            uint unit = trie[at];
            if ((unit & 0x800000FF) != label) return -1;
            at ^= Offset(unit);
            if (at >= trie.Length) return -1;
            if ((unit >> 8 & 1) == 1) return (int)(trie[at] & 0x7FFFFFFF);
        }
        return -1;
    }

    static uint Offset(uint unit) => unit >> 10 << (int)((unit & (1 << 9)) >> 6);
}
