namespace FineTuneStudio.Engine.Text;

/// <summary>A text as a model takes it: parallel lists, one entry a token.</summary>
/// <param name="Ids">Vocabulary index of each token.</param>
/// <param name="TypeIds">Segment of each token: 0 for the first text, 1 for the second.</param>
/// <param name="Tokens">The token as the vocabulary spells it.</param>
public sealed record Encoding(int[] Ids, int[] TypeIds, string[] Tokens)
{
    static readonly Encoding Empty = new([], [], []) { AttentionMask = [], Offsets = [], WordIds = [], SequenceIds = [], SpecialTokensMask = [] };

    /// <summary>1 for tokens to look at, 0 for padding.</summary>
    public required int[] AttentionMask { get; init; }

    /// <summary>Where each token lies in its text, in Unicode code points, end exclusive; (0, 0) for special tokens.</summary>
    public required (int Start, int End)[] Offsets { get; init; }

    /// <summary>Index of the word (counted within its text) that each token is a part of; null for special tokens.</summary>
    public required int?[] WordIds { get; init; }

    /// <summary>Which of the two texts a token is from; null for special tokens.</summary>
    public required int?[] SequenceIds { get; init; }

    /// <summary>1 for tokens that the template or padding added.</summary>
    public required int[] SpecialTokensMask { get; init; }

    /// <summary>What was cut off, if asked for, in windows of the same length.</summary>
    public IReadOnlyList<Encoding> Overflowing { get; init; } = [];

    public int Length => Ids.Length;

    internal static Encoding Special(string token, int id, int typeId) => new([id], [typeId], [token])
    {
        AttentionMask = [1], Offsets = [(0, 0)], WordIds = [null], SequenceIds = [null], SpecialTokensMask = [1],
    };

    Encoding Slice(int start, int stop) => new(Ids[start..stop], TypeIds[start..stop], Tokens[start..stop])
    {
        AttentionMask = AttentionMask[start..stop],
        Offsets = Offsets[start..stop],
        WordIds = WordIds[start..stop],
        SequenceIds = SequenceIds[start..stop],
        SpecialTokensMask = SpecialTokensMask[start..stop],
    };

    /// <summary>Keeps the first tokens; the rest becomes windows that repeat <paramref name="stride"/> tokens of the one before.</summary>
    internal Encoding Truncate(int length, int stride, bool withOverflow)
    {
        if (Length <= length) return this;
        if (length == 0) return Empty with { Overflowing = withOverflow ? [this] : [] };
        if (stride >= length) throw new ArgumentException($"The stride is {stride}; it must be less than the {length} tokens that remain of the text.", nameof(stride));
        Encoding first = Slice(0, length);
        if (!withOverflow) return first;
        List<Encoding> windows = [];
        for (int start = length - stride; ; start += length - stride)
        {
            int stop = Math.Min(start + length, Length);
            windows.Add(Slice(start, stop));
            if (stop == Length) break;
        }
        return first with { Overflowing = windows };
    }

    /// <summary>This followed by another. Every window of the one is combined with the other and each of its windows.</summary>
    internal Encoding Append(Encoding other)
    {
        List<Encoding> overflowing = [];
        foreach (Encoding mine in Overflowing)
        {
            overflowing.Add(mine.Append(other));
            foreach (Encoding its in other.Overflowing) overflowing.Add(mine.Append(its));
        }
        foreach (Encoding its in other.Overflowing) overflowing.Add(this.Append(its));
        return new([.. Ids, .. other.Ids], [.. TypeIds, .. other.TypeIds], [.. Tokens, .. other.Tokens])
        {
            AttentionMask = [.. AttentionMask, .. other.AttentionMask],
            Offsets = [.. Offsets, .. other.Offsets],
            WordIds = [.. WordIds, .. other.WordIds],
            SequenceIds = [.. SequenceIds, .. other.SequenceIds],
            SpecialTokensMask = [.. SpecialTokensMask, .. other.SpecialTokensMask],
            Overflowing = overflowing,
        };
    }

