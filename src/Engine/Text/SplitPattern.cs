using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace FineTuneStudio.Engine.Text;

/// <summary>A stretch of a text that a pattern matched, or one that lies between matches.</summary>
readonly record struct TextMatch(int Start, int End, bool IsMatch);

/// <summary>What a tokenizer file searches for: a fixed text, or a regular expression over code points.</summary>
sealed partial class SplitPattern
{
    /// <summary>Longest search of a text. The patterns of published tokenizers need microseconds.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Longest expression in characters; published ones have a few hundred. Classes nested without end would overflow the stack of whoever reads them.</summary>
    const int LongestExpression = 4000;

    const RegexOptions Options = RegexOptions.CultureInvariant | RegexOptions.Multiline;

    readonly string source;
    readonly Regex? regex;

    SplitPattern(string source, Regex? regex) => (this.source, this.regex) = (source, regex);

    public static SplitPattern Text(string text) => new(text, null);

    /// <summary>The words of GPT-2 (Radford et al. 2019).</summary>
    public static readonly SplitPattern Gpt2 = new(Gpt2Source, Gpt2Regex());

    /// <summary>Reads {"String": ...} or {"Regex": ...}.</summary>
    /// <exception cref="TokenizerFileException">The expression is not one that .NET can follow.</exception>
    public static SplitPattern Read(JsonElement json) => Json.Text(json, "String") is { } text
        ? Text(text)
        : Expression(Json.Text(json, "Regex") ?? throw new TokenizerFileException("tokenizer.json has a pattern with neither String nor Regex."));

    public static SplitPattern Expression(string source)
    {
        // Those of the large families are compiled with the engine; a foreign one runs without backtracking, so that no
        // text makes it slow, and where it looks around, which needs backtracking, it has to be done in time.
        if (source == Gpt2Source) return Gpt2;
        if (source == Qwen2Source) return new(source, Qwen2Regex());
        if (source == Llama3Source) return new(source, Llama3Regex());
        if (source.Length > LongestExpression) throw new TokenizerFileException($"tokenizer.json has a regular expression of {source.Length} characters; more than {LongestExpression} are refused.");
        try
        {
            try
            {
                return new(source, new(source, Options | RegexOptions.NonBacktracking));
            }
            catch (NotSupportedException)
            {
                return new(source, new(source, Options, Patience));
            }
        }
        catch (ArgumentException e)
        {
            throw new TokenizerFileException($"tokenizer.json has the regular expression \"{Json.Shown(source)}\", which cannot be followed: {e.Message}");
        }
    }

    const string Gpt2Source = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    internal const string Qwen2Source = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const string Llama3Source = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    [GeneratedRegex(Gpt2Source, Options)]
    private static partial Regex Gpt2Regex();

    [GeneratedRegex(Qwen2Source, Options)]
    private static partial Regex Qwen2Regex();

    [GeneratedRegex(Llama3Source, Options)]
    private static partial Regex Llama3Regex();

    /// <summary>The whole text in order, matches and what lies between them.</summary>
    /// <exception cref="TokenizerFileException">The expression takes too long on this text.</exception>
    public List<TextMatch> Find(ReadOnlySpan<char> text)
    {
        List<TextMatch> found = [];
        int from = 0;
        if (regex is null)
        {
            for (int at; source.Length > 0 && (at = text[from..].IndexOf(source, StringComparison.Ordinal)) >= 0;) Add(from + at, from + at + source.Length);
        }
        else if (text.IndexOfAnyInRange('\uD800', '\uDFFF') < 0)
        {
            Search(text, default);
        }
        else
        {
            Span<int> places = new int[text.Length + 1];
            Search(OneUnitEach(text, places), places);
        }
        if (from < text.Length) found.Add(new(from, text.Length, false));
        return found;

        void Add(int start, int end)
        {
            if (start > from) found.Add(new(from, start, false));
            found.Add(new(start, end, true));
            from = end;
        }

        void Search(ReadOnlySpan<char> units, ReadOnlySpan<int> places)
        {
            long start = Stopwatch.GetTimestamp();
            try
            {
                foreach (ValueMatch match in regex.EnumerateMatches(units))
                {
                    int end = match.Index + match.Length;
                    if (places.IsEmpty) Add(match.Index, end);
                    else Add(places[match.Index], places[end]);
                    // The expression's own limit is for one match, and a text can have many.
                    if ((found.Count & 0xFF) == 0 && Stopwatch.GetElapsedTime(start) > Patience) throw new RegexMatchTimeoutException();
                }
            }
            catch (RegexMatchTimeoutException)
            {
                throw new TokenizerFileException($"The regular expression \"{Json.Shown(source)}\" of tokenizer.json takes more than {Patience.TotalSeconds:0} seconds on a text of {units.Length} characters.");
            }
        }
    }

    /// <summary>.NET matches UTF-16 units, so a code point of two becomes one rare unit of its category; places says where each was.</summary>
    static ReadOnlySpan<char> OneUnitEach(ReadOnlySpan<char> text, Span<int> places)
    {
        char[] units = new char[text.Length];
        int count = 0;
        for (int i = 0; i < text.Length;)
        {
            int code = MappedText.CodeAt(text, i, out int length);
            places[count] = i;
            units[count++] = length == 1 ? text[i] : StandIns[(int)CharUnicodeInfo.GetUnicodeCategory(code)];
            i += length;
        }
        places[count] = text.Length;
        return units.AsSpan(0, count);
    }

    /// <summary>One unit of each general category, in the order of <see cref="UnicodeCategory"/>, that no pattern spells out.</summary>
    internal const string StandIns =
        "\uA640\uA641\u1F88\uA67F\uA000\uA66F\uA823\uA670\uA620\uA6E6\uA830\u2000\u2028\u2029\u0086\uFFF9\uD800\uE000\uFE33\uFE58\uFE59\uFE5A\u2E02\u2E03\uA6F2\uFE62\uFDFC\uA700\uA490\uFFFF";
}
