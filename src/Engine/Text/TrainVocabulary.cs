using System.Text.Encodings.Web;
using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>
/// Learns a vocabulary from texts, for a model that starts from new weights. The texts are read once and only their words are kept, each
/// once with its count. The same words give the same vocabulary, whatever the order of the texts.
/// </summary>
public static class TrainVocabulary
{
    const string Prefix = "##";
    static readonly string[] BertTokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    const string EndOfText = "<|endoftext|>";

    /// <summary>
    /// BERT's WordPiece vocabulary (Wu et al. 2016, arXiv:1609.08144; Devlin et al. 2019), learned by byte-pair merges as Hugging Face's
    /// trainer does: the special tokens have the ids 0 to 4.
    /// </summary>
    /// <param name="texts">Texts, each read once.</param>
    /// <param name="size">Tokens in all.</param>
    /// <param name="lowercase">Letters become lower case and lose their accents, as in an uncased BERT.</param>
    /// <param name="minFrequency">How often two tokens must stand side by side to become one.</param>
    /// <param name="mostCharacters">Most different characters; a word with a rarer one is unknown.</param>
    /// <exception cref="ArgumentException">The texts have no word, or more characters than the size has room for.</exception>
    public static TrainedVocabulary WordPiece(IEnumerable<string> texts, int size, bool lowercase = true, int minFrequency = 2, int mostCharacters = 1000, CancellationToken cancel = default)
    {
        var normalizer = new { type = "BertNormalizer", clean_text = true, handle_chinese_chars = true, strip_accents = (bool?)null, lowercase };
        var preTokenizer = new { type = "BertPreTokenizer" };
        var (tokens, _) = BpeTrainer.Learn(Count(texts, normalizer, preTokenizer, cancel), new(size, minFrequency, BertTokens, Prefix, [], mostCharacters), cancel);

        object cls = Special("[CLS]", 0), sep = Special("[SEP]", 0), first = new { Sequence = new { id = "A", type_id = 0 } };
        var template = new
        {
            type = "TemplateProcessing",
            single = new[] { cls, first, sep },
            pair = new[] { cls, first, sep, new { Sequence = new { id = "B", type_id = 1 } }, Special("[SEP]", 1) },
            special_tokens = new[] { "[CLS]", "[SEP]" }.ToDictionary(t => t, t => new { id = t, ids = new[] { Array.IndexOf(BertTokens, t) }, tokens = new[] { t } }),
        };
        var model = new { type = "WordPiece", unk_token = "[UNK]", continuing_subword_prefix = Prefix, max_input_chars_per_word = 100, vocab = Ids(tokens) };
        Dictionary<string, object> special = new() { ["unk_token"] = "[UNK]", ["sep_token"] = "[SEP]", ["pad_token"] = "[PAD]", ["cls_token"] = "[CLS]", ["mask_token"] = "[MASK]" };
        Dictionary<string, object> config = new(special) { ["do_lower_case"] = lowercase, ["tokenize_chinese_chars"] = true, ["tokenizer_class"] = "BertTokenizer", ["clean_up_tokenization_spaces"] = true };
        return new(tokens, Text(TokenizerJson(BertTokens, normalizer, preTokenizer, template, new { type = "WordPiece", prefix = Prefix, cleanup = true }, model)), special, config);

        static object Special(string token, int type) => new { SpecialToken = new { id = token, type_id = type } };
    }

