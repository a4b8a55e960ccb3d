namespace FineTuneStudio.Engine.Text;

/// <summary>A token that is found in the text as a whole, before any splitting.</summary>
sealed record AddedToken(int Id, string Content, bool SingleWord, bool LeftStrip, bool RightStrip, bool Normalized, bool Special);

/// <summary>Finds added tokens: the leftmost match, and of those at one place the longest.</summary>
sealed class AddedTokens
{
    readonly Dictionary<char, AddedToken[]> byFirst;

    public AddedTokens(IEnumerable<AddedToken> tokens) =>
        byFirst = tokens.Where(t => t.Content.Length > 0).GroupBy(t => t.Content[0])
            .ToDictionary(g => g.Key, g => g.OrderByDescending(t => t.Content.Length).ToArray());

    public bool None => byFirst.Count == 0;

    /// <summary>The stretches of a text in order: with a token where one matched, without for what lies between.</summary>
    public List<(int Start, int End, AddedToken? Token)> Split(ReadOnlySpan<char> text)
    {
        List<(int, int, AddedToken?)> pieces = [];
        int from = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (!byFirst.TryGetValue(text[i], out AddedToken[]? candidates)) continue;
            foreach (AddedToken token in candidates)
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
