using System.Globalization;
using System.Text;
using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>Changes a text before it is split; each kept character keeps its origin.</summary>
abstract class Normalizer
{
    public abstract MappedText Normalize(MappedText text);

    /// <summary>Reads the entry "normalizer" of tokenizer.json; null for none.</summary>
    /// <exception cref="TokenizerFileException">The kind is not known.</exception>
    public static Normalizer? Read(JsonElement json, int depth = 0) => json.ValueKind == JsonValueKind.Null ? null : Json.Text(json, "type") switch
    {
        "Sequence" => new NormalizerSequence([.. Json.Sequence(json, "normalizers", depth).Select(n => Read(n, depth + 1)).OfType<Normalizer>()]),
        "NFC" => new UnicodeNormalizer(compatibility: false, compose: true),
        "NFD" => new UnicodeNormalizer(compatibility: false, compose: false),
        "NFKC" => new UnicodeNormalizer(compatibility: true, compose: true),
        "NFKD" => new UnicodeNormalizer(compatibility: true, compose: false),
        "Lowercase" => new LowercaseNormalizer(),
        "Strip" => new StripNormalizer(Json.Flag(json, "strip_left") ?? true, Json.Flag(json, "strip_right") ?? true),
        "StripAccents" => new StripAccentsNormalizer(),
        "BertNormalizer" => BertNormalizer.Read(json),
        "Replace" => new ReplaceNormalizer(SplitPattern.Read(json.GetProperty("pattern")), Json.Text(json, "content") ?? ""),
        "Prepend" => new PrependNormalizer(Json.Text(json, "prepend") ?? ""),
        "Precompiled" => new CharsMap(Json.Text(json, "precompiled_charsmap") ?? ""),
        "Nmt" => new NmtNormalizer(),
        var other => throw new TokenizerFileException($"tokenizer.json has the normalizer {other ?? "without a type"}, which is not supported."),
    };
}

sealed class NormalizerSequence(Normalizer[] normalizers) : Normalizer
{
    public override MappedText Normalize(MappedText text)
    {
        foreach (Normalizer normalizer in normalizers) text = normalizer.Normalize(text);
        return text;
    }
}

/// <summary>The four normalization forms of Unicode Standard Annex 15.</summary>
sealed class UnicodeNormalizer(bool compatibility, bool compose) : Normalizer
{
    public override MappedText Normalize(MappedText text) =>
        System.Text.Ascii.IsValid(text.Chars) ? text : text.Transform(UnicodeText.Normalize(text.Chars, compatibility, compose));
}

/// <summary>Passes each code point on as another, or not at all.</summary>
abstract class CodeNormalizer : Normalizer
{
    protected abstract void Add(int code, int origin, MappedText to);

    public override MappedText Normalize(MappedText text)
    {
        MappedText result = new(text.Length, text.Most);
        ReadOnlySpan<char> chars = text.Chars;
        for (int i = 0; i < chars.Length;)
        {
            int code = MappedText.CodeAt(chars, i, out int units);
            Add(code, text.Origins[i], result);
            i += units;
        }
        return result;
    }
}

sealed class LowercaseNormalizer : CodeNormalizer
{
    protected override void Add(int code, int origin, MappedText to) => AddLower(code, origin, to);

    public static void AddLower(int code, int origin, MappedText to)
    {
        if (code == 0x130)
        {
            // The one character whose lower case is two: I with a dot above.
            to.Add('i', origin);
            to.Add('\u0307', origin);
        }
        else
        {
            to.Add(Rune.IsValid(code) ? Rune.ToLowerInvariant(new(code)).Value : code, origin);
        }
    }
}

sealed class StripAccentsNormalizer : CodeNormalizer
{
    protected override void Add(int code, int origin, MappedText to)
    {
        if (CharUnicodeInfo.GetUnicodeCategory(code) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark) return;
        to.Add(code, origin);
    }
}

/// <summary>Clean-up of the sentencepiece rule "nmt": control characters go, odd blanks become a blank.</summary>
sealed class NmtNormalizer : CodeNormalizer
{
    protected override void Add(int code, int origin, MappedText to)
    {
        if (code is (>= 1 and <= 8) or 0xB or (>= 0xE and <= 0x1F) or 0x7F or 0x8F or 0x9F) return;
        bool blank = code is 9 or 0xA or 0xC or 0xD or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD;
        to.Add(blank ? ' ' : code, origin);
    }
}

sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override MappedText Normalize(MappedText text)
    {
        ReadOnlySpan<char> chars = text.Chars;
        int start = 0, end = chars.Length;
        while (left && start < end && char.IsWhiteSpace(chars[start])) start++;
        while (right && end > start && char.IsWhiteSpace(chars[end - 1])) end--;
        if (end - start == chars.Length) return text;
        MappedText result = new(end - start, text.Most);
        result.Add(chars[start..end], text.Origins[start..end]);
        return result;
    }
}

sealed class PrependNormalizer(string prefix) : Normalizer
{
    public override MappedText Normalize(MappedText text) => Prepend(text.Chars, text.Origins, prefix, text.Most);

    /// <summary>The prefix shares the origin of the first character; before nothing there is no prefix.</summary>
    public static MappedText Prepend(ReadOnlySpan<char> chars, ReadOnlySpan<int> origins, string prefix, int most)
    {
        MappedText result = new(chars.Length, most);
        if (chars.Length == 0) return result;
        foreach (char unit in prefix) result.Add(unit, origins[0]);
        result.Add(chars, origins);
        return result;
    }
}

/// <summary>Puts a text in place of each match of a pattern; it takes the origin of the last character replaced.</summary>
sealed class ReplaceNormalizer(SplitPattern pattern, string content) : Normalizer
{
    public override MappedText Normalize(MappedText text)
    {
        List<TextMatch> matches = pattern.Find(text.Chars);
        if (!matches.Any(m => m.IsMatch)) return text;
        MappedText result = new(text.Length, text.Most);
        foreach (var (start, end, isMatch) in matches)
        {
            if (!isMatch) result.Add(text.Chars[start..end], text.Origins[start..end]);
            else foreach (char unit in content) result.Add(unit, text.Length == 0 ? 0 : text.Origins[Math.Max(0, end - 1)]);
        }
        return result;
    }
}
