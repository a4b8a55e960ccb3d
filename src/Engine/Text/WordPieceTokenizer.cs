using System.Runtime.InteropServices;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// WordPiece (Wu et al. 2016; BERT, Devlin et al. 2018): normalise, split at blanks and punctuation, then cut each word
/// greedily into the longest pieces that the vocabulary has. Gives what the Hugging Face fast tokenizer gives for the
/// same folder: ids, tokens, offsets, word ids, truncation, windows, padding. Safe to use from several threads.
/// </summary>
public sealed class WordPieceTokenizer
{
    readonly WordPieceFiles files;
    readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> vocabulary;
    readonly Dictionary<int, string> tokens;
    readonly HashSet<int> special;
    readonly AddedTokens rawAdded, normalizedAdded;
    readonly int unknownId, longestToken;

    WordPieceTokenizer(WordPieceFiles files)
    {
        this.files = files;
        vocabulary = files.Vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        tokens = files.Vocabulary.GroupBy(v => v.Value).ToDictionary(g => g.Key, g => g.First().Key);
        foreach (AddedToken token in files.AddedTokens) tokens[token.Id] = token.Content;
        special = [.. files.AddedTokens.Where(t => t.Special).Select(t => t.Id)];
        rawAdded = new(files.AddedTokens.Where(t => !t.Normalized));
        normalizedAdded = new(files.AddedTokens.Where(t => t.Normalized).Select(t => t with { Content = Normalized(t.Content) }));
        unknownId = files.Vocabulary[files.UnknownToken];
        longestToken = files.Vocabulary.Keys.Max(k => k.Length);
        PadId = files.AddedTokens.FirstOrDefault(t => t.Content == files.PadToken)?.Id ?? files.Vocabulary.GetValueOrDefault(files.PadToken);
    }

    /// <summary>Reads tokenizer.json, or where it is missing vocab.txt with tokenizer_config.json.</summary>
    /// <exception cref="TokenizerFileException">The files are missing, broken, or not of a WordPiece tokenizer.</exception>
    public static WordPieceTokenizer Load(string folder) => new(WordPieceFiles.Read(folder));

    /// <summary>Number of different ids, added tokens included.</summary>
    public int VocabularySize => tokens.Count;

    /// <summary>Id of the padding token.</summary>
    public int PadId { get; }

    /// <summary>Largest id that an encoding can have; an embedding needs one row more than this.</summary>
    public int LargestId => tokens.Keys.Concat(files.TemplateIds).Max();

    /// <summary>Encodes one text with its special tokens, cut to <paramref name="maxLength"/> tokens in all.</summary>
    public Encoding Encode(string text, int maxLength = int.MaxValue) => Encode(text, null, new EncodingOptions { MaxLength = maxLength });

    /// <summary>Encodes a text or a pair; of a pair the longer text is cut first.</summary>
    public Encoding Encode(string text, string? pair, int maxLength) => Encode(text, pair, new EncodingOptions { MaxLength = maxLength });

    /// <summary>Encodes a text or a pair as <paramref name="options"/> say.</summary>
    /// <exception cref="ArgumentException">The length has no room for the special tokens, or the text to cut cannot give enough.</exception>
    public Encoding Encode(string text, string? pair, EncodingOptions options)
    {
        IReadOnlyList<TemplatePiece> template = pair is null ? files.Single : files.Pair;
        Encoding first = Tokenize(text);
        Encoding? second = pair is null ? null : Tokenize(pair);

        int specials = options.AddSpecialTokens ? template.Count(p => p.Token is not null) : 0;
        int room = options.MaxLength - specials;
        if (room < 0) throw new ArgumentException($"The maximum length is {options.MaxLength}; the special tokens alone need {specials}.", nameof(options));
        if (first.Length + (second?.Length ?? 0) > room) (first, second) = Truncate(first, second, room, options);

        Encoding? whole = null;
        foreach (TemplatePiece piece in template)
        {
            if (piece.Token is not null && !options.AddSpecialTokens) continue;
            Encoding part = piece.Token is not null
                ? Encoding.Special(piece.Token, piece.Id, piece.TypeId)
                : (piece.Sequence == 0 ? first : second!).AsSegment(piece.Sequence, piece.TypeId);
            whole = whole is null ? part : whole.Append(part);
        }
        if (options.PadTo > 0) whole = whole!.PadTo(options.PadTo, PadId, files.PadToken);
        return whole!;
    }