    /// <summary>
    /// GPT-2's byte-level vocabulary (Radford et al. 2019; Sennrich et al. 2016, arXiv:1508.07909): all 256 bytes are tokens, so that no
    /// text is unknown, and &lt;|endoftext|&gt; has the id 0.
    /// </summary>
    /// <param name="texts">Texts, each read once.</param>
    /// <param name="size">Tokens in all, at least 257.</param>
    /// <param name="minFrequency">How often two tokens must stand side by side to become one.</param>
    /// <exception cref="ArgumentException">The texts have no word, or the size is under 257.</exception>
    public static TrainedVocabulary ByteLevelBpe(IEnumerable<string> texts, int size, int minFrequency = 2, CancellationToken cancel = default)
    {
        var preTokenizer = new { type = "ByteLevel", add_prefix_space = false, trim_offsets = true, use_regex = true };
        string[] specialTokens = [EndOfText];
        var (tokens, merges) = BpeTrainer.Learn(Count(texts, null, preTokenizer, cancel), new(size, minFrequency, specialTokens, "", [.. ByteAlphabet.All.ToArray().Select(c => (int)c)]), cancel);

        var model = new
        {
            type = "BPE", dropout = (double?)null, unk_token = (string?)null, continuing_subword_prefix = "", end_of_word_suffix = "", fuse_unk = false, byte_fallback = false, ignore_merges = false,
            vocab = Ids(tokens), merges = merges.Select(m => $"{m.Left} {m.Right}"),
        };
        var postProcessor = new { type = "ByteLevel", add_prefix_space = true, trim_offsets = false, use_regex = true };
        var decoder = new { type = "ByteLevel", add_prefix_space = true, trim_offsets = true, use_regex = true };
        Dictionary<string, object> special = new() { ["bos_token"] = EndOfText, ["eos_token"] = EndOfText, ["unk_token"] = EndOfText, ["pad_token"] = EndOfText };
        Dictionary<string, object> config = new(special) { ["add_prefix_space"] = false, ["tokenizer_class"] = "GPT2Tokenizer", ["clean_up_tokenization_spaces"] = false };
        return new(tokens, Text(TokenizerJson(specialTokens, null, preTokenizer, postProcessor, decoder, model)), special, config);
    }

    static List<(string Word, long Count)> Count(IEnumerable<string> texts, object? normalizer, object preTokenizer, CancellationToken cancel)
    {
        WordCounts words = new(JsonSerializer.SerializeToElement(new { normalizer, pre_tokenizer = preTokenizer }));
        foreach (string text in texts)
        {
            cancel.ThrowIfCancellationRequested();
            words.Add(text);
        }
        return words.InOrder();
    }

    static Dictionary<string, int> Ids(IReadOnlyList<string> tokens) => tokens.Index().ToDictionary(t => t.Item, t => t.Index, StringComparer.Ordinal);

    /// <summary>The entries of tokenizer.json in the order in which Hugging Face writes them.</summary>
    static object TokenizerJson(string[] special, object? normalizer, object pre_tokenizer, object post_processor, object decoder, object model) => new
    {
        version = "1.0",
        truncation = (object?)null,
        padding = (object?)null,
        added_tokens = special.Select((content, id) => new { id, content, single_word = false, lstrip = false, rstrip = false, normalized = false, special = true }),
        normalizer, pre_tokenizer, post_processor, decoder, model,
    };

    internal static string Text(object json) =>
        JsonSerializer.Serialize(json, new JsonSerializerOptions { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n";
}

/// <summary>A vocabulary that was learned, and the files that say it.</summary>
public sealed class TrainedVocabulary
{
    readonly string tokenizerJson;
    readonly Dictionary<string, object> special, config;

    internal TrainedVocabulary(IReadOnlyList<string> tokens, string tokenizerJson, Dictionary<string, object> special, Dictionary<string, object> config) =>
        (Tokens, this.tokenizerJson, this.special, this.config) = (tokens, tokenizerJson, special, config);

    /// <summary>The tokens in the order of their ids. They are fewer than was asked for where the texts have no more that is frequent enough.</summary>
    public IReadOnlyList<string> Tokens { get; }

    /// <summary>Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json, which <see cref="Tokenizer.Load"/> and transformers read.</summary>
    /// <param name="folder">Made if it is not there.</param>
    /// <param name="maxLength">Most tokens of a text that the model will take.</param>
    public void Save(string folder, int maxLength)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), tokenizerJson);
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), TrainVocabulary.Text(new Dictionary<string, object>(config) { ["model_max_length"] = maxLength }));
        File.WriteAllText(Path.Combine(folder, "special_tokens_map.json"), TrainVocabulary.Text(special));
    }
}
