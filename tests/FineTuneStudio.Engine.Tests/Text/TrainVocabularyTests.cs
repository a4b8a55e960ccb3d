using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Tests.Text;

public sealed class TrainVocabularyTests : IDisposable
{
    readonly TemporaryFolder folder = new();
    public void Dispose() => folder.Dispose();

    /// <summary>Words whose merges can be counted by hand: u+g 20 times, u+n 16, h+ug 15, p+un 12; then p+ug and hug+s 5 each, b+un 4.</summary>
    static readonly string[] Hugs = [.. Repeat("hug", 10), .. Repeat("pug", 5), .. Repeat("pun", 12), .. Repeat("bun", 4), .. Repeat("hugs", 5)];

    static IEnumerable<string> Repeat(string word, int times) => Enumerable.Repeat(word, times);

    static readonly Lazy<string[]> Messages = new(() => File.ReadAllLines(Path.Combine(Repository.Root, "sample", "customer-messages.csv")));

    Tokenizer Saved(TrainedVocabulary vocabulary, string name = "tokenizer")
    {
        vocabulary.Save(folder.File(name), 128);
        return Tokenizer.Load(folder.File(name));
    }

    JsonElement Json(string name = "tokenizer", string file = "tokenizer.json") => Repository.Json(Path.Combine(folder.File(name), file));

    [Fact]
    public void A_byte_level_vocabulary_is_the_bytes_and_the_pairs_counted_by_hand()
    {
        TrainedVocabulary vocabulary = TrainVocabulary.ByteLevelBpe(Hugs, size: 1000, minFrequency: 1);
        Assert.Equal(["ug", "un", "hug", "pun", "pug", "hugs", "bun"], vocabulary.Tokens.Skip(257));
        Saved(vocabulary);
        Assert.Equal(["u g", "u n", "h ug", "p un", "p ug", "hug s", "b un"], Json().GetProperty("model").GetProperty("merges").EnumerateArray().Select(m => m.GetString()));
        Assert.Equal(("<|endoftext|>", "!", "\u0143"), (vocabulary.Tokens[0], vocabulary.Tokens[1], vocabulary.Tokens[256]));
    }

    [Fact]
    public void A_word_piece_vocabulary_is_special_tokens_characters_inner_characters_and_the_pairs_counted_by_hand() =>
        Assert.Equal("[PAD] [UNK] [CLS] [SEP] [MASK] b g h n p s u ##g ##n ##s ##u ##ug ##un hug pun pug hugs bun",
            string.Join(' ', TrainVocabulary.WordPiece(Hugs, size: 1000, minFrequency: 1).Tokens));

    [Fact]
    public void Pairs_that_are_rarer_than_asked_for_and_tokens_past_the_size_are_left_out()
    {
        Assert.Equal("pun", TrainVocabulary.WordPiece(Hugs, size: 1000, minFrequency: 6).Tokens[^1]);
        Assert.Equal("hug", TrainVocabulary.WordPiece(Hugs, size: 19, minFrequency: 1).Tokens[^1]);
        Assert.Equal(19, TrainVocabulary.WordPiece(Hugs, size: 19, minFrequency: 1).Tokens.Count);
    }