    static (Encoding, Encoding?) Truncate(Encoding first, Encoding? second, int room, EncodingOptions options)
    {
        if (second is null) return (first.Truncate(room, options.Stride, options.WithOverflow), null);
        int remove = first.Length + second.Length - room;
        switch (options.Strategy)
        {
            case TruncationStrategy.OnlyFirst when first.Length > remove:
                return (first.Truncate(first.Length - remove, options.Stride, options.WithOverflow), second);
            case TruncationStrategy.OnlySecond when second.Length > remove:
                return (first, second.Truncate(second.Length - remove, options.Stride, options.WithOverflow));
            case TruncationStrategy.LongestFirst:
                bool swapped = first.Length > second.Length;
                int shorter = Math.Min(first.Length, second.Length);
                int longer = shorter > room ? shorter : Math.Max(shorter, room - shorter);
                if (shorter + longer > room)
                {
                    shorter = room / 2;
                    longer = shorter + room % 2;
                }
                return (first.Truncate(swapped ? longer : shorter, options.Stride, options.WithOverflow),
                    second.Truncate(swapped ? shorter : longer, options.Stride, options.WithOverflow));
            default:
                throw new ArgumentException($"{remove} tokens must go, but the text to cut has not that many.", nameof(options));
        }
    }

    /// <summary>Encodes many texts, on all processors; the results are in the order of the texts.</summary>
    public Encoding[] EncodeBatch(IReadOnlyList<string> texts, int maxLength = int.MaxValue, CancellationToken cancel = default)
    {
        Encoding[] encodings = new Encoding[texts.Count];
        Parallel.For(0, texts.Count, new ParallelOptions { CancellationToken = cancel }, i => encodings[i] = Encode(texts[i], maxLength));
        return encodings;
    }

    /// <summary>Tokens of a text with its special tokens, before any cutting.</summary>
    public int CountTokens(string text) => Tokenize(text).Length + files.Single.Count(p => p.Token is not null);

    /// <summary>Tokens of each text with its special tokens, before any cutting, on all processors.</summary>
    public int[] CountTokens(IReadOnlyList<string> texts, CancellationToken cancel = default)
    {
        int[] counts = new int[texts.Count];
        Parallel.For(0, texts.Count, new ParallelOptions { CancellationToken = cancel }, i => counts[i] = CountTokens(texts[i]));
        return counts;
    }

    /// <summary>Text of a list of ids: pieces joined to words, blanks before punctuation removed.</summary>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true)
    {
        System.Text.StringBuilder text = new();
        foreach (int id in ids)
        {
            if (skipSpecialTokens && special.Contains(id)) continue;
            string token = tokens.GetValueOrDefault(id, files.UnknownToken);
            if (text.Length > 0) token = token.StartsWith(files.Prefix, StringComparison.Ordinal) ? token[files.Prefix.Length..] : " " + token;
            text.Append(Tidy(token));
        }
        return text.ToString();
    }

    static string Tidy(string token) => token
        .Replace(" .", ".").Replace(" ?", "?").Replace(" !", "!").Replace(" ,", ",")
        .Replace(" ' ", "'").Replace(" n't", "n't").Replace(" 'm", "'m").Replace(" do not", " don't")
        .Replace(" 's", "'s").Replace(" 've", "'ve").Replace(" 're", "'re");

    string Normalized(string text) => files.Normalizer is { } n ? new(CollectionsMarshal.AsSpan(n.Normalize(text, 0).Chars)) : text;

    /// <summary>The lists that an encoding is made of while it grows.</summary>
    sealed class Pieces
    {
        public readonly List<int> Ids = [];
        public readonly List<string> Tokens = [];
        public readonly List<(int, int)> Offsets = [];
        public readonly List<int?> Words = [];
        public int Word;

        public void Add(int id, string token, int start, int end)
        {
            Ids.Add(id);
            Tokens.Add(token);
            Offsets.Add((start, end));
            Words.Add(Word);
        }
    }

