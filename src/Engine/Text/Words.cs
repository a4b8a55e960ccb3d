using System.Globalization;
using System.Text;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// Where the words of a text begin and end, by one rule for every tokenizer: a run of letters, digits and marks is a word, every
/// other visible sign is one of its own, and so is each character of a script that is written without blanks (Han, kana, Thai, Lao, Khmer,
/// Myanmar). Blanks belong to no word.
/// </summary>
public static class Words
{
    /// <summary>UTF-16 offsets, end exclusive, rising.</summary>
    public static List<(int Start, int End)> Of(string text)
    {
        List<(int Start, int End)> words = [];
        int open = -1, at = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            // A lone surrogate reads as U+FFFD, which is one UTF-16 unit long as well.
            int end = at + rune.Utf16SequenceLength;
            Kind kind = KindOf(rune);
            if (kind != Kind.Mark && open >= 0 && kind != Kind.Letter)
            {
                words.Add((open, at));
                open = -1;
            }
            if (kind is Kind.Letter && open < 0) open = at;
            // A mark belongs to what it stands on.
            else if (kind == Kind.Mark && open < 0 && words.Count > 0 && words[^1].End == at) words[^1] = (words[^1].Start, end);
            else if (kind is Kind.Alone || kind == Kind.Mark && open < 0) words.Add((at, end));
            at = end;
        }
        if (open >= 0) words.Add((open, at));
        return words;
    }

    enum Kind { Blank, Letter, Mark, Alone }

    static Kind KindOf(Rune rune) => IsUnspaced(rune.Value) ? Kind.Alone : Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter
            or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Letter,
        UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format => Kind.Mark,
        UnicodeCategory.SpaceSeparator or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Control => Kind.Blank,
        _ => Kind.Alone,
    };

    static bool IsUnspaced(int code) => code is >= 0x3041 and <= 0x30FF or >= 0x3400 and <= 0x4DBF or >= 0x4E00 and <= 0x9FFF or >= 0xF900 and <= 0xFAFF or >= 0x20000 and <= 0x323AF
        or >= 0x0E01 and <= 0x0EFF or >= 0x1000 and <= 0x109F or >= 0x1780 and <= 0x17D3;
}