    /// <summary>Parts in a row. Where a part has windows, each is combined with the others and theirs.</summary>
    internal static Encoding Join(List<Encoding> parts)
    {
        if (parts.Count == 0) return Empty;
        if (parts.Count == 1) return parts[0];
        if (parts.Any(p => p.Overflowing.Count > 0)) return parts.Skip(1).Aggregate(parts[0], (whole, part) => whole.Append(part));
        int length = parts.Sum(p => p.Length), at = 0;
        Encoding joined = new(new int[length], new int[length], new string[length])
        {
            AttentionMask = new int[length], Offsets = new (int, int)[length], WordIds = new int?[length], SequenceIds = new int?[length], SpecialTokensMask = new int[length],
        };
        foreach (Encoding part in parts)
        {
            part.Ids.CopyTo(joined.Ids, at);
            part.TypeIds.CopyTo(joined.TypeIds, at);
            part.Tokens.CopyTo(joined.Tokens, at);
            part.AttentionMask.CopyTo(joined.AttentionMask, at);
            part.Offsets.CopyTo(joined.Offsets, at);
            part.WordIds.CopyTo(joined.WordIds, at);
            part.SequenceIds.CopyTo(joined.SequenceIds, at);
            part.SpecialTokensMask.CopyTo(joined.SpecialTokensMask, at);
            at += part.Length;
        }
        return joined;
    }

    /// <summary>Offsets without the blanks that byte-level tokens begin or end with.</summary>
    /// <param name="prefixSpace">The first blank of the text was put there and is not in it, so it is not taken off.</param>
    internal Encoding TrimOffsets(bool prefixSpace)
    {
        (int, int)[] trimmed = new (int, int)[Length];
        for (int i = 0; i < Length; i++)
        {
            var (start, end) = Offsets[i];
            string token = Tokens[i];
            int leading = 0, trailing = 0;
            while (leading < token.Length && IsBlank(token[leading])) leading++;
            while (trailing < token.Length && IsBlank(token[token.Length - 1 - trailing])) trailing++;
            if (leading > 0 && prefixSpace && (i == 0 || start == 0)) leading--;
            start = Math.Min(start + leading, end);
            if (end >= trailing) end = Math.Max(end - trailing, start);
            trimmed[i] = (start, end);
        }
        return this with { Offsets = trimmed, Overflowing = [.. Overflowing.Select(o => o.TrimOffsets(prefixSpace))] };
    }

    static bool IsBlank(char unit) => ByteAlphabet.IsByteMark(unit) || char.IsWhiteSpace(unit);

    internal Encoding AsSegment(int sequence, int typeId, int windowTypeId) => this with
    {
        TypeIds = [.. Enumerable.Repeat(typeId, Length)],
        SequenceIds = [.. Enumerable.Repeat<int?>(sequence, Length)],
        Overflowing = [.. Overflowing.Select(o => o.AsSegment(sequence, windowTypeId, windowTypeId))],
    };

    internal Encoding PadTo(int length, int padId, string padToken)
    {
        int more = Math.Max(0, length - Length);
        return new([.. Ids, .. Enumerable.Repeat(padId, more)], [.. TypeIds, .. new int[more]], [.. Tokens, .. Enumerable.Repeat(padToken, more)])
        {
            AttentionMask = [.. AttentionMask, .. new int[more]],
            Offsets = [.. Offsets, .. new (int, int)[more]],
            WordIds = [.. WordIds, .. new int?[more]],
            SequenceIds = [.. SequenceIds, .. new int?[more]],
            SpecialTokensMask = [.. SpecialTokensMask, .. Enumerable.Repeat(1, more)],
            Overflowing = [.. Overflowing.Select(o => o.PadTo(length, padId, padToken))],
        };
    }
}

/// <summary>Which text gives up tokens when a pair is too long.</summary>
public enum TruncationStrategy { LongestFirst, OnlyFirst, OnlySecond }

/// <summary>How a text is encoded.</summary>
public sealed record EncodingOptions
{
    /// <summary>Most tokens, special ones included.</summary>
    public int MaxLength { get; init; } = int.MaxValue;
    public TruncationStrategy Strategy { get; init; }
    /// <summary>Tokens that a window repeats from the one before; only with <see cref="WithOverflow"/>.</summary>
    public int Stride { get; init; }
    public bool WithOverflow { get; init; }
    public bool AddSpecialTokens { get; init; } = true;
    /// <summary>Pads to this many tokens; 0 for no padding.</summary>
    public int PadTo { get; init; }
    /// <summary>The token to pad with; null for the tokenizer's own.</summary>
    public string? PadToken { get; init; }
}
