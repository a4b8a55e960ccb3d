using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>A piece of the template around the texts: a special token, or the first (0) or second (1) text.</summary>
sealed record TemplatePiece(string? Token, int Id, int Sequence, int TypeId);

/// <summary>What tokenizer.json, or vocab.txt with tokenizer_config.json, say about a WordPiece tokenizer.</summary>
sealed record WordPieceFiles(
    Dictionary<string, int> Vocabulary,
    string UnknownToken,
    string Prefix,
    int MaxCharsPerWord,
    BertNormalizer? Normalizer,
    IReadOnlyList<AddedToken> AddedTokens,
    IReadOnlyList<TemplatePiece> Single,
    IReadOnlyList<TemplatePiece> Pair,
    string PadToken)
{
    /// <summary>Largest tokenizer file that is read, in bytes; the largest published ones have about 20 million.</summary>
    const long MaxFileLength = 100_000_000;

    /// <summary>Reads tokenizer.json if the folder has one, else vocab.txt.</summary>
    /// <exception cref="TokenizerFileException">There is neither, or it is broken or not WordPiece.</exception>
    public static WordPieceFiles Read(string folder)
    {
        string json = Path.Combine(folder, "tokenizer.json"), vocabulary = Path.Combine(folder, "vocab.txt");
        string config = Path.Combine(folder, "tokenizer_config.json");
        string reading = "tokenizer_config.json";
        foreach (string file in new[] { json, vocabulary, config })
        {
            if (File.Exists(file) && new FileInfo(file).Length > MaxFileLength)
                throw new TokenizerFileException($"{Path.GetFileName(file)} has {new FileInfo(file).Length} bytes; more than {MaxFileLength} is refused.");
        }
        try
        {
            using JsonDocument settings = JsonDocument.Parse(File.Exists(config) ? File.ReadAllBytes(config) : "{}"u8.ToArray());
            if (settings.RootElement.ValueKind != JsonValueKind.Object) throw new TokenizerFileException("tokenizer_config.json holds no JSON object.");
            if (File.Exists(json))
            {
                reading = "tokenizer.json";
                using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(json));
                return FromJson(document.RootElement, settings.RootElement);
            }
            if (File.Exists(vocabulary)) return FromVocabulary(File.ReadLines(vocabulary), settings.RootElement);
        }
        catch (JsonException e)
        {
            throw new TokenizerFileException($"{reading} is no valid JSON near line {e.LineNumber + 1}.");
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw new TokenizerFileException($"{reading} lacks an entry that a WordPiece tokenizer needs, or has one of another kind: {e.Message}");
        }
        throw new TokenizerFileException("The folder has no tokenizer: neither tokenizer.json nor vocab.txt is there.");
    }

    static WordPieceFiles FromJson(JsonElement root, JsonElement settings)
    {
        JsonElement model = root.GetProperty("model");
        string? type = Text(model, "type");
        if (type is not ("WordPiece" or null) || (type is null && !model.TryGetProperty("continuing_subword_prefix", out _)))
            throw new TokenizerFileException($"tokenizer.json has a model of the type {type ?? "unknown"}; only WordPiece is supported.");
        if (Type(root, "pre_tokenizer") is not "BertPreTokenizer" and var pre)
            throw new TokenizerFileException($"tokenizer.json has the pre-tokenizer {pre ?? "none"}; only BertPreTokenizer is supported.");

        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        foreach (JsonProperty token in model.GetProperty("vocab").EnumerateObject()) vocabulary[token.Name] = token.Value.GetInt32();
        List<AddedToken> added = [];
        if (root.TryGetProperty("added_tokens", out JsonElement list) && list.ValueKind == JsonValueKind.Array)
            added.AddRange(list.EnumerateArray().Select(t => Added(t.GetProperty("id").GetInt32(), t)));
        string unknown = Text(model, "unk_token") ?? "[UNK]";
        var (single, pair) = Templates(root, added, vocabulary);
        return Checked(new(
            vocabulary, unknown, Text(model, "continuing_subword_prefix") ?? "##",
            model.TryGetProperty("max_input_chars_per_word", out JsonElement most) ? most.GetInt32() : 100,
            NormalizerOf(root), added, single, pair, TokenText(settings, "pad_token") ?? "[PAD]"));
    }

    static BertNormalizer? NormalizerOf(JsonElement root)
    {
        string? type = Type(root, "normalizer");
        if (type is null) return null;
        if (type != "BertNormalizer") throw new TokenizerFileException($"tokenizer.json has the normalizer {type}; only BertNormalizer is supported.");
        JsonElement normalizer = root.GetProperty("normalizer");
        bool lowercase = Flag(normalizer, "lowercase") ?? true;
        return new(Flag(normalizer, "clean_text") ?? true, Flag(normalizer, "handle_chinese_chars") ?? true, Flag(normalizer, "strip_accents") ?? lowercase, lowercase);
    }

    static (List<TemplatePiece> Single, List<TemplatePiece> Pair) Templates(JsonElement root, List<AddedToken> added, Dictionary<string, int> vocabulary)
    {
        string? type = Type(root, "post_processor");
        if (type is null) return ([new(null, 0, 0, 0)], [new(null, 0, 0, 0), new(null, 0, 1, 0)]);
        JsonElement post = root.GetProperty("post_processor");
        if (type == "BertProcessing")
        {
            JsonElement cls = post.GetProperty("cls"), sep = post.GetProperty("sep");
            return BertTemplates((cls[0].GetString()!, cls[1].GetInt32()), (sep[0].GetString()!, sep[1].GetInt32()));
        }
        if (type != "TemplateProcessing") throw new TokenizerFileException($"tokenizer.json has the post-processor {type}; only TemplateProcessing and BertProcessing are supported.");
        JsonElement special = post.GetProperty("special_tokens");
        return (Pieces("single"), Pieces("pair"));

        List<TemplatePiece> Pieces(string name)
        {
            List<TemplatePiece> pieces = [];
            foreach (JsonElement piece in post.GetProperty(name).EnumerateArray())
            {
                if (piece.TryGetProperty("Sequence", out JsonElement sequence))
                {
                    pieces.Add(new(null, 0, Text(sequence, "id") == "B" ? 1 : 0, sequence.GetProperty("type_id").GetInt32()));
                    continue;
                }
                JsonElement token = piece.GetProperty("SpecialToken");
                JsonElement entry = special.GetProperty(Text(token, "id") ?? "");
                foreach (var (id, text) in entry.GetProperty("ids").EnumerateArray().Zip(entry.GetProperty("tokens").EnumerateArray()))
                    pieces.Add(new(text.GetString()!, id.GetInt32(), -1, token.GetProperty("type_id").GetInt32()));
            }
            return pieces;
        }
    }

    static WordPieceFiles FromVocabulary(IEnumerable<string> lines, JsonElement settings)
    {
        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        int index = 0;
        foreach (string line in lines) vocabulary[line] = index++;
        if (index == 0) throw new TokenizerFileException("vocab.txt is empty; it needs one token a line.");
        string unknown = TokenText(settings, "unk_token") ?? "[UNK]", pad = TokenText(settings, "pad_token") ?? "[PAD]";
        string cls = TokenText(settings, "cls_token") ?? "[CLS]", sep = TokenText(settings, "sep_token") ?? "[SEP]", mask = TokenText(settings, "mask_token") ?? "[MASK]";

        Dictionary<int, AddedToken> added = [];
        foreach (string token in new[] { unknown, pad, cls, sep, mask })
        {
            if (vocabulary.TryGetValue(token, out int id)) added[id] = new(id, token, false, false, false, false, true);
        }
        if (settings.TryGetProperty("added_tokens_decoder", out JsonElement decoder) && decoder.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty token in decoder.EnumerateObject())
            {
                if (!int.TryParse(token.Name, out int id)) throw new TokenizerFileException($"tokenizer_config.json has the added token \"{token.Name}\", whose key is not a number.");
                added[id] = Added(id, token.Value);
            }
        }
        foreach (string needed in new[] { cls, sep })
        {
            if (!vocabulary.ContainsKey(needed)) throw new TokenizerFileException($"vocab.txt lacks the special token {needed}.");
        }
        bool lowercase = Flag(settings, "do_lower_case") ?? true;
        var (single, pair) = BertTemplates((cls, vocabulary[cls]), (sep, vocabulary[sep]));
        return Checked(new(
            vocabulary, unknown, "##", 100,
            new(true, Flag(settings, "tokenize_chinese_chars") ?? true, Flag(settings, "strip_accents") ?? lowercase, lowercase),
            [.. added.Values], single, pair, pad));
    }

    static WordPieceFiles Checked(WordPieceFiles files)
    {
        if (!files.Vocabulary.ContainsKey(files.UnknownToken))
            throw new TokenizerFileException($"The vocabulary of {files.Vocabulary.Count} tokens lacks {files.UnknownToken}, the token for unknown words.");
        // Encoding relies on it: the text stands in its template, and a second one only in that for pairs.
        if (files.Single.Count(p => p.Token is null) == 0 || files.Single.Any(p => p.Token is null && p.Sequence != 0) || files.Pair.Count(p => p.Token is null) == 0)
            throw new TokenizerFileException("tokenizer.json has a template that leaves out the text it is for.");
        int lowest = files.Vocabulary.Values.Concat(files.AddedTokens.Select(t => t.Id)).Concat(files.TemplateIds).Min();
        return lowest >= 0 ? files : throw new TokenizerFileException($"The tokenizer gives a token the id {lowest}; ids are whole numbers from 0.");
    }

    /// <summary>Ids that stand around every text; a broken file may have others than its vocabulary.</summary>
    public IEnumerable<int> TemplateIds => Single.Concat(Pair).Where(p => p.Token is not null).Select(p => p.Id);

    static (List<TemplatePiece>, List<TemplatePiece>) BertTemplates((string Text, int Id) cls, (string Text, int Id) sep)
    {
        List<TemplatePiece> single = [new(cls.Text, cls.Id, -1, 0), new(null, 0, 0, 0), new(sep.Text, sep.Id, -1, 0)];
        return (single, [.. single, new(null, 0, 1, 1), new(sep.Text, sep.Id, -1, 1)]);
    }

    static AddedToken Added(int id, JsonElement token)
    {
        bool special = Flag(token, "special") ?? false;
        string content = Text(token, "content") ?? throw new TokenizerFileException($"The added token with the id {id} has no content.");
        return new(id, content, Flag(token, "single_word") ?? false, Flag(token, "lstrip") ?? false, Flag(token, "rstrip") ?? false, Flag(token, "normalized") ?? !special, special);
    }

    static string? Type(JsonElement root, string name) =>
        root.TryGetProperty(name, out JsonElement part) && part.ValueKind == JsonValueKind.Object ? Text(part, "type") : null;

    static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    static string? TokenText(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Object ? Text(value, "content") : Text(element, name);

    static bool? Flag(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) ? value.ValueKind switch { JsonValueKind.True => true, JsonValueKind.False => false, _ => null } : null;
}
