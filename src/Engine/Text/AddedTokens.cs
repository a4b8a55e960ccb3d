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

/// <summary>Finds added tokens: the leftmost match, and of those at one place the longest.</summary>
sealed class AddedTokens
{
    readonly Dictionary<char, AddedToken[]> byFirst;
    readonly SearchValues<char> firsts;

    public AddedTokens(IEnumerable<AddedToken> tokens)
    {
        byFirst = tokens.Where(t => t.Content.Length > 0).GroupBy(t => t.Content[0])
            .ToDictionary(g => g.Key, g => g.OrderByDescending(t => t.Content.Length).ToArray());
        firsts = SearchValues.Create([.. byFirst.Keys]);
    }

    public bool None => byFirst.Count == 0;

    /// <summary>The stretches of a text in order: with a token where one matched, without for what lies between.</summary>
    public List<(int Start, int End, AddedToken? Token)> Split(ReadOnlySpan<char> text)
    {
        List<(int, int, AddedToken?)> pieces = [];
        int from = 0;
        for (int i = 0, skip; i < text.Length && (skip = text[i..].IndexOfAny(firsts)) >= 0; i++)
        {
            i += skip;
            foreach (AddedToken token in byFirst[text[i]])
            {
                if (!text[i..].StartsWith(token.Content, StringComparison.Ordinal)) continue;
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
