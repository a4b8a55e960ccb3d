using System.Globalization;
using System.Text;
using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>A stretch of a text on its way to the model; Origin is where it starts in the original, in code points.</summary>
readonly record struct Piece(MappedText Text, int Start, int End, int Origin)
{
    public ReadOnlySpan<char> Chars => Text.Chars[Start..End];
    public ReadOnlySpan<int> Origins => Text.Origins[Start..End];
    public int Length => End - Start;

    /// <summary>Adds a part of this piece to a list; one without characters is left out.</summary>
    public void AddPart(int start, int end, List<Piece> into)
    {
        if (end > start) into.Add(new(Text, Start + start, Start + end, start == 0 ? Origin : Text.Origins[Start + start]));
    }
}

/// <summary>Cuts a normalised text into the words that the model sees one at a time.</summary>
abstract class PreTokenizer
{
    public abstract void Split(Piece piece, List<Piece> into);

    /// <summary>Reads the entry "pre_tokenizer" of tokenizer.json; null for none.</summary>
    /// <exception cref="TokenizerFileException">The kind is not known.</exception>
    public static PreTokenizer? Read(JsonElement json, int depth = 0) => json.ValueKind == JsonValueKind.Null ? null : Json.Text(json, "type") switch
    {
        "Sequence" => new PreTokenizerSequence([.. Json.Sequence(json, "pretokenizers", depth).Select(p => Read(p, depth + 1)).OfType<PreTokenizer>()]),
        "BertPreTokenizer" => new BertPreTokenizer(),
        "ByteLevel" => new ByteLevelPreTokenizer(Json.Flag(json, "add_prefix_space") ?? true, Json.Flag(json, "use_regex") ?? true ? SplitPattern.Gpt2 : null),
        "Metaspace" => MetaspacePreTokenizer.Read(json),
        "Split" => new SplitPreTokenizer(SplitPattern.Read(json.GetProperty("pattern")), Behavior(json, "Removed"), Json.Flag(json, "invert") ?? false),
        "CharDelimiterSplit" => new SplitPreTokenizer(SplitPattern.Text(Json.Text(json, "delimiter") ?? " "), SplitBehavior.Removed, false),
        "Whitespace" => new SplitPreTokenizer(SplitPattern.Expression(@"\w+|[^\w\s]+"), SplitBehavior.Removed, true),
        "WhitespaceSplit" => new CharacterSplit(code => Rune.IsValid(code) && Rune.IsWhiteSpace(new(code)), SplitBehavior.Removed),
        "Punctuation" => new CharacterSplit(BertNormalizer.IsPunctuation, Behavior(json, "Isolated")),
        "Digits" => new CharacterSplit(IsNumber, Json.Flag(json, "individual_digits") ?? false ? SplitBehavior.Isolated : SplitBehavior.Contiguous),
        var other => throw new TokenizerFileException($"tokenizer.json has the pre-tokenizer {other ?? "without a type"}, which is not supported."),
    };

    static bool IsNumber(int code) => CharUnicodeInfo.GetUnicodeCategory(code) is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    static SplitBehavior Behavior(JsonElement json, string usual) => Enum.TryParse(Json.Text(json, "behavior") ?? usual, out SplitBehavior behavior) && Enum.IsDefined(behavior)
        ? behavior
        : throw new TokenizerFileException($"tokenizer.json has the split behaviour {Json.Text(json, "behavior")}; known are {string.Join(", ", Enum.GetNames<SplitBehavior>())}.");
}

sealed class PreTokenizerSequence(PreTokenizer[] steps) : PreTokenizer
{
    public override void Split(Piece piece, List<Piece> into)
    {
        List<Piece> pieces = [piece];
        foreach (PreTokenizer step in steps)
        {
            List<Piece> next = [];
            foreach (Piece part in pieces) step.Split(part, next);
            pieces = next;
        }
        into.AddRange(pieces);
    }
}

/// <summary>BERT's words: blanks divide and go, punctuation divides and stays.</summary>
sealed class BertPreTokenizer : PreTokenizer
{
    public override void Split(Piece piece, List<Piece> into)
    {
        ReadOnlySpan<char> chars = piece.Chars;
        int from = 0;
        for (int i = 0; i < chars.Length;)
        {
            if (char.IsAsciiLetterOrDigit(chars[i]))
            {
                i++;
                continue;
            }
            int code = MappedText.CodeAt(chars, i, out int units);
            bool punctuation = BertNormalizer.IsPunctuation(code);
            if (punctuation || char.IsWhiteSpace(chars[i]))
            {
                piece.AddPart(from, i, into);
                from = i + units;
                if (punctuation) piece.AddPart(i, from, into);
            }
            i += units;
        }
        piece.AddPart(from, chars.Length, into);
    }
}

/// <summary>What becomes of the stretches that a pattern matched.</summary>
enum SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous }

