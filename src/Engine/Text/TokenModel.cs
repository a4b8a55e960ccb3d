using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>The lists that an encoding is made of while it grows.</summary>
sealed class TokenList
{
    public readonly List<int> Ids = [];
    public readonly List<string> Tokens = [];
    public readonly List<(int, int)> Offsets = [];
    public readonly List<int?> Words = [];

    /// <summary>Room for the words of the stretch that is being cut.</summary>
    public readonly List<Piece> Pieces = [];

    /// <summary>Index of the word that is being cut.</summary>
    public int Word;

    public void Add(int id, string token, int start, int end)
    {
        Ids.Add(id);
        Tokens.Add(token);
        Offsets.Add((start, end));
        Words.Add(Word);
    }

    public void Clear()
    {
        Ids.Clear();
        Tokens.Clear();
        Offsets.Clear();
        Words.Clear();
        Word = 0;
    }

    public void RemoveFrom(int index)
    {
        int count = Ids.Count - index;
        Ids.RemoveRange(index, count);
        Tokens.RemoveRange(index, count);
        Offsets.RemoveRange(index, count);
        Words.RemoveRange(index, count);
    }
}

/// <summary>Cuts a word into tokens of a vocabulary.</summary>
abstract class TokenModel(Dictionary<string, int> vocabulary)
{
    public IReadOnlyDictionary<string, int> Vocabulary => vocabulary;

    /// <summary>Adds the tokens of a word that has at least one character; origins has an entry per character.</summary>
    public abstract void Tokenize(ReadOnlySpan<char> word, ReadOnlySpan<int> origins, TokenList into);

    /// <summary>Reads the entry "model" of tokenizer.json.</summary>
    /// <exception cref="TokenizerFileException">The kind is not known, or what it says does not fit together.</exception>
    public static TokenModel Read(JsonElement json) => (Json.Text(json, "type") ?? Guess(json)) switch
    {
        "WordPiece" => new WordPieceModel(ReadVocabulary(json), Json.Text(json, "unk_token") ?? "[UNK]", Json.Text(json, "continuing_subword_prefix") ?? "##",
            json.TryGetProperty("max_input_chars_per_word", out JsonElement most) ? most.GetInt32() : 100),
        "BPE" => BpeModel.Read(json, ReadVocabulary(json)),
        "Unigram" => UnigramModel.Read(json),
        var other => throw new TokenizerFileException($"tokenizer.json has a model of the type {other ?? "unknown"}; WordPiece, BPE and Unigram are supported."),
    };

    /// <summary>Files of early versions have no type.</summary>
    static string? Guess(JsonElement model) =>
        model.TryGetProperty("merges", out _) ? "BPE" :
        model.TryGetProperty("unk_id", out _) ? "Unigram" :
        model.TryGetProperty("continuing_subword_prefix", out _) ? "WordPiece" : null;

    /// <summary>Most tokens of a vocabulary. The largest published ones have 900,000, and each takes some hundred bytes of memory.</summary>
    const int MostTokens = 2_000_000;

    internal static void RequireFew(int tokens, string file = "tokenizer.json")
    {
        if (tokens > MostTokens) throw new TokenizerFileException($"{file} has a vocabulary of {tokens} tokens; more than {MostTokens} are refused.");
    }

    static Dictionary<string, int> ReadVocabulary(JsonElement model)
    {
        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        JsonElement list = model.GetProperty("vocab");
        RequireFew(list.GetPropertyCount());
        foreach (JsonProperty token in list.EnumerateObject()) vocabulary[token.Name] = Json.Id(token.Value, token.Name);
        return vocabulary;
    }
}
