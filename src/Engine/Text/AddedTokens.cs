using System.Buffers;
using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>A token that is found in the text as a whole, before any splitting.</summary>
sealed record AddedToken(int Id, string Content, bool SingleWord, bool LeftStrip, bool RightStrip, bool Normalized, bool Special)
{
    /// <exception cref="TokenizerFileException">It has no content.</exception>
    public static AddedToken Read(int id, JsonElement json)
    {
        bool special = Json.Flag(json, "special") ?? false;
        string content = Json.Text(json, "content") ?? throw new TokenizerFileException($"The added token with the id {id} has no content.");
        return new(id, content, Json.Flag(json, "single_word") ?? false, Json.Flag(json, "lstrip") ?? false, Json.Flag(json, "rstrip") ?? false, Json.Flag(json, "normalized") ?? !special, special);
    }
}

/// <summary>
/// Finds added tokens: the leftmost match, and of those at one place the longest. A look-up for each length that tokens of
/// the same first character have, so a place costs by the lengths and not by the tokens.
/// </summary>
sealed class AddedTokens
{
    /// <summary>Most tokens that are found in a text as a whole, and most characters of one; published files have 1,000 at most, of some dozen characters.</summary>
    const int Most = 20_000, Longest = 1000;

    /// <summary>Most different lengths of tokens of one first character; each is a look-up wherever that character stands.</summary>
    const int MostLengths = 128;

    readonly Dictionary<char, int[]> lengths;
    readonly Dictionary<string, AddedToken>.AlternateLookup<ReadOnlySpan<char>> byContent;
    readonly SearchValues<char> firsts;

    /// <exception cref="TokenizerFileException">There are too many, or one is too long.</exception>
    public AddedTokens(IEnumerable<AddedToken> tokens)
    {
        List<AddedToken> all = [.. tokens.Where(t => t.Content.Length > 0)];
        if (all.Count > Most) throw new TokenizerFileException($"The tokenizer has {all.Count} added tokens; more than {Most} are refused. Put them into its vocabulary instead.");
        if (all.Find(t => t.Content.Length > Longest) is { } tooLong) throw new TokenizerFileException($"The tokenizer has an added token of {tooLong.Content.Length} characters, \"{Json.Shown(tooLong.Content)}\"; more than {Longest} are refused.");
        lengths = all.GroupBy(t => t.Content[0]).ToDictionary(g => g.Key, g => g.Select(t => t.Content.Length).Distinct().OrderDescending().ToArray());
        if (lengths.FirstOrDefault(l => l.Value.Length > MostLengths) is { Value: not null } many)
            throw new TokenizerFileException($"The tokenizer has added tokens of {many.Value.Length} different lengths that begin with \"{many.Key}\"; more than {MostLengths} are refused.");
        Dictionary<string, AddedToken> map = new(all.Count, StringComparer.Ordinal);
        foreach (AddedToken token in all) map.TryAdd(token.Content, token);
        byContent = map.GetAlternateLookup<ReadOnlySpan<char>>();
        firsts = SearchValues.Create([.. lengths.Keys]);
    }

    public bool None => lengths.Count == 0;

    /// <summary>The stretches of a text in order: with a token where one matched, without for what lies between.</summary>
    public List<(int Start, int End, AddedToken? Token)> Split(ReadOnlySpan<char> text)
    {
        List<(int, int, AddedToken?)> pieces = [];
        int from = 0;
        for (int i = 0, skip; i < text.Length && (skip = text[i..].IndexOfAny(firsts)) >= 0; i++)
        {
            i += skip;
            foreach (int length in lengths[text[i]])
            {
                if (length > text.Length - i || !byContent.TryGetValue(text.Slice(i, length), out AddedToken? token)) continue;
                int start = i, end = i + token.Content.Length;
                // A match that fails the single-word test is skipped as a whole, as the reference does.
                if (!token.SingleWord || (!IsWordAt(text, start - 1) && !IsWordAt(text, end)))
                {
                    if (token.LeftStrip) while (start > from && char.IsWhiteSpace(text[start - 1])) start--;
                    if (token.RightStrip) while (end < text.Length && char.IsWhiteSpace(text[end])) end++;
                    if (start > from) pieces.Add((from, start, null));
                    pieces.Add((start, end, token));
                    from = end;
                }
                i = end - 1;
                break;
            }
        }
        if (from < text.Length) pieces.Add((from, text.Length, null));
        return pieces;
    }

    static bool IsWordAt(ReadOnlySpan<char> text, int at) =>
        at >= 0 && at < text.Length && (char.IsLetterOrDigit(text[at]) || text[at] == '_');
}