sealed class SplitPreTokenizer(SplitPattern pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    public override void Split(Piece piece, List<Piece> into)
    {
        List<TextMatch> matches = pattern.Find(piece.Chars);
        if (invert) for (int i = 0; i < matches.Count; i++) matches[i] = matches[i] with { IsMatch = !matches[i].IsMatch };
        Apply(piece, matches, behavior, into);
    }

    public static void Apply(Piece piece, List<TextMatch> matches, SplitBehavior behavior, List<Piece> into)
    {
        int from = 0;
        for (int i = 0; i < matches.Count; i++)
        {
            var (start, end, isMatch) = matches[i];
            bool wasMatch = i > 0 && matches[i - 1].IsMatch, willMatch = i + 1 < matches.Count && matches[i + 1].IsMatch;
            switch (behavior)
            {
                case SplitBehavior.Removed:
                    if (!isMatch) piece.AddPart(start, end, into);
                    continue;
                case SplitBehavior.MergedWithPrevious when willMatch && !isMatch:
                case SplitBehavior.MergedWithNext when isMatch && !willMatch && i + 1 < matches.Count:
                case SplitBehavior.Contiguous when i + 1 < matches.Count && isMatch == willMatch:
                    continue;
            }
            piece.AddPart(from, end, into);
            from = end;
        }
    }
}

/// <summary>Splits at single characters of a kind.</summary>
sealed class CharacterSplit(Func<int, bool> isMatch, SplitBehavior behavior) : PreTokenizer
{
    public override void Split(Piece piece, List<Piece> into)
    {
        List<TextMatch> matches = [];
        ReadOnlySpan<char> chars = piece.Chars;
        int from = 0;
        for (int i = 0; i < chars.Length;)
        {
            if (isMatch(MappedText.CodeAt(chars, i, out int units)))
            {
                if (i > from) matches.Add(new(from, i, false));
                matches.Add(new(i, i + units, true));
                from = i + units;
            }
            i += units;
        }
        if (from < chars.Length) matches.Add(new(from, chars.Length, false));
        SplitPreTokenizer.Apply(piece, matches, behavior, into);
    }
}

/// <summary>Byte-level words (GPT-2, Radford et al. 2019): each byte of the UTF-8 text becomes one printable character.</summary>
sealed class ByteLevelPreTokenizer(bool addPrefixSpace, SplitPattern? words) : PreTokenizer
{
    public override void Split(Piece piece, List<Piece> into)
    {
        if (addPrefixSpace && piece.Length > 0 && piece.Chars[0] != ' ')
        {
            MappedText text = PrependNormalizer.Prepend(piece.Chars, piece.Origins, " ", piece.Text.Most);
            piece = new(text, 0, text.Length, piece.Origin);
        }
        MappedText bytes = new(piece.Length + 16, piece.Text.Most);
        if (words is null) Add(0, piece.Length);
        else foreach (TextMatch word in words.Find(piece.Chars)) Add(word.Start, word.End);

        void Add(int start, int end)
        {
            int from = bytes.Length;
            ByteAlphabet.Spell(piece.Chars[start..end], piece.Origins[start..end], bytes);
            new Piece(bytes, 0, bytes.Length, piece.Origin).AddPart(from, bytes.Length, into);
        }
    }
}

/// <summary>Where the mark of a word's start is put before a text that has none.</summary>
enum PrependScheme { Always, First, Never }

/// <summary>The words of sentencepiece (Kudo and Richardson 2018): blanks become a visible mark that starts the next word.</summary>
sealed class MetaspacePreTokenizer(char mark, PrependScheme prepend, bool split) : PreTokenizer
{
    public static new MetaspacePreTokenizer Read(JsonElement json, int depth = 0) =>
        new(Mark(json), Scheme(json), Json.Flag(json, "split") ?? true);

    public static char Mark(JsonElement json) => Json.Text(json, "replacement") is { Length: 1 } text ? text[0] : '\u2581';

    public static PrependScheme Scheme(JsonElement json) => Json.Text(json, "prepend_scheme") switch
    {
        "always" => PrependScheme.Always,
        "first" => PrependScheme.First,
        "never" => PrependScheme.Never,
        null => Json.Flag(json, "add_prefix_space") ?? true ? PrependScheme.Always : PrependScheme.Never,
        var other => throw new TokenizerFileException($"tokenizer.json has the prepend scheme {other}; known are always, first, never."),
    };

    public override void Split(Piece piece, List<Piece> into)
    {
        ReadOnlySpan<char> chars = piece.Chars;
        if (chars.IsEmpty) return;
        MappedText text = new(chars.Length + 1, piece.Text.Most);
        bool bare = chars[0] != ' ' && chars[0] != mark;
        if (bare && (prepend == PrependScheme.Always || (prepend == PrependScheme.First && piece.Origin == 0))) text.Add(mark, piece.Origins[0]);
        for (int i = 0; i < chars.Length; i++) text.Add(chars[i] == ' ' ? mark : chars[i], piece.Origins[i]);

        Piece whole = new(text, 0, text.Length, piece.Origin);
        int from = 0;
        for (int i = 1; split && i < text.Length; i++)
        {
            if (text.Chars[i] != mark) continue;
            whole.AddPart(from, i, into);
            from = i;
        }
        whole.AddPart(from, text.Length, into);
    }
}
