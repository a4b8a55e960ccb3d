using System.Globalization;
using System.Text;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// The text normalisation of BERT (Devlin et al. 2018, basic tokenizer): control characters go, white space becomes a
/// blank, Chinese characters stand alone, accents go, letters become lower case. Each kept character remembers the code
/// point of the original text that it came from.
/// </summary>
sealed record BertNormalizer(bool CleanText, bool HandleChineseChars, bool StripAccents, bool Lowercase)
{
    /// <summary>Normalised UTF-16 text with, per unit, the index of the original code point.</summary>
    public sealed class Result
    {
        public readonly List<char> Chars = [];
        public readonly List<int> Origins = [];

        public void Add(int code, int origin)
        {
            if (code < 0x10000)
            {
                Chars.Add((char)code);
                Origins.Add(origin);
                return;
            }
            Chars.Add((char)((code - 0x10000 >> 10) + 0xD800));
            Chars.Add((char)((code - 0x10000 & 0x3FF) + 0xDC00));
            Origins.Add(origin);
            Origins.Add(origin);
        }
    }

    /// <summary>Normalises a stretch of text; <paramref name="origin"/> is the code point index of its first character.</summary>
    public Result Normalize(ReadOnlySpan<char> text, int origin)
    {
        Result result = new();
        List<int> parts = [];
        for (int i = 0; i < text.Length; i++, origin++)
        {
            int code = text[i];
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
                code = char.ConvertToUtf32(text[i], text[++i]);

            if (CleanText)
            {
                if (IsWhiteSpaceToClean(code)) code = ' ';
                else if (code is 0 or 0xFFFD || IsOther(code)) continue;
            }
            bool chinese = HandleChineseChars && IsChinese(code);
            if (chinese) result.Add(' ', origin);
            if (!StripAccents)
            {
                AddCased(code, origin, result);
            }
            else
            {
                parts.Clear();
                UnicodeText.Decompose(code, compatibility: false, parts);
                foreach (int part in parts)
                {
                    if (part < 0x300 || CharUnicodeInfo.GetUnicodeCategory(part) != UnicodeCategory.NonSpacingMark) AddCased(part, origin, result);
                }
            }
            if (chinese) result.Add(' ', origin);
        }
        return result;
    }

    void AddCased(int code, int origin, Result result)
    {
        if (!Lowercase || !Rune.IsValid(code))
        {
            result.Add(code, origin);
        }
        else if (code == 0x130)
        {
            // The one character whose lower case is two: I with a dot above.
            result.Add('i', origin);
            result.Add(0x307, origin);
        }
        else
        {
            result.Add(Rune.ToLowerInvariant(new(code)).Value, origin);
        }
    }

    static bool IsWhiteSpaceToClean(int code) =>
        code is ' ' or '\t' or '\n' or '\r' || (code > 0x7F && Rune.IsValid(code) && Rune.IsWhiteSpace(new(code)) && !IsOther(code));

    static bool IsOther(int code) => CharUnicodeInfo.GetUnicodeCategory(code) is
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.OtherNotAssigned or UnicodeCategory.PrivateUse or UnicodeCategory.Surrogate;

    static bool IsChinese(int code) => code is
        (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F)
        or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);

    /// <summary>Whether BERT splits at this character and keeps it as a token of its own.</summary>
    public static bool IsPunctuation(int code) =>
        code < 0x80
            ? code is (>= 33 and <= 47) or (>= 58 and <= 64) or (>= 91 and <= 96) or (>= 123 and <= 126)
            : CharUnicodeInfo.GetUnicodeCategory(code) is
                UnicodeCategory.ConnectorPunctuation or UnicodeCategory.DashPunctuation or UnicodeCategory.OpenPunctuation or UnicodeCategory.ClosePunctuation
                or UnicodeCategory.InitialQuotePunctuation or UnicodeCategory.FinalQuotePunctuation or UnicodeCategory.OtherPunctuation;
}