    Encoding Tokenize(string text)
    {
        Pieces pieces = new();
        int origin = 0;
        foreach (var (start, end, token) in rawAdded.Split(text))
        {
            ReadOnlySpan<char> stretch = text.AsSpan(start, end - start);
            int codePoints = CodePoints(stretch);
            if (token is not null)
            {
                pieces.Add(token.Id, token.Content, origin, origin + codePoints);
                pieces.Word++;
            }
            else
            {
                TokenizeStretch(stretch, origin, pieces);
            }
            origin += codePoints;
        }
        int count = pieces.Ids.Count;
        return new([.. pieces.Ids], new int[count], [.. pieces.Tokens])
        {
            AttentionMask = [.. Enumerable.Repeat(1, count)],
            Offsets = [.. pieces.Offsets],
            WordIds = [.. pieces.Words],
            SequenceIds = new int?[count],
            SpecialTokensMask = new int[count],
        };
    }

    void TokenizeStretch(ReadOnlySpan<char> stretch, int origin, Pieces pieces)
    {
        BertNormalizer.Result normal = (files.Normalizer ?? AsIs).Normalize(stretch, origin);
        ReadOnlySpan<char> chars = CollectionsMarshal.AsSpan(normal.Chars);
        ReadOnlySpan<int> origins = CollectionsMarshal.AsSpan(normal.Origins);
        if (normalizedAdded.None)
        {
            SplitIntoWords(chars, origins, pieces);
            return;
        }
        foreach (var (start, end, token) in normalizedAdded.Split(chars))
        {
            if (token is null)
            {
                SplitIntoWords(chars[start..end], origins[start..end], pieces);
                continue;
            }
            pieces.Add(token.Id, tokens[token.Id], origins[start], origins[end - 1] + 1);
            pieces.Word++;
        }
    }

    static readonly BertNormalizer AsIs = new(false, false, false, false);

    void SplitIntoWords(ReadOnlySpan<char> chars, ReadOnlySpan<int> origins, Pieces pieces)
    {
        int from = 0;
        for (int i = 0; i <= chars.Length; i++)
        {
            bool wide = i + 1 < chars.Length && char.IsHighSurrogate(chars[i]) && char.IsLowSurrogate(chars[i + 1]);
            bool blank = i == chars.Length || char.IsWhiteSpace(chars[i]);
            bool punctuation = !blank && BertNormalizer.IsPunctuation(wide ? char.ConvertToUtf32(chars[i], chars[i + 1]) : chars[i]);
            if (blank || punctuation)
            {
                if (i > from) CutWord(chars[from..i], origins[from..i], pieces);
                from = i;
                if (punctuation) CutWord(chars.Slice(i, wide ? 2 : 1), origins.Slice(i, wide ? 2 : 1), pieces);
                from = i + (wide ? 2 : 1);
            }
            if (wide) i++;
        }
    }

    /// <summary>Cuts one word into the longest known pieces; a word that cannot be cut completely is one unknown token.</summary>
    void CutWord(ReadOnlySpan<char> word, ReadOnlySpan<int> origins, Pieces pieces)
    {
        int before = pieces.Ids.Count;
        bool unknown = CodePoints(word) > files.MaxCharsPerWord;
        Span<char> candidate = stackalloc char[Math.Clamp(longestToken, files.Prefix.Length + 1, 1024)];
        for (int start = 0; start < word.Length && !unknown;)
        {
            int prefix = start == 0 ? 0 : files.Prefix.Length;
            files.Prefix.AsSpan(0, prefix).CopyTo(candidate);
            int length = Math.Min(word.Length - start, candidate.Length - prefix);
            if (length > 0) word.Slice(start, length).CopyTo(candidate[prefix..]);
            string? token = null;
            int id = 0;
            while (length > 0 && !vocabulary.TryGetValue(candidate[..(prefix + length)], out token, out id)) length--;
            if (length <= 0) unknown = true;
            else pieces.Add(id, token!, origins[start], origins[start + length - 1] + 1);
            start += length;
        }
        if (unknown)
        {
            pieces.Ids.RemoveRange(before, pieces.Ids.Count - before);
            pieces.Tokens.RemoveRange(before, pieces.Tokens.Count - before);
            pieces.Offsets.RemoveRange(before, pieces.Offsets.Count - before);
            pieces.Words.RemoveRange(before, pieces.Words.Count - before);
            pieces.Add(unknownId, files.UnknownToken, origins[0], origins[^1] + 1);
        }
        pieces.Word++;
    }

    static int CodePoints(ReadOnlySpan<char> text)
    {
        int count = text.Length;
        for (int i = 1; i < text.Length; i++) if (char.IsLowSurrogate(text[i]) && char.IsHighSurrogate(text[i - 1])) count--;
        return count;
    }
}