    [Fact]
    public void Only_the_most_frequent_characters_are_kept_and_a_word_with_another_is_unknown()
    {
        Tokenizer tokenizer = Saved(TrainVocabulary.WordPiece([.. Hugs, "h\u00F8g"], size: 100, minFrequency: 1, mostCharacters: 7));
        Assert.Null(tokenizer.IdOf("\u00F8"));
        Assert.Equal(["[CLS]", "hugs", "[UNK]", "[SEP]"], tokenizer.Encode("hugs h\u00F8g").Tokens);
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData("", 3)]
    [InlineData("##", 1)]
    [InlineData("##", 4)]
    public void Counts_kept_up_to_date_give_the_merges_of_counting_anew_each_time(string prefix, int minFrequency)
    {
        for (int seed = 0; seed < 60; seed++)
        {
            // Few letters make runs of one letter, and tokens that two pairs spell.
            Random random = new(seed);
            List<(string Word, long Count)> words = [.. Enumerable.Range(0, 30).Select(_ => new string([.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => (char)('a' + random.Next(1 + seed % 3)))])).Distinct().Select(w => (w, (long)random.Next(1, 9)))];
            BpeTrainerOptions options = new(60, minFrequency, ["[UNK]"], prefix, []);
            var (tokens, merges) = BpeTrainer.Learn(words, options);
            var (slowTokens, slowMerges) = CountedAnew(words, options);
            Assert.Equal(slowMerges, merges);
            Assert.Equal(slowTokens, tokens);
        }
    }

    /// <summary>Byte-pair encoding as its definition says: count all pairs, merge the most frequent one everywhere, again and again.</summary>
    static (List<string> Tokens, List<(string, string)> Merges) CountedAnew(List<(string Word, long Count)> words, BpeTrainerOptions options)
    {
        List<string> tokens = [.. options.SpecialTokens];
        tokens.AddRange(words.SelectMany(w => w.Word).Distinct().Order().Select(c => c.ToString()));
        if (options.Prefix != "") tokens.AddRange(words.SelectMany(w => w.Word.Skip(1)).Distinct().Order().Select(c => options.Prefix + c));
        var cut = words.Select(w => (Symbols: w.Word.Select((c, i) => tokens.IndexOf(i == 0 ? c.ToString() : options.Prefix + c)).ToList(), w.Count)).ToList();
        List<(string, string)> merges = [];
        while (tokens.Count < options.Size)
        {
            var best = cut.SelectMany(w => w.Symbols.Zip(w.Symbols.Skip(1)).Select(pair => (pair, w.Count))).GroupBy(p => p.pair, p => p.Count)
                .OrderByDescending(g => g.Sum()).ThenBy(g => g.Key.First).ThenBy(g => g.Key.Second).FirstOrDefault();
            if (best is null || best.Sum() < options.MinFrequency) break;
            var (left, right) = best.Key;
            string merged = tokens[left] + tokens[right][(options.Prefix != "" && tokens[right].StartsWith(options.Prefix) ? options.Prefix.Length : 0)..];
            if (!tokens.Contains(merged)) tokens.Add(merged);
            if (!merges.Contains((tokens[left], tokens[right]))) merges.Add((tokens[left], tokens[right]));
            foreach (var (symbols, _) in cut)
            {
                for (int i = 0; i + 1 < symbols.Count; i++)
                {
                    if (symbols[i] != left || symbols[i + 1] != right) continue;
                    symbols[i] = tokens.IndexOf(merged);
                    symbols.RemoveAt(i + 1);
                }
            }
        }
        return (tokens, merges);
    }

    [Fact]
    public void Any_text_comes_back_from_a_byte_level_vocabulary()
    {
        Tokenizer tokenizer = Saved(TrainVocabulary.ByteLevelBpe(Messages.Value, size: 600));
        Assert.Equal((600, 0, (int?)0), (tokenizer.VocabularySize, tokenizer.PadId, tokenizer.EndId));
        foreach (string text in Messages.Value.Take(200).Append("caf\u00E9 \U0001F600\n\t  \u4E2D\u6587 <|endoftext|>")) Assert.Equal(text, tokenizer.Decode(tokenizer.EncodeIds(text), skipSpecialTokens: false));
        Assert.Equal(0, tokenizer.Encode("a<|endoftext|>").Ids[^1]);
        Assert.True(tokenizer.CountTokens(Messages.Value[1]) < Messages.Value[1].Length / 2);
    }

    [Fact]
    public void No_word_of_the_texts_is_unknown_to_their_word_piece_vocabulary()
    {
        Tokenizer tokenizer = Saved(TrainVocabulary.WordPiece(Messages.Value, size: 600));
        Assert.Equal(600, tokenizer.VocabularySize);
        Assert.Equal((0, 1, 2, 3, 4), (tokenizer.PadId, tokenizer.IdOf("[UNK]"), tokenizer.IdOf("[CLS]"), tokenizer.IdOf("[SEP]"), tokenizer.IdOf("[MASK]")));
        Assert.All(Messages.Value, text => Assert.DoesNotContain(1, tokenizer.EncodeIds(text)));
        Assert.Equal("[CLS] [SEP]", string.Join(' ', tokenizer.Encode("").Tokens));
        Assert.Equal("the order", tokenizer.Decode(tokenizer.Encode("The \u00D6rder").Ids));
        Assert.Equal(128, Json(file: "tokenizer_config.json").GetProperty("model_max_length").GetInt32());
    }

    [Fact]
    public void A_cased_vocabulary_keeps_capitals_and_accents()
    {
        TrainedVocabulary vocabulary = TrainVocabulary.WordPiece(Repeat("\u00C9t\u00E9", 3), size: 20, lowercase: false);
        Assert.Equal("\u00C9t\u00E9", vocabulary.Tokens[^1]);
        Assert.Equal(["[CLS]", "\u00C9t\u00E9", "[UNK]", "[SEP]"], Saved(vocabulary).Encode("\u00C9t\u00E9 ete").Tokens);
    }

    [Fact]
    public void The_order_of_the_texts_changes_no_byte_of_the_files()
    {
        string[] shuffled = [.. Messages.Value];
        new Random(1).Shuffle(shuffled);
        foreach (var (name, texts) in new[] { ("first", Messages.Value), ("second", shuffled) })
        {
            TrainVocabulary.WordPiece(texts, 500).Save(folder.File("wordpiece-" + name), 128);
            TrainVocabulary.ByteLevelBpe(texts, 500).Save(folder.File("bytes-" + name), 128);
        }
        foreach (string kind in new[] { "wordpiece-", "bytes-" })
            foreach (string file in new[] { "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json" })
                Assert.Equal(File.ReadAllText(Path.Combine(folder.File(kind + "first"), file)), File.ReadAllText(Path.Combine(folder.File(kind + "second"), file)));
    }

    [SkippableFact]
    public void The_files_have_the_entries_of_those_that_transformers_writes()
    {
        TrainVocabulary.WordPiece(Hugs, 100).Save(folder.File("wordpiece"), 128);
        Assert.Equal(Layout(Path.Combine(Repository.PracticeModel, "tokenizer.json")), Layout(Path.Combine(folder.File("wordpiece"), "tokenizer.json")));
        TrainVocabulary.ByteLevelBpe(Hugs, 300).Save(folder.File("bytes"), 128);
        Assert.Equal(Layout(Shared.Find("goldens/gpt2-tiny/tokenizer.json")), Layout(Path.Combine(folder.File("bytes"), "tokenizer.json")));
    }

    /// <summary>The file without what depends on the vocabulary: its tokens, its merges and the ids of special tokens.</summary>
    static string Layout(string path)
    {
        JsonNode root = JsonNode.Parse(File.ReadAllText(path))!;
        root["model"]!["vocab"] = root["model"]!["vocab"]!.GetValueKind().ToString();
        if (root["model"]!["merges"] is { } merges) root["model"]!["merges"] = merges[0]!.GetValueKind().ToString();
        foreach (JsonNode? token in root["added_tokens"]!.AsArray()) (token!["id"], token["normalized"]) = (0, false);
        if (root["post_processor"]!["special_tokens"] is JsonObject special) foreach (var (_, token) in special) token!["ids"] = new JsonArray(0);
        return root.ToJsonString();
    }

    [Fact]
    public void Texts_without_a_word_and_a_size_without_room_for_the_characters_are_refused()
    {
        Assert.StartsWith("The text has no word to learn a vocabulary from.", Assert.Throws<ArgumentException>(() => TrainVocabulary.WordPiece(["", " \n"], 100)).Message);
        Assert.StartsWith("A vocabulary of 15 tokens is too small for this text: the special tokens and single characters alone are 16. Ask for more tokens, or for fewer characters.",
            Assert.Throws<ArgumentException>(() => TrainVocabulary.WordPiece(Hugs, 15)).Message);
        Assert.StartsWith("A vocabulary of 256 tokens is too small for this text: the special tokens and single characters alone are 257. Ask for more tokens. ",
            Assert.Throws<ArgumentException>(() => TrainVocabulary.ByteLevelBpe(Hugs, 256)).Message);
    }

    [Fact]
    public void Learning_ends_when_it_is_cancelled() =>
        Assert.Throws<OperationCanceledException>(() => TrainVocabulary.WordPiece(Hugs, 100, cancel: new(canceled: true)));
}
