using System.Runtime.InteropServices;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// Learns the merges of byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) as the trainer of Hugging Face's tokenizers does:
/// the vocabulary is the special tokens, then the characters, then the most frequent pair of neighbours again and again; of pairs that
/// are equally frequent the one of the smaller ids. Counts are kept up to date at the words that a merge touches, and the next pair comes
/// from a heap, so a merge costs by its occurrences and not by the text.
/// </summary>
sealed class BpeTrainer
{
    /// <summary>Neighbours: how often they stand side by side, and the words where they were seen to, some more than once or no longer.</summary>
    sealed class Pair
    {
        public long Count;
        public bool IsMerged;
        public readonly List<int> Words = [];
    }

    readonly string prefix;
    readonly List<string> tokens = [];
    readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);
    readonly List<(string Left, string Right)> merges = [];
    readonly List<int[]> words = [];
    readonly List<int> lengths = [];
    readonly List<long> counts = [];
    readonly Dictionary<(int Left, int Right), Pair> pairs = [];
    readonly PriorityQueue<(int Left, int Right), (long FewerFirst, int Left, int Right)> queue = new();
    readonly HashSet<(int Left, int Right)> grown = [];

    BpeTrainer(string prefix) => this.prefix = prefix;

    /// <summary>The vocabulary in the order of ids, and the merges in the order in which they were learned.</summary>
    /// <param name="words">The words and how often each occurs; their order decides nothing.</param>
    /// <param name="options">What to learn.</param>
    /// <exception cref="ArgumentException">The words are none, or the size has no room for the special tokens and the characters.</exception>
    public static (IReadOnlyList<string> Tokens, IReadOnlyList<(string Left, string Right)> Merges) Learn(IReadOnlyList<(string Word, long Count)> words, BpeTrainerOptions options, CancellationToken cancel = default)
    {
        BpeTrainer trainer = new(options.Prefix);
        foreach (string token in options.SpecialTokens) trainer.IdOf(token);
        trainer.Spell(words, options);
        if (trainer.tokens.Count > options.Size)
            throw new ArgumentException($"A vocabulary of {options.Size} tokens is too small for this text: the special tokens and single characters alone are {trainer.tokens.Count}. Ask for more tokens{(options.InitialAlphabet.Count == 0 ? ", or for fewer characters" : "")}.", nameof(options));
        trainer.Merge(options, cancel);
        return (trainer.tokens, trainer.merges);
    }

    int IdOf(string token)
    {
        if (ids.TryGetValue(token, out int id)) return id;
        ids[token] = tokens.Count;
        tokens.Add(token);
        return tokens.Count - 1;
    }

    /// <summary>Gives the characters their ids, those that begin a word first, and turns each word into ids.</summary>
    void Spell(IReadOnlyList<(string Word, long Count)> spelled, BpeTrainerOptions options)
    {
        if (spelled.Count == 0) throw new ArgumentException("The text has no word to learn a vocabulary from.", nameof(spelled));
        Dictionary<int, long> characters = [];
        HashSet<int> continuing = [];
        foreach (var (word, count) in spelled)
        {
            for (int at = 0, units; at < word.Length; at += units)
            {
                int code = MappedText.CodeAt(word, at, out units);
                characters[code] = characters.GetValueOrDefault(code) + count;
                if (at > 0) continuing.Add(code);
            }
        }
        foreach (int code in options.InitialAlphabet) characters[code] = long.MaxValue;
        HashSet<int> kept = [.. characters.OrderByDescending(c => c.Value).ThenBy(c => c.Key).Take(Math.Max(options.MostCharacters, options.InitialAlphabet.Count)).Select(c => c.Key)];

        Dictionary<int, int> first = kept.Order().ToDictionary(c => c, c => IdOf(Text(c)));
        Dictionary<int, int> later = prefix.Length == 0 ? first : kept.Where(continuing.Contains).Order().ToDictionary(c => c, c => IdOf(prefix + Text(c)));
        foreach (var (word, count) in spelled)
        {
            List<int> symbols = new(word.Length);
            for (int at = 0, units; at < word.Length; at += units)
            {
                // A character that is too rare to be kept is passed over.
                if ((at == 0 ? first : later).TryGetValue(MappedText.CodeAt(word, at, out units), out int id)) symbols.Add(id);
            }
            if (symbols.Count < 2) continue;
            for (int i = 1; i < symbols.Count; i++) Change(symbols[i - 1], symbols[i], count, words.Count);
            words.Add([.. symbols]);
            lengths.Add(symbols.Count);
            counts.Add(count);
        }

        static string Text(int code) => code < 0x10000 ? ((char)code).ToString() : char.ConvertFromUtf32(code);
    }

    void Merge(BpeTrainerOptions options, CancellationToken cancel)
    {
        Offer();
        while (tokens.Count < options.Size && queue.TryDequeue(out var pair, out var place))
        {
            cancel.ThrowIfCancellationRequested();
            Pair found = pairs[pair];
            if (found.Count < Math.Max(1, options.MinFrequency)) continue;
            if (found.Count != -place.FewerFirst)
            {
                // Merges beside it have used up some of what it was offered with.
                queue.Enqueue(pair, (-found.Count, pair.Left, pair.Right));
                continue;
            }
            string right = tokens[pair.Right];
            string merged = tokens[pair.Left] + (prefix.Length > 0 && right.StartsWith(prefix, StringComparison.Ordinal) ? right[prefix.Length..] : right);
            int id = IdOf(merged);
            // A pair can come again, where another merge spells one of its two tokens once more.
            if (!found.IsMerged) merges.Add((tokens[pair.Left], right));
            found.IsMerged = true;
            foreach (int word in found.Words) Apply(pair, id, word);
            found.Words.Clear();
            Offer();
        }
    }

    /// <summary>Merges a pair wherever a word has it, from the left, and counts the neighbours that go and come.</summary>
    void Apply((int Left, int Right) pair, int merged, int word)
    {
        int[] symbols = words[word];
        int length = lengths[word], kept = 0;
        long count = counts[word];
        for (int at = 0; at < length; at++, kept++)
        {
            if (at + 1 == length || symbols[at] != pair.Left || symbols[at + 1] != pair.Right)
            {
                symbols[kept] = symbols[at];
                continue;
            }
            Change(pair.Left, pair.Right, -count, word);
            if (kept > 0)
            {
                Change(symbols[kept - 1], pair.Left, -count, word);
                Change(symbols[kept - 1], merged, count, word);
            }
            at++;
            if (at + 1 < length)
            {
                Change(pair.Right, symbols[at + 1], -count, word);
                Change(merged, symbols[at + 1], count, word);
            }
            symbols[kept] = merged;
        }
        lengths[word] = kept;
    }

    void Change(int left, int right, long by, int word)
    {
        ref Pair? pair = ref CollectionsMarshal.GetValueRefOrAddDefault(pairs, (left, right), out _);
        pair ??= new();
        pair.Count += by;
        if (by < 0) return;
        if (pair.Words.Count == 0 || pair.Words[^1] != word) pair.Words.Add(word);
        grown.Add((left, right));
    }

    /// <summary>Puts the pairs that grew into the heap with what they count now; those that shrank are put right when they come up.</summary>
    void Offer()
    {
        foreach (var pair in grown) queue.Enqueue(pair, (-pairs[pair].Count, pair.Left, pair.Right));
        grown.Clear();
    }
}

/// <summary>What a <see cref="BpeTrainer"/> learns.</summary>
/// <param name="Size">Tokens in all, special ones and single characters included; fewer where the text has no more pairs.</param>
/// <param name="MinFrequency">How often a pair must occur to be merged.</param>
/// <param name="SpecialTokens">The first tokens, which are never found in the text.</param>
/// <param name="Prefix">Put before a token that does not begin a word, "##" for WordPiece; empty for none.</param>
/// <param name="InitialAlphabet">Characters that are kept whether or not the text has them.</param>
/// <param name="MostCharacters">Most characters that are kept, the most frequent ones; the others are passed over.</param>
sealed record BpeTrainerOptions(int Size, int MinFrequency, IReadOnlyList<string> SpecialTokens, string Prefix, IReadOnlyList<int> InitialAlphabet, int MostCharacters = int.MaxValue);
