using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// The unigram language model of sentencepiece (Kudo 2018): of all ways to cut a word, the one whose tokens have the
/// greatest sum of log-probabilities (Viterbi).
/// </summary>
sealed class UnigramModel : TokenModel
{
    /// <summary>How much an unknown character is worse than the worst token.</summary>
    const double UnknownPenalty = 10;

    /// <summary>Most nodes of the trie. A published vocabulary of 900,000 tokens has about 3 million.</summary>
    const int MostNodes = 10_000_000;

    readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> vocabulary;
    readonly double[] scores;
    readonly double unknownScore;
    readonly int unknownId;
    readonly int[]? byteIds;

    // The tokens as a trie: node and character to node, and per node the token that ends there or -1.
    readonly Dictionary<(int Node, char Unit), int> children = [];
    readonly List<int> endsToken = [-1];

    UnigramModel(Dictionary<string, int> vocabulary, double[] scores, int unknownId, bool byteFallback) : base(vocabulary)
    {
        this.vocabulary = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        (this.scores, this.unknownId) = (scores, unknownId);
        unknownScore = scores.Min() - UnknownPenalty;
        foreach (var (token, id) in vocabulary)
        {
            int node = 0;
            foreach (char unit in token)
            {
                if (!children.TryGetValue((node, unit), out int child))
                {
                    if (endsToken.Count > MostNodes) throw new TokenizerFileException($"tokenizer.json has a Unigram vocabulary whose tokens make a trie of more than {MostNodes} nodes, which is refused.");
                    child = endsToken.Count;
                    children[(node, unit)] = child;
                    endsToken.Add(-1);
                }
                node = child;
            }
            if (node > 0) endsToken[node] = id;
        }
        if (byteFallback) byteIds = [.. Enumerable.Range(0, 256).Select(b => vocabulary.GetValueOrDefault($"<0x{b:X2}>", -1))];
    }

    public static new UnigramModel Read(JsonElement json)
    {
        JsonElement list = json.GetProperty("vocab");
        RequireFew(list.GetArrayLength());
        JsonElement[] entries = [.. list.EnumerateArray()];
        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        double[] scores = new double[entries.Length];
        for (int i = 0; i < entries.Length; i++)
        {
            vocabulary[entries[i][0].GetString() ?? ""] = i;
            scores[i] = entries[i][1].GetDouble();
        }
        if (Json.Part(json, "unk_id") is not { ValueKind: JsonValueKind.Number } unknown)
            throw new TokenizerFileException("tokenizer.json has a Unigram model without unk_id, so it has no token for characters that it does not know.");
        if (!unknown.TryGetInt32(out int unknownId) || unknownId < 0 || unknownId >= entries.Length)
            throw new TokenizerFileException($"tokenizer.json says unk_id is {Json.Shown(unknown.GetRawText())}, in a vocabulary of {entries.Length} tokens.");
        return new(vocabulary, scores, unknownId, Json.Flag(json, "byte_fallback") ?? false);
    }

    public override void Tokenize(ReadOnlySpan<char> word, ReadOnlySpan<int> origins, TokenList into)
    {
        List<(int Start, int End)> parts = Cut(word);
        Span<byte> bytes = stackalloc byte[4];
        for (int p = parts.Count - 1; p >= 0; p--)
        {
            var (start, end) = parts[p];
            int from = origins[start], to = origins[end - 1] + 1;
            if (vocabulary.TryGetValue(word[start..end], out string? token, out int id)) into.Add(id, token, from, to);
            else if (byteIds is null || !AllBytesKnown(word[start..end])) into.Add(unknownId, word[start..end].ToString(), from, to);
            else
            {
                for (int at = start, units; at < end; at += units)
                {
                    foreach (byte value in bytes[..ByteAlphabet.Utf8(word, at, bytes, out units)]) into.Add(byteIds[value], $"<0x{value:X2}>", from, to);
                }
            }
        }
    }

    /// <summary>The best cut, last part first; unknown characters in a row are one part.</summary>
    List<(int Start, int End)> Cut(ReadOnlySpan<char> word)
    {
        // Per place: the best score of a cut that ends there, where its last token starts, and whether that is unknown.
        Span<(double Score, int Start, bool Unknown)> best = new (double, int, bool)[word.Length + 1];
        for (int i = 1; i < best.Length; i++) best[i].Start = -1;
        for (int start = 0, units; start < word.Length; start += units)
        {
            MappedText.CodeAt(word, start, out units);
            double before = best[start].Score;
            bool single = false;
            for (int end = start, node = 0; end < word.Length && children.TryGetValue((node, word[end]), out node);)
            {
                end++;
                if (endsToken[node] is var id and >= 0)
                {
                    Offer(ref best[end], before + scores[id], start, id == unknownId);
                    single |= end == start + units;
                }
            }
            if (!single) Offer(ref best[start + units], before + unknownScore, start, true);
        }
        List<(int, int)> parts = [];
        for (int end = word.Length; end > 0;)
        {
            int start = best[end].Start;
            while (best[end].Unknown && start > 0 && best[start].Unknown) start = best[start].Start;
            parts.Add((start, end));
            end = start;
        }
        return parts;
    }

    static void Offer(ref (double Score, int Start, bool Unknown) place, double score, int start, bool unknown)
    {
        if (place.Start < 0 || score > place.Score) place = (score, start, unknown);
    }

    bool AllBytesKnown(ReadOnlySpan<char> text)
    {
        Span<byte> bytes = stackalloc byte[4];
        for (int at = 0, units; at < text.Length; at += units)
        {
            foreach (byte value in bytes[..ByteAlphabet.Utf8(text, at, bytes, out units)]) if (byteIds![value] < 0) return false;
        }
        return true;
    }
}
