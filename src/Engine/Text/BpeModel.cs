using System.Collections.Concurrent;
using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// Byte-pair encoding (Sennrich et al. 2016): a word starts as single characters, and the pair that was learned first is
/// merged again and again. Serves byte-level vocabularies (GPT-2) and those of sentencepiece with bytes for what is unknown.
/// </summary>
sealed class BpeModel : TokenModel
{
    /// <summary>Words whose merged form is kept, and the longest of them; texts repeat few words often.</summary>
    const int MostCached = 10_000, LongestCached = 64;

    const int LongestAffix = 100;

    readonly record struct Symbol(int Id, string Token, int Start, int End);

    readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> vocabulary;
    readonly Dictionary<int, string> tokens = [];
    readonly Dictionary<(int Left, int Right), (int Rank, int Id)> merges = [];
    readonly int[]? byteIds;
    readonly BpeSettings settings;
    readonly int? unknownId;
    readonly ConcurrentDictionary<string, Symbol[]>.AlternateLookup<ReadOnlySpan<char>> cache =
        new ConcurrentDictionary<string, Symbol[]>(StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();
    int cached;

    public BpeModel(Dictionary<string, int> vocabulary, IEnumerable<(string Left, string Right)> merges, BpeSettings settings, string file = "tokenizer.json") : base(vocabulary)
    {
        this.settings = settings;
        if (Math.Max(settings.Prefix.Length, settings.Suffix.Length) is > LongestAffix and var affix)
            throw new TokenizerFileException($"{file} has a continuing_subword_prefix or end_of_word_suffix of {affix} characters; more than {LongestAffix} are refused.");
        this.vocabulary = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var (token, id) in vocabulary) tokens[id] = token;
        int rank = 0;
        foreach (var (left, right) in merges)
        {
            string merged = left + (right.StartsWith(settings.Prefix, StringComparison.Ordinal) ? right[settings.Prefix.Length..] : right);
            if (!vocabulary.TryGetValue(left, out int first) || !vocabulary.TryGetValue(right, out int second) || !vocabulary.TryGetValue(merged, out int both))
            {
                string missing = new[] { left, right }.FirstOrDefault(t => !vocabulary.ContainsKey(t)) ?? merged;
                throw new TokenizerFileException($"{file} merges \"{Json.Shown(left)}\" and \"{Json.Shown(right)}\" (merge {rank + 1}), but the vocabulary lacks \"{Json.Shown(missing)}\".");
            }
            this.merges[(first, second)] = (rank++, both);
        }
        if (settings.UnknownToken is not null && vocabulary.TryGetValue(settings.UnknownToken, out int unknown)) unknownId = unknown;
        if (settings.ByteFallback) byteIds = [.. Enumerable.Range(0, 256).Select(b => vocabulary.GetValueOrDefault($"<0x{b:X2}>", -1))];
    }

    public static BpeModel Read(JsonElement json, Dictionary<string, int> vocabulary)
    {
        if (Json.Part(json, "dropout") is { ValueKind: JsonValueKind.Number } dropout && dropout.GetDouble() > 0)
            throw new TokenizerFileException($"tokenizer.json has a BPE model with a dropout of {dropout.GetRawText()}, which makes ids random; only none is supported.");
        return new(vocabulary, json.GetProperty("merges").EnumerateArray().Select(ReadMerge), new(
            Json.Text(json, "unk_token"), Json.Text(json, "continuing_subword_prefix") ?? "", Json.Text(json, "end_of_word_suffix") ?? "",
            Json.Flag(json, "fuse_unk") ?? false, Json.Flag(json, "byte_fallback") ?? false, Json.Flag(json, "ignore_merges") ?? false));
    }

    static (string, string) ReadMerge(JsonElement merge)
    {
        if (merge.ValueKind == JsonValueKind.Array && merge.GetArrayLength() == 2) return (merge[0].GetString() ?? "", merge[1].GetString() ?? "");
        return SplitMerge(merge.GetString() ?? "", "tokenizer.json");
    }

    /// <summary>A merge as one line: two tokens with a blank between.</summary>
    public static (string Left, string Right) SplitMerge(string line, string file)
    {
        string[] parts = line.Split(' ');
        return parts.Length == 2 ? (parts[0], parts[1]) : throw new TokenizerFileException($"{file} has the merge \"{Json.Shown(line)}\", which is not two tokens with one blank between them.");
    }

