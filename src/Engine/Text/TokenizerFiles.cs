using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>The parts of a tokenizer, as its files say.</summary>
sealed record TokenizerParts(
    Normalizer? Normalizer,
    PreTokenizer? PreTokenizer,
    TokenModel Model,
    PostProcessor PostProcessor,
    Decoder? Decoder,
    IReadOnlyList<AddedToken> AddedTokens,
    string? PadToken,
    string? EndToken)
{
    /// <summary>Largest tokenizer file that is read, in bytes; the largest published ones have about 35 million.</summary>
    const long MaxFileLength = 64_000_000;

    /// <summary>Most names, values and brackets in one JSON file: each takes 12 bytes while it is read, and published files have 3 million at most.</summary>
    const int MaxJsonTokens = 16_000_000;

    static readonly string[] Files = ["tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "config.json"];

    /// <summary>The files of a folder that decide what its tokenizer does, in a fixed order.</summary>
    public static IEnumerable<string> Present(string folder) => Files.Select(file => Path.Combine(folder, file)).Where(File.Exists);

    /// <summary>Reads tokenizer.json if the folder has one, else the older vocabulary files.</summary>
    /// <exception cref="TokenizerFileException">There is no tokenizer, or its files are broken or ask for what is not supported.</exception>
    public static TokenizerParts Read(string folder)
    {
        foreach (string file in Files)
        {
            FileInfo info = new(Path.Combine(folder, file));
            if (info.Exists && info.Length > MaxFileLength) throw new TokenizerFileException($"{file} has {info.Length} bytes; more than {MaxFileLength} is refused.");
        }
        string reading = "tokenizer_config.json";
        List<JsonDocument> opened = [];
        try
        {
            TokenizerSettings settings = new(Open("tokenizer_config.json"), Open("special_tokens_map.json"));
            if (Exists("tokenizer.json")) return FromJson(Open("tokenizer.json"), settings);
            if (Exists("vocab.txt")) return VocabularyFiles.Bert(File.ReadLines(Path.Combine(folder, reading = "vocab.txt")), settings);
            if (Exists("vocab.json") && Exists("merges.txt")) return VocabularyFiles.ByteLevel(Open("vocab.json"), File.ReadLines(Path.Combine(folder, "merges.txt")), settings, Open("config.json"));
        }
        catch (JsonException e)
        {
            throw new TokenizerFileException($"{reading} is no valid JSON near line {e.LineNumber + 1}.");
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw new TokenizerFileException($"{reading} lacks an entry that a tokenizer needs, or has one of another kind: {e.Message}");
        }
        finally
        {
            // The parts have copied what they need: no element outlives its document, and a large one is held once.
            foreach (JsonDocument document in opened) document.Dispose();
        }
        if (Directory.Exists(folder) && Directory.EnumerateFiles(folder, "*.model").FirstOrDefault() is { } sentencepiece)
            throw new TokenizerFileException($"The folder has its tokenizer only as {Path.GetFileName(sentencepiece)}, which is not read here. Load the tokenizer with transformers and call save_pretrained(folder), which writes tokenizer.json.");
        throw new TokenizerFileException("The folder has no tokenizer: neither tokenizer.json nor vocab.txt is there, nor vocab.json with merges.txt.");

        bool Exists(string file) => File.Exists(Path.Combine(folder, file));

        JsonElement Open(string file)
        {
            reading = file;
            byte[] bytes = Exists(file) ? File.ReadAllBytes(Path.Combine(folder, file)) : "{}"u8.ToArray();
            if (bytes.Length > MaxJsonTokens) CountTokens(bytes, file);
            JsonDocument document = JsonDocument.Parse(bytes);
            opened.Add(document);
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement : throw new TokenizerFileException($"{file} holds no JSON object.");
        }
    }

    /// <summary>Reads past everything without keeping anything.</summary>
    static void CountTokens(ReadOnlySpan<byte> bytes, string file)
    {
        Utf8JsonReader reader = new(bytes);
        for (int count = 0; reader.Read();)
            if (++count > MaxJsonTokens) throw new TokenizerFileException($"{file} has more than {MaxJsonTokens} names, values and brackets, which is refused; published ones have 3 million at most.");
    }

    static TokenizerParts FromJson(JsonElement root, TokenizerSettings settings)
    {
        TokenModel model = TokenModel.Read(root.GetProperty("model"));
        List<AddedToken> added = [];
        if (Json.Part(root, "added_tokens") is { ValueKind: JsonValueKind.Array } list)
            added.AddRange(list.EnumerateArray().Select(t => AddedToken.Read(Json.Id(t.GetProperty("id"), Json.Text(t, "content")), t)));
        string? pad = settings.Token("pad_token") ?? (Json.Part(root, "padding") is { ValueKind: JsonValueKind.Object } padding ? Json.Text(padding, "pad_token") : null);
        return new(
            Normalizer.Read(Json.Part(root, "normalizer")), PreTokenizer.Read(Json.Part(root, "pre_tokenizer")), model,
            PostProcessor.Read(Json.Part(root, "post_processor")), Decoder.Read(Json.Part(root, "decoder")), added, pad, settings.Token("eos_token"));
    }
}

/// <summary>The small files beside a vocabulary, tokenizer_config.json and special_tokens_map.json; an empty object where one is missing.</summary>
sealed record TokenizerSettings(JsonElement Config, JsonElement SpecialTokens)
{
    /// <summary>The token of a role, such as pad_token; null where there is none.</summary>
    public string? Token(string role) => Json.TokenText(Config, role) ?? Json.TokenText(SpecialTokens, role);
}
