using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Quality;

/// <summary>
/// When two texts count as the same: after Unicode normalization form KC, full case folding, and with every run of white
/// space made one blank and none at the ends (compatibility caseless matching, section 3.13 of the Unicode standard, plus
/// white space). Accents and punctuation still make a difference.
/// </summary>
public static class TextNormalization
{
    /// <summary>The form of a text in which exact duplicates are equal strings.</summary>
    public static string Key(string text)
    {
        // Folding can undo the composition of a few characters, hence the second pass.
        string folded = UnicodeText.ToNfkc(UnicodeText.Fold(UnicodeText.ToNfkc(text)));
        StringBuilder key = new(folded.Length);
        bool blank = false;
        foreach (char c in folded)
        {
            if (char.IsWhiteSpace(c))
            {
                blank = key.Length > 0;
                continue;
            }
            if (blank) key.Append(' ');
            blank = false;
            key.Append(c);
        }
        return key.ToString();
    }

    /// <summary>The first 16 bytes, big-endian, of the SHA-256 of the UTF-8 key: equal for duplicates, the same on every machine; two different texts practically never share it.</summary>
    public static UInt128 Hash128(string text) => BinaryPrimitives.ReadUInt128BigEndian(Digest(text));

    /// <summary>The first 8 bytes of the same digest, which fit a database integer; among a million different texts the chance of one clash is about 3 in 100 million.</summary>
    public static long Hash64(string text) => BinaryPrimitives.ReadInt64BigEndian(Digest(text));

    static byte[] Digest(string text) => SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Key(text)));
}