    public override void Tokenize(ReadOnlySpan<char> word, ReadOnlySpan<int> origins, TokenList into)
    {
        if (settings.IgnoreMerges && vocabulary.TryGetValue(word, out string? whole, out int id))
        {
            // The reference (tokenizers 0.19) gives such a word no extent, only a place.
            into.Add(id, whole, origins[0], origins[0]);
            return;
        }
        if (!cache.TryGetValue(word, out Symbol[]? symbols))
        {
            symbols = Merge(word);
            if (word.Length <= LongestCached && Volatile.Read(ref cached) < MostCached && cache.TryAdd(word, symbols)) Interlocked.Increment(ref cached);
        }
        foreach (Symbol symbol in symbols) into.Add(symbol.Id, symbol.Token, origins[symbol.Start], origins[symbol.End - 1] + 1);
    }

    Symbol[] Merge(ReadOnlySpan<char> word)
    {
        List<Symbol> symbols = Characters(word);
        int count = symbols.Count;
        int[] next = new int[count], previous = new int[count];
        PriorityQueue<(int At, int Left, int Right), long> queue = new();
        for (int i = 0; i < count; i++)
        {
            (next[i], previous[i]) = (i + 1 < count ? i + 1 : -1, i - 1);
            if (i > 0) Offer(i - 1, i);
        }
        while (queue.TryDequeue(out var best, out _))
        {
            // A symbol that was merged away has the id -1, so that what was offered with it no longer fits.
            int right = next[best.At];
            if (right < 0 || symbols[best.At].Id != best.Left || symbols[right].Id != best.Right) continue;
            int id = merges[(best.Left, best.Right)].Id;
            symbols[best.At] = new(id, tokens[id], symbols[best.At].Start, symbols[right].End);
            symbols[right] = symbols[right] with { Id = -1 };
            next[best.At] = next[right];
            if (next[right] >= 0) previous[next[right]] = best.At;
            if (previous[best.At] >= 0) Offer(previous[best.At], best.At);
            if (next[best.At] >= 0) Offer(best.At, next[best.At]);
        }
        symbols.RemoveAll(s => s.Id < 0);
        return [.. symbols];

        void Offer(int left, int right)
        {
            var pair = (symbols[left].Id, symbols[right].Id);
            if (merges.TryGetValue(pair, out var merge)) queue.Enqueue((left, pair.Item1, pair.Item2), (long)merge.Rank << 32 | (uint)left);
        }
    }

    /// <summary>The single characters that a word starts as; unknown ones as their bytes, as the unknown token, or not at all.</summary>
    List<Symbol> Characters(ReadOnlySpan<char> word)
    {
        List<Symbol> symbols = new(word.Length);
        Span<byte> bytes = stackalloc byte[4];
        bool unknownBefore = false;
        for (int start = 0, units; start < word.Length; start += units)
        {
            int count = ByteAlphabet.Utf8(word, start, bytes, out units);
            int end = start + units;
            if (Known(word, start, end) is { } known)
            {
                symbols.Add(known);
                unknownBefore = false;
            }
            else if (byteIds is not null && AllKnown(bytes[..count]))
            {
                foreach (byte value in bytes[..count]) symbols.Add(new(byteIds[value], tokens[byteIds[value]], start, end));
                unknownBefore = false;
            }
            else if (unknownId is { } unknown)
            {
                if (unknownBefore && settings.FuseUnknown) symbols[^1] = symbols[^1] with { End = end };
                else symbols.Add(new(unknown, tokens[unknown], start, end));
                unknownBefore = true;
            }
        }
        return symbols;
    }

    Symbol? Known(ReadOnlySpan<char> word, int start, int end)
    {
        ReadOnlySpan<char> spelling = word[start..end];
        if (start > 0 && settings.Prefix.Length > 0) spelling = string.Concat(settings.Prefix, spelling);
        if (end == word.Length && settings.Suffix.Length > 0) spelling = string.Concat(spelling, settings.Suffix);
        return vocabulary.TryGetValue(spelling, out string? token, out int id) ? new(id, token, start, end) : null;
    }

    bool AllKnown(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes) if (byteIds![value] < 0) return false;
        return true;
    }
}

/// <summary>What a BPE model says besides its vocabulary and merges.</summary>
/// <param name="Prefix">Put before each character of a word but the first.</param>
/// <param name="Suffix">Put after the last character of a word.</param>
/// <param name="FuseUnknown">Unknown characters in a row are one unknown token.</param>
/// <param name="ByteFallback">Unknown characters become the tokens of their bytes, spelt like &lt;0x0A&gt;.</param>
/// <param name="IgnoreMerges">A word that the vocabulary has as a whole is not merged but taken.</param>
sealed record BpeSettings(string? UnknownToken, string Prefix, string Suffix, bool FuseUnknown, bool ByteFallback, bool IgnoreMerges);
