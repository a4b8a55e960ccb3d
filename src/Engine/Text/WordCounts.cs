using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>How often each word occurs in texts, normalised and split as a tokenizer file says; a vocabulary is learned from this alone.</summary>
sealed class WordCounts
{
    readonly Normalizer? normalizer;
    readonly PreTokenizer? preTokenizer;
    readonly Dictionary<string, long> counts = new(StringComparer.Ordinal);
    readonly Dictionary<string, long>.AlternateLookup<ReadOnlySpan<char>> bySpan;
    readonly List<Piece> pieces = [];

    /// <param name="tokenizer">A tokenizer.json, of which "normalizer" and "pre_tokenizer" are read.</param>
    public WordCounts(JsonElement tokenizer)
    {
        normalizer = Normalizer.Read(Json.Part(tokenizer, "normalizer"));
        preTokenizer = PreTokenizer.Read(Json.Part(tokenizer, "pre_tokenizer"));
        bySpan = counts.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public void Add(string text)
    {
        MappedText mapped = MappedText.Of(text, 0);
        if (normalizer is not null) mapped = normalizer.Normalize(mapped);
        if (mapped.Length == 0) return;
        pieces.Clear();
        Piece whole = new(mapped, 0, mapped.Length, 0);
        if (preTokenizer is null) pieces.Add(whole);
        else preTokenizer.Split(whole, pieces);
        foreach (Piece word in pieces)
        {
            bySpan.TryGetValue(word.Chars, out long count);
            bySpan[word.Chars] = count + 1;
        }
    }

    /// <summary>The words in ordinal order, so that what is learned from them depends on no order of texts.</summary>
    public List<(string Word, long Count)> InOrder() => [.. counts.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => (c.Key, c.Value))];
}
