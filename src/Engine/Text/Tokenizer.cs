using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// Texts to token ids and back, as tokenizer.json or the older vocabulary files of a Hugging Face folder say: normalise,
/// split into words, cut the words into tokens (WordPiece, byte-pair encoding or unigram), put special tokens around
/// them. Gives what the Hugging Face fast tokenizer gives for the same folder: ids, tokens, offsets, word ids, truncation,
/// windows, padding. Safe to use from several threads.
/// </summary>
public sealed class Tokenizer
{
    /// <summary>Tokens of a text whose lists are kept for the next.</summary>
    const int MostKept = 1 << 16;

    readonly TokenizerParts parts;
    readonly Dictionary<string, int> addedIds = new(StringComparer.Ordinal);
    readonly Dictionary<int, string> tokens = [];
    readonly HashSet<int> special;
    readonly AddedTokens rawAdded, normalizedAdded;
    readonly string padToken;

    Tokenizer(TokenizerParts parts)
    {
        this.parts = parts;
        foreach (var (token, id) in parts.Model.Vocabulary) Name(id, token);
        foreach (AddedToken token in parts.AddedTokens)
        {
            Name(token.Id, token.Content);
            if (parts.Model.Vocabulary.TryGetValue(token.Content, out int id) && id != token.Id)
                throw new TokenizerFileException($"The tokenizer gives the added token \"{Json.Shown(token.Content)}\" the id {token.Id}, but its vocabulary gives it {id}.");
            addedIds[token.Content] = token.Id;
        }
        special = [.. parts.AddedTokens.Where(t => t.Special).Select(t => t.Id)];
        rawAdded = new(parts.AddedTokens.Where(t => !t.Normalized));
        normalizedAdded = new(parts.AddedTokens.Where(t => t.Normalized).Select(t => t with { Content = Normalized(t.Content) }));
        EndId = parts.EndToken is null ? null : IdOf(parts.EndToken);
        padToken = new[] { parts.PadToken, "[PAD]", "<pad>", parts.EndToken }.FirstOrDefault(t => t is not null && IdOf(t) is not null) ?? "";
        PadId = IdOf(padToken) ?? 0;
        LargestId = tokens.Keys.Concat(parts.PostProcessor.Ids).DefaultIfEmpty(0).Max();
    }

    void Name(int id, string token)
    {
        if (!tokens.TryAdd(id, token) && tokens[id] != token)
            throw new TokenizerFileException($"The tokenizer gives the id {id} to two tokens, \"{Json.Shown(tokens[id])}\" and \"{Json.Shown(token)}\".");
    }

    string Normalized(string text) => parts.Normalizer is { } n ? new(n.Normalize(MappedText.Of(text, 0)).Chars) : text;

    /// <summary>Reads tokenizer.json, or where it is missing vocab.txt, or vocab.json with merges.txt, with tokenizer_config.json.</summary>
    /// <exception cref="TokenizerFileException">The files are missing, broken, or ask for what is not supported.</exception>
    public static Tokenizer Load(string folder) => new(TokenizerParts.Read(folder));

    /// <summary>Number of different ids, added tokens included.</summary>
    public int VocabularySize => tokens.Count;

    /// <summary>Id of the padding token; where the files name none, that of the end token, else 0.</summary>
    public int PadId { get; }

    /// <summary>Id of the token that ends a text; null where the files name none.</summary>
    public int? EndId { get; }

    /// <summary>Largest id that an encoding can have; an embedding needs one row more than this.</summary>
    public int LargestId { get; }

    /// <summary>Id of a token as the vocabulary spells it, or null.</summary>
    public int? IdOf(string token) => addedIds.TryGetValue(token, out int id) || parts.Model.Vocabulary.TryGetValue(token, out id) ? id : null;

    /// <summary>Encodes one text with its special tokens, cut to <paramref name="maxLength"/> tokens in all.</summary>
    public Encoding Encode(string text, int maxLength = int.MaxValue) => Encode(text, null, new EncodingOptions { MaxLength = maxLength });

    /// <summary>Encodes a text or a pair; of a pair the longer text is cut first.</summary>
    public Encoding Encode(string text, string? pair, int maxLength) => Encode(text, pair, new EncodingOptions { MaxLength = maxLength });

