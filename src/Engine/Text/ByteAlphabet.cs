using System.Text;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// The spelling of bytes as printable characters that GPT-2 (Radford et al. 2019) uses: printable Latin-1 stands for
/// itself, the other 68 bytes are U+0100 and on, so that a blank is Ġ.
/// </summary>
static class ByteAlphabet
{
    static readonly char[] Spelling = new char[256];
    static readonly Dictionary<char, byte> Bytes = [];

    static ByteAlphabet()
    {
        int next = 256;
        for (int value = 0; value < 256; value++)
        {
            bool printable = value is (>= 33 and <= 126) or (>= 161 and <= 172) or (>= 174 and <= 255);
            Spelling[value] = (char)(printable ? value : next++);
            Bytes[Spelling[value]] = (byte)value;
        }
    }

    /// <summary>The 256 characters that spell bytes, in the order of the bytes.</summary>
    public static ReadOnlySpan<char> All => Spelling;

    /// <summary>Adds the UTF-8 bytes of a text, each with the origin of its character.</summary>
    public static void Spell(ReadOnlySpan<char> text, ReadOnlySpan<int> origins, MappedText into)
    {
        Span<byte> bytes = stackalloc byte[4];
        for (int i = 0; i < text.Length;)
        {
            if (text[i] < 0x80)
            {
                into.Add(Spelling[text[i]], origins[i]);
                i++;
                continue;
            }
            int count = Utf8(text, i, bytes, out int units);
            foreach (byte value in bytes[..count]) into.Add(Spelling[value], origins[i]);
            i += units;
        }
    }

    /// <summary>The UTF-8 bytes of one code point; half of a pair is written as the replacement character.</summary>
    public static int Utf8(ReadOnlySpan<char> text, int at, Span<byte> bytes, out int units)
    {
        int code = MappedText.CodeAt(text, at, out units);
        return (Rune.IsValid(code) ? new Rune(code) : Rune.ReplacementChar).EncodeToUtf8(bytes);
    }

    /// <summary>The bytes of a token; one with a character that spells no byte is taken as plain text.</summary>
    public static void Read(string token, List<byte> into)
    {
        int before = into.Count;
        foreach (char unit in token)
        {
            if (Bytes.TryGetValue(unit, out byte value))
            {
                into.Add(value);
                continue;
            }
            into.RemoveRange(before, into.Count - before);
            into.AddRange(System.Text.Encoding.UTF8.GetBytes(token));
            return;
        }
    }

    public static bool IsByteMark(char unit) => unit == Spelling[' '];
}
