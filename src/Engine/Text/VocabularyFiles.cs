using System.Globalization;
using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>Tokenizers of folders without tokenizer.json, from the older vocabulary files, as Hugging Face's converters make them.</summary>
static class VocabularyFiles
{
    /// <summary>BERT and DistilBERT: vocab.txt, one token a line.</summary>
    public static TokenizerParts Bert(IEnumerable<string> lines, TokenizerSettings settings)
    {
        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        int index = 0;
        foreach (string line in lines)
        {
            vocabulary[line] = index++;
            TokenModel.RequireFew(index, "vocab.txt");
        }
        if (index == 0) throw new TokenizerFileException("vocab.txt is empty; it needs one token a line.");
        string Role(string role, string usual) => settings.Token(role) ?? usual;
        string unknown = Role("unk_token", "[UNK]"), pad = Role("pad_token", "[PAD]"), cls = Role("cls_token", "[CLS]"), sep = Role("sep_token", "[SEP]");
        foreach (string needed in new[] { cls, sep })
        {
            if (!vocabulary.ContainsKey(needed)) throw new TokenizerFileException($"vocab.txt lacks the special token {Json.Shown(needed)}.");
        }
        bool lowercase = Json.Flag(settings.Config, "do_lower_case") ?? true;
        BertNormalizer normalizer = new(true, Json.Flag(settings.Config, "tokenize_chinese_chars") ?? true, Json.Flag(settings.Config, "strip_accents") ?? lowercase, lowercase);
        return new(
            normalizer, new BertPreTokenizer(), new WordPieceModel(vocabulary, unknown, "##", 100), PostProcessor.Bert((cls, vocabulary[cls]), (sep, vocabulary[sep])),
            new WordPieceDecoder("##", cleanup: true), Added(vocabulary, [unknown, pad, cls, sep, Role("mask_token", "[MASK]")], settings), pad, settings.Token("eos_token"));
    }

    /// <summary>GPT-2, RoBERTa and Qwen2: vocab.json with ids, merges.txt with one merge a line; the settings say which.</summary>
    public static TokenizerParts ByteLevel(JsonElement vocab, IEnumerable<string> mergeLines, TokenizerSettings settings, JsonElement modelConfig)
    {
        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        TokenModel.RequireFew(vocab.GetPropertyCount(), "vocab.json");
        foreach (JsonProperty token in vocab.EnumerateObject()) vocabulary[token.Name] = Json.Id(token.Value, token.Name);
        var merges = mergeLines.Where(l => l.Length > 0 && !l.StartsWith("#version", StringComparison.Ordinal)).Select(l => BpeModel.SplitMerge(l, "merges.txt"));
        BpeModel model = new(vocabulary, merges, new(null, "", "", false, false, false), "merges.txt");

        string family = Json.Text(settings.Config, "tokenizer_class") is { } named ? named.Replace("Tokenizer", "").Replace("Fast", "").ToLowerInvariant() : Json.Text(modelConfig, "model_type") ?? "";
        bool prefixSpace = Json.Flag(settings.Config, "add_prefix_space") ?? false;
        string[] usual = family == "roberta" ? ["<s>", "</s>", "<unk>", "<pad>", "<mask>"] : ["<|endoftext|>"];
        string[] roles = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
        List<AddedToken> added = Added(vocabulary, [.. roles.Select(settings.Token).OfType<string>(), .. usual], settings);
        string? pad = settings.Token("pad_token") ?? (family == "roberta" ? "<pad>" : null);
        string end = settings.Token("eos_token") ?? (family == "roberta" ? "</s>" : "<|endoftext|>");

        PreTokenizer words = new ByteLevelPreTokenizer(prefixSpace, SplitPattern.Gpt2);
        switch (family)
        {
            case "gpt2":
                PostProcessor post = Json.Flag(settings.Config, "add_bos_token") ?? false ? BeginEach(Special(settings.Token("bos_token") ?? "<|endoftext|>")) : PostProcessor.None;
                return new(null, words, model, post, new ByteLevelDecoder(), added, pad, end);
            case "roberta":
                PostProcessor around = PostProcessor.Roberta(Special(settings.Token("cls_token") ?? "<s>"), Special(settings.Token("sep_token") ?? "</s>"), true, prefixSpace);
                return new(null, words, model, around, new ByteLevelDecoder(), added, pad, end);
            case "qwen2":
                words = new PreTokenizerSequence([new SplitPreTokenizer(SplitPattern.Expression(SplitPattern.Qwen2Source), SplitBehavior.Isolated, false), new ByteLevelPreTokenizer(prefixSpace, null)]);
                return new(new UnicodeNormalizer(compatibility: false, compose: true), words, model, PostProcessor.None, new ByteLevelDecoder(), added, pad, end);
            default:
                throw new TokenizerFileException($"vocab.json and merges.txt are of {(family == "" ? "a tokenizer that neither tokenizer_config.json nor config.json names" : "the family " + Json.Shown(family))}; known are gpt2, roberta, qwen2. Save the tokenizer with transformers, which writes tokenizer.json.");
        }

        (string, int) Special(string token) => vocabulary.TryGetValue(token, out int id) || (id = added.FirstOrDefault(a => a.Content == token)?.Id ?? -1) >= 0
            ? (token, id)
            : throw new TokenizerFileException($"vocab.json lacks the special token {Json.Shown(token)}.");
    }

    static PostProcessor BeginEach((string Text, int Id) begin)
    {
        TemplatePiece mark = new(begin.Text, begin.Id, -1, 0), first = new(null, 0, 0, 0);
        return new([mark, first], [mark, first, mark with { TypeId = 1 }, new(null, 0, 1, 1)], []);
    }

    static List<AddedToken> Added(Dictionary<string, int> vocabulary, IEnumerable<string> special, TokenizerSettings settings)
    {
        Dictionary<int, AddedToken> added = [];
        foreach (string token in special)
        {
            if (vocabulary.TryGetValue(token, out int id)) added[id] = new(id, token, false, false, false, false, true);
        }
        if (Json.Part(settings.Config, "added_tokens_decoder") is { ValueKind: JsonValueKind.Object } decoder)
        {
            foreach (JsonProperty token in decoder.EnumerateObject())
            {
                if (!int.TryParse(token.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int id)) throw new TokenizerFileException($"tokenizer_config.json has the added token \"{Json.Shown(token.Name)}\", whose key is no whole number from 0.");
                added[id] = AddedToken.Read(id, token.Value);
            }
        }
        return [.. added.Values];
    }
}