    /// <summary>Encodes a text or a pair as <paramref name="options"/> say.</summary>
    /// <exception cref="ArgumentException">The length has no room for the special tokens, the text to cut cannot give enough, or there is no such padding token.</exception>
    public Encoding Encode(string text, string? pair, EncodingOptions options)
    {
        Encoding first = Tokenize(text);
        Encoding? second = pair is null ? null : Tokenize(pair);

        int specials = options.AddSpecialTokens ? parts.PostProcessor.Added(pair is not null) : 0;
        int room = options.MaxLength - specials;
        if (room < 0) throw new ArgumentException($"The maximum length is {options.MaxLength}; the special tokens alone need {specials}.", nameof(options));
        if (first.Length + (second?.Length ?? 0) > room) (first, second) = Truncate(first, second, room, options);

        Encoding whole = parts.PostProcessor.Process(first, second, options.AddSpecialTokens);
        if (options.PadTo == 0) return whole;
        string pad = options.PadToken ?? padToken;
        int padId = options.PadToken is null ? PadId : IdOf(pad) ?? throw new ArgumentException($"The vocabulary lacks the padding token {pad}.", nameof(options));
        return whole.PadTo(options.PadTo, padId, pad);
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

    /// <summary>The ids of one text with its special tokens, or without, cut to <paramref name="maxLength"/> in all; faster than an <see cref="Encoding"/> where nothing else is needed.</summary>
    /// <exception cref="ArgumentException">The length has no room for the special tokens.</exception>
    public int[] EncodeIds(string text, int maxLength = int.MaxValue, bool addSpecialTokens = true)
    {
        if (!addSpecialTokens) return [.. Cut(text).Ids.Take(maxLength)];
        int specials = parts.PostProcessor.Added(pair: false);
        if (maxLength < specials) throw new ArgumentException($"The maximum length is {maxLength}; the special tokens alone need {specials}.", nameof(maxLength));
        ReadOnlySpan<int> ids = CollectionsMarshal.AsSpan(Cut(text).Ids);
        return parts.PostProcessor.Process(ids[..Math.Min(ids.Length, maxLength - specials)]);
    }

    /// <summary>Encodes many texts, on all processors; the results are in the order of the texts.</summary>
    public Encoding[] EncodeBatch(IReadOnlyList<string> texts, int maxLength = int.MaxValue, CancellationToken cancel = default) =>
        OnAllProcessors(texts, text => Encode(text, maxLength), cancel);

    /// <summary>The ids of many texts, each as <see cref="EncodeIds(string, int, bool)"/> gives them, on all processors.</summary>
    public int[][] EncodeIds(IReadOnlyList<string> texts, int maxLength = int.MaxValue, CancellationToken cancel = default, bool addSpecialTokens = true) =>
        OnAllProcessors(texts, text => EncodeIds(text, maxLength, addSpecialTokens), cancel);

    static T[] OnAllProcessors<T>(IReadOnlyList<string> texts, Func<string, T> encode, CancellationToken cancel)
    {
        T[] results = new T[texts.Count];
        try
        {
            Parallel.For(0, texts.Count, new ParallelOptions { CancellationToken = cancel }, i => results[i] = encode(texts[i]));
        }
        catch (AggregateException e)
        {
            // The same fault as of one text alone, so that it is caught and worded the same.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
        return results;
    }

    /// <summary>Tokens of a text with its special tokens, before any cutting.</summary>
    public int CountTokens(string text) => Cut(text).Ids.Count + parts.PostProcessor.Added(pair: false);

    /// <summary>Tokens of each text with its special tokens, before any cutting, on all processors.</summary>
    public int[] CountTokens(IReadOnlyList<string> texts, CancellationToken cancel = default) => OnAllProcessors(texts, CountTokens, cancel);

    /// <summary>Text of a list of ids; one that no token has is left out.</summary>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true)
    {
        List<string> found = [];
        foreach (int id in ids)
        {
            if (tokens.TryGetValue(id, out string? token) && !(skipSpecialTokens && special.Contains(id))) found.Add(token);
        }
        return parts.Decoder is { } decoder ? string.Concat(decoder.Decode(found)) : string.Join(' ', found);
    }

    Encoding Tokenize(string text)
    {
        TokenList cut = Cut(text);
        int count = cut.Ids.Count;
        int[] mask = new int[count];
        Array.Fill(mask, 1);
        return new([.. cut.Ids], new int[count], [.. cut.Tokens])
        {
            AttentionMask = mask,
            Offsets = [.. cut.Offsets],
            WordIds = [.. cut.Words],
            SequenceIds = new int?[count],
            SpecialTokensMask = new int[count],
        };
    }

    /// <summary>Lists of one thread, used again for its next text: growing them anew costs more than the cutting.</summary>
    [ThreadStatic]
    static TokenList? scratch;

    /// <summary>The tokens of a text, to be read before this thread cuts its next one.</summary>
    TokenList Cut(string text)
    {
        TokenList into = scratch is { Ids.Capacity: < MostKept } ? scratch : scratch = new();
        into.Clear();
        int origin = 0;
        foreach (var (start, end, token) in rawAdded.Split(text))
        {
            ReadOnlySpan<char> stretch = text.AsSpan(start, end - start);
            int codes = MappedText.CountCodes(stretch);
            if (token is null) CutStretch(stretch, origin, into);
            else AddWhole(token, stretch, origin, origin + codes, into);
            origin += codes;
        }
        return into;
    }

    /// <summary>An added token is spelt as the text has it, with the blanks that it takes with it.</summary>
    static void AddWhole(AddedToken token, ReadOnlySpan<char> spelling, int start, int end, TokenList into)
    {
        into.Add(token.Id, spelling.SequenceEqual(token.Content) ? token.Content : spelling.ToString(), start, end);
        into.Word++;
    }

    void CutStretch(ReadOnlySpan<char> stretch, int origin, TokenList into)
    {
        MappedText text = MappedText.Of(stretch, origin);
        if (parts.Normalizer is not null) text = parts.Normalizer.Normalize(text);
        if (normalizedAdded.None)
        {
            CutWords(new(text, 0, text.Length, origin), into);
            return;
        }
        foreach (var (start, end, token) in normalizedAdded.Split(text.Chars))
        {
            if (token is null) CutWords(new(text, start, end, start == 0 ? origin : text.Origins[start]), into);
            else AddWhole(token, text.Chars[start..end], text.Origins[start], text.Origins[end - 1] + 1, into);
        }
    }

    void CutWords(Piece piece, TokenList into)
    {
        if (piece.Length == 0) return;
        List<Piece> words = into.Pieces;
        words.Clear();
        if (parts.PreTokenizer is null) words.Add(piece);
        else parts.PreTokenizer.Split(piece, words);
        foreach (Piece word in words)
        {
            parts.Model.Tokenize(word.Chars, word.Origins, into);
            into.Word++;
        }
    }
}
