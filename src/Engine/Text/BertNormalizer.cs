using System.Globalization;
using System.Text;
using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// The text normalisation of BERT (Devlin et al. 2018, basic tokenizer): control characters go, white space becomes a
/// blank, Chinese characters stand alone, accents go, letters become lower case.
/// </summary>
sealed class BertNormalizer(bool cleanText, bool handleChineseChars, bool stripAccents, bool lowercase) : Normalizer
{
    public static new BertNormalizer Read(JsonElement json, int depth = 0)
    {
        bool lowercase = Json.Flag(json, "lowercase") ?? true;
        return new(Json.Flag(json, "clean_text") ?? true, Json.Flag(json, "handle_chinese_chars") ?? true, Json.Flag(json, "strip_accents") ?? lowercase, lowercase);
    }

    public override MappedText Normalize(MappedText text)
    {
        MappedText result = new(text.Length + 8, text.Most);
        List<int> parts = [];
        ReadOnlySpan<char> chars = text.Chars;
        ReadOnlySpan<int> origins = text.Origins;
        for (int i = 0; i < chars.Length; i++)
        {
            char unit = chars[i];
            if (unit >= 0x80)
            {
                int code = MappedText.CodeAt(chars, i, out int units);
                Add(code, origins[i], parts, result);
                i += units - 1;
                continue;
            }
            if (cleanText)
            {
                if (unit is '\t' or '\n' or '\r') unit = ' ';
                else if (unit is < ' ' or '\x7F') continue;
            }
            result.Add(lowercase && unit is >= 'A' and <= 'Z' ? (char)(unit | 0x20) : unit, origins[i]);
        }
        return result;
    }

    void Add(int code, int origin, List<int> parts, MappedText result)
    {
        if (cleanText)
        {
            if (Rune.IsValid(code) && Rune.IsWhiteSpace(new(code)) && !IsOther(code)) code = ' ';
            else if (code == 0xFFFD || IsOther(code)) return;
        }
        bool chinese = handleChineseChars && IsChinese(code);
        if (chinese) result.Add(' ', origin);
        if (!stripAccents)
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

    void AddCased(int code, int origin, MappedText result)
    {
        if (lowercase) LowercaseNormalizer.AddLower(code, origin, result);
        else result.Add(code, origin);
    }

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
