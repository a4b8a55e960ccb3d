using System.Text;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Tests.Text;

public sealed class HostileTokenizerTests : IDisposable
{
    readonly TemporaryFolder folder = new();
    public void Dispose() => folder.Dispose();

    Tokenizer Load(string json)
    {
        File.WriteAllBytes(folder.File("tokenizer.json"), System.Text.Encoding.UTF8.GetBytes(json));
        return Tokenizer.Load(folder.Path);
    }

    string Refusal(string json) => Assert.Throws<TokenizerFileException>(() => Load(json)).Message;

    const string Model = """ "model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]} """;

    [Theory]
    [InlineData("""["a c"]""", "tokenizer.json merges \"a\" and \"c\" (merge 1), but the vocabulary lacks \"c\".")]
    [InlineData("""["a b","b a"]""", "tokenizer.json merges \"b\" and \"a\" (merge 2), but the vocabulary lacks \"ba\".")]
    [InlineData("""[["a","b"],["x","a"]]""", "tokenizer.json merges \"x\" and \"a\" (merge 2), but the vocabulary lacks \"x\".")]
    [InlineData("""["a b a"]""", "tokenizer.json has the merge \"a b a\", which is not two tokens with one blank between them.")]
    [InlineData("""["ab"]""", "tokenizer.json has the merge \"ab\", which is not two tokens with one blank between them.")]
    public void Merges_that_the_vocabulary_cannot_follow_are_refused(string merges, string sentence) =>
        Assert.Equal(sentence, Refusal($$"""{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":{{merges}} } }"""));

    [Theory]
    [InlineData("""{"type":"Unigram","unk_id":2,"vocab":[["a",0],["b",-1]]}""", "tokenizer.json says unk_id is 2, in a vocabulary of 2 tokens.")]
    [InlineData("""{"type":"Unigram","unk_id":99999999999,"vocab":[["a",0]]}""", "tokenizer.json says unk_id is 99999999999, in a vocabulary of 1 tokens.")]
    [InlineData("""{"type":"Unigram","unk_id":null,"vocab":[["a",0]]}""", "tokenizer.json has a Unigram model without unk_id, so it has no token for characters that it does not know.")]
    [InlineData("""{"type":"BPE","dropout":0.1,"vocab":{"a":0},"merges":[]}""", "tokenizer.json has a BPE model with a dropout of 0.1, which makes ids random; only none is supported.")]
    public void A_model_that_contradicts_itself_is_refused(string model, string sentence) => Assert.Equal(sentence, Refusal($$"""{"model":{{model}}}"""));

    [Theory]
    [InlineData("normalizer", "normalizers")]
    [InlineData("pre_tokenizer", "pretokenizers")]
    [InlineData("post_processor", "processors")]
    [InlineData("decoder", "decoders")]
    public void A_sequence_of_sequences_without_end_is_refused(string part, string inner)
    {
        string Deep(int levels) => $$"""{ {{Model}}, "{{part}}":{{string.Concat(Enumerable.Repeat($$"""{"type":"Sequence","{{inner}}":[""", levels))}}{{string.Concat(Enumerable.Repeat("]}", levels))}}}""";
        Assert.Equal(3, Load(Deep(8)).VocabularySize);
        Assert.Equal($"tokenizer.json nests {inner} more than 8 deep.", Refusal(Deep(9)));
        Assert.Equal("tokenizer.json is no valid JSON near line 1.", Refusal(Deep(5000)));
    }

    [Fact]
    public void A_pattern_that_would_explode_runs_without_backtracking()
    {
        Tokenizer tokenizer = Load($$"""{ {{Model}}, "pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+b"},"behavior":"Isolated"} }""");
        Assert.Equal(20_000, tokenizer.Encode(new string('a', 20_000)).Length);
    }

    [Fact, Trait("Cost", "Slow")]
    public void A_pattern_that_explodes_and_needs_backtracking_is_given_up_after_five_seconds()
    {
        Tokenizer tokenizer = Load($$"""{ {{Model}}, "pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+(?=b)"},"behavior":"Isolated"} }""");
        Assert.Equal("The regular expression \"(a+)+(?=b)\" of tokenizer.json takes more than 5 seconds on a text of 200 characters.",
            Assert.Throws<TokenizerFileException>(() => tokenizer.Encode(new string('a', 200))).Message);
    }

    static string Repeated(string text, int times) => new StringBuilder().Insert(0, text, times).ToString();

    static string SplitAt(string expression) => $$"""{ {{Model}}, "pre_tokenizer":{"type":"Split","pattern":{"Regex":"{{expression}}"},"behavior":"Isolated"} }""";

    [Fact]
    public void A_pattern_too_long_is_refused_because_one_nested_deep_enough_overflows_the_stack()
    {
        string Nested(int classes) => "[a-z" + Repeated("-[a", classes) + Repeated("]", classes + 1);
        Assert.Equal("tokenizer.json has a regular expression of 400005 characters; more than 4000 are refused.", Refusal(SplitAt(Nested(100_000))));
        Assert.Single(Load(SplitAt(Nested(990))).EncodeIds("b"));
        Assert.Single(Load(SplitAt(Repeated("(?=", 990) + "a" + Repeated(")", 990))).EncodeIds("b"));
    }

    [Theory]
    [InlineData("normalizer", "normalizers", """{"type":"Replace","pattern":{"String":"a"},"content":"aa"}""")]
    [InlineData("normalizer", "normalizers", """{"type":"Prepend","prepend":"{{long}}"}""")]
    [InlineData("pre_tokenizer", "pretokenizers", """{"type":"ByteLevel","use_regex":false}""")]
    public void Steps_that_let_a_text_grow_without_end_are_stopped(string part, string inner, string step)
    {
        string steps = string.Join(",", Enumerable.Repeat(step.Replace("{{long}}", new('a', 500)), 40));
        Tokenizer tokenizer = Load($$"""{ {{Model}}, "{{part}}":{"type":"Sequence","{{inner}}":[{{steps}}]} }""");
        Assert.Equal("tokenizer.json makes more than 1324 characters of a text of 3; a normalizer or pre-tokenizer in it lets every text grow, so it cannot be used.",
            Assert.Throws<TokenizerFileException>(() => tokenizer.EncodeIds("a a")).Message);
        Assert.Equal($"tokenizer.json has a sequence of 80 {inner}; more than 64 are refused.", Refusal($$"""{ {{Model}}, "{{part}}":{"type":"Sequence","{{inner}}":[{{steps}},{{steps}}]} }"""));
    }

    [Fact]
    public void An_added_token_that_the_normalizer_lets_grow_without_end_is_refused_when_the_file_is_read()
    {
        string steps = string.Join(",", Enumerable.Repeat("""{"type":"Replace","pattern":{"String":"a"},"content":"aa"}""", 40));
        Assert.StartsWith("tokenizer.json makes more than 1124 characters of a text of 1; ",
            Refusal($$"""{ {{Model}}, "normalizer":{"type":"Sequence","normalizers":[{{steps}}]}, "added_tokens":[{"id":0,"content":"a","normalized":true}] }"""));
    }

    [Fact]
    public void A_charsmap_that_makes_a_book_of_a_letter_is_stopped()
    {
        // One node for "a", whose replacement is all that follows the trie.
        uint[] trie = new uint[512];
        (trie[0], trie[256 ^ 'a'], trie[256 ^ 'a' ^ 1]) = (256u << 10, 'a' | 1u << 8 | 1u << 10, 0x80000000);
        byte[] blob = new byte[4 + 4 * trie.Length + 5000];
        BitConverter.TryWriteBytes(blob, 4 * trie.Length);
        for (int i = 0; i < trie.Length; i++) BitConverter.TryWriteBytes(blob.AsSpan(4 + 4 * i), trie[i]);
        blob.AsSpan(4 + 4 * trie.Length).Fill((byte)'b');
        Tokenizer Charsmap(int length) => Load($$"""{ {{Model}}, "normalizer":{"type":"Precompiled","precompiled_charsmap":"{{Convert.ToBase64String(blob.AsSpan(0, blob.Length - 5000 + length))}}"} }""");
        Assert.Equal([1, 1, 1], Charsmap(3).EncodeIds("a"));
        Assert.Equal("tokenizer.json has a precompiled_charsmap that replaces a character by 5000 bytes; more than 256 are refused.", Assert.Throws<TokenizerFileException>(() => Charsmap(5000).EncodeIds("a")).Message);
        Assert.StartsWith("tokenizer.json makes more than 11024 characters of a text of 100; ", Assert.Throws<TokenizerFileException>(() => Charsmap(200).EncodeIds(new string('a', 100))).Message);
    }

    [Fact]
    public void A_template_with_a_text_twice_or_with_many_special_tokens_is_refused()
    {
        string Template(string single) => $$"""{ {{Model}}, "post_processor":{"type":"TemplateProcessing","special_tokens":{"b":{"id":"b","ids":[1],"tokens":["b"]} },"single":[{{single}}],"pair":[{"Sequence":{"id":"A","type_id":0} }]} }""";
        const string text = """{"Sequence":{"id":"A","type_id":0}}""", special = """{"SpecialToken":{"id":"b","type_id":0}}""";
        Assert.Equal([1, 1, 1, 1, 1, 1, 1, 1, 0], Load(Template(Repeated(special + ",", 8) + text)).EncodeIds("a"));
        Assert.Equal("tokenizer.json has a template that puts 9 special tokens around a text; more than 8 are refused.", Refusal(Template(Repeated(special + ",", 9) + text)));
        Assert.Equal("tokenizer.json has a template with the same text twice, which is not supported.", Refusal(Template(text + "," + text)));
    }

    [Fact]
    public void Sizes_that_only_cost_time_and_memory_are_refused()
    {
        Assert.Equal("tokenizer.json has a continuing_subword_prefix or end_of_word_suffix of 101 characters; more than 100 are refused.",
            Refusal($$"""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"end_of_word_suffix":"{{Repeated("x", 101)}}"} }"""));
        Assert.Equal("tokenizer.json has a max_input_chars_per_word of 1001; expected 1 to 1000.", Refusal("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0},"max_input_chars_per_word":1001} }"""));
        Assert.Equal("tokenizer.json has a Unigram vocabulary whose tokens make a trie of more than 10000000 nodes, which is refused.",
            Refusal($$"""{"model":{"type":"Unigram","unk_id":0,"vocab":[["{{new string('a', 10_000_001)}}",0]]} }"""));
        Assert.Equal("tokenizer.json has a vocabulary of 2000001 tokens; more than 2000000 are refused.",
            Refusal("""{"model":{"type":"BPE","merges":[],"vocab":{""" + Repeated("\"a\":0,", 2_000_000) + "\"b\":1}}}"));
        File.Delete(folder.File("tokenizer.json"));
        File.WriteAllText(folder.File("vocab.txt"), Repeated("a\n", 2_000_001));
        Assert.Equal("vocab.txt has a vocabulary of 2000001 tokens; more than 2000000 are refused.", Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message);
    }

    [Fact]
    public void An_added_token_with_a_negative_number_is_refused()
    {
        File.WriteAllText(folder.File("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n");
        File.WriteAllText(folder.File("tokenizer_config.json"), """{"added_tokens_decoder":{"-5":{"content":"x"}} }""");
        Assert.Equal("tokenizer_config.json has the added token \"-5\", whose key is no whole number from 0.", Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message);
    }

    [Fact]
    public void A_pattern_that_is_none_a_behaviour_and_a_scheme_that_are_not_known_are_refused()
    {
        Assert.StartsWith("tokenizer.json has the regular expression \"(a\", which cannot be followed: ", Refusal($$"""{ {{Model}}, "pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"} }"""));
        Assert.Equal("tokenizer.json has a pattern with neither String nor Regex.", Refusal($$"""{ {{Model}}, "normalizer":{"type":"Replace","pattern":{},"content":""} }"""));
        Assert.Equal("tokenizer.json has the split behaviour Sideways; known are Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous.",
            Refusal($$"""{ {{Model}}, "pre_tokenizer":{"type":"Punctuation","behavior":"Sideways"} }"""));
        Assert.Equal("tokenizer.json has the prepend scheme last; known are always, first, never.", Refusal($$"""{ {{Model}}, "pre_tokenizer":{"type":"Metaspace","prepend_scheme":"last"} }"""));
    }

    [Theory]
    [InlineData("???", "tokenizer.json has a precompiled_charsmap that is not base64.")]
    [InlineData("AAAA", "tokenizer.json has a precompiled_charsmap of 3 bytes that says its trie has 0.")]
    [InlineData("//8AAAAA", "tokenizer.json has a precompiled_charsmap of 6 bytes that says its trie has 65535.")]
    public void A_charsmap_that_is_cut_off_is_refused(string map, string sentence) =>
        Assert.Equal(sentence, Refusal($$"""{ {{Model}}, "normalizer":{"type":"Precompiled","precompiled_charsmap":"{{map}}"} }"""));

    [Fact]
    public void A_charsmap_of_random_bytes_leads_nowhere_but_ends()
    {
        Random random = new(5);
        for (int i = 0; i < 200; i++)
        {
            byte[] blob = new byte[4 + 256 + 64];
            random.NextBytes(blob);
            BitConverter.TryWriteBytes(blob, 256);
            Tokenizer tokenizer = Load($$"""{ {{Model}}, "normalizer":{"type":"Precompiled","precompiled_charsmap":"{{Convert.ToBase64String(blob)}}"} }""");
            tokenizer.Encode("ab \u00E9\uFB01 \u4F60\uD83D\uDE00 e\u0301");
        }
    }

    [Fact]
    public void A_file_of_a_gigabyte_is_refused_unread()
    {
        using (FileStream file = File.Create(folder.File("tokenizer.json"))) file.SetLength(1L << 30);
        Assert.Equal("tokenizer.json has 1073741824 bytes; more than 64000000 is refused.", Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message);
    }

    [Fact]
    public void A_file_of_nothing_but_small_values_is_refused_before_it_takes_twelve_times_its_size()
    {
        byte[] dense = new byte[40_000_000];
        for (int i = 0; i < dense.Length; i++) dense[i] = (byte)(i % 2 == 1 ? '0' : ',');
        (dense[0], dense[^2], dense[^1]) = ((byte)'[', (byte)' ', (byte)']');
        File.WriteAllBytes(folder.File("tokenizer.json"), dense);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal("tokenizer.json has more than 16000000 names, values and brackets, which is refused; published ones have 3 million at most.", Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 2 * dense.Length);
    }

    [Fact]
    public void Many_added_tokens_cost_a_text_no_more_than_few_and_too_many_are_refused()
    {
        Tokenizer With(int count, int padding) => Load($$"""{ {{Model}}, "added_tokens":[{{string.Join(",", Enumerable.Range(0, count).Select(i => $$"""{"id":{{i + 3}},"content":"<{{i}}{{new string('x', i % padding)}}>","special":true}"""))}}] }""");
        Tokenizer many = With(20_000, 100);
        string text = string.Concat(Enumerable.Repeat("<", 100_000)) + "<19999" + new string('x', 99) + ">a";
        System.Diagnostics.Stopwatch watch = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal([20_002, 0], many.EncodeIds(text)[^2..]);
        // One by one this text would be compared two thousand million times.
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"{watch.Elapsed}");
        Assert.Equal("The tokenizer has 20001 added tokens; more than 20000 are refused. Put them into its vocabulary instead.", Assert.Throws<TokenizerFileException>(() => With(20_001, 100)).Message);
        Assert.Equal("The tokenizer has added tokens of 129 different lengths that begin with \"<\"; more than 128 are refused.",
            Refusal($$"""{ {{Model}}, "added_tokens":[{{string.Join(",", Enumerable.Range(0, 129).Select(i => $$"""{"id":{{i + 3}},"content":"<{{new string('x', i)}}"}"""))}}] }"""));
        Assert.Equal($"The tokenizer has an added token of 1001 characters, \"{new string('y', 60)}…\"; more than 1000 are refused.", Refusal($$"""{ {{Model}}, "added_tokens":[{"id":3,"content":"{{new string('y', 1001)}}"}] }"""));
    }

    [Fact]
    public void Two_templates_and_a_tokenizer_only_as_a_sentencepiece_model_are_refused()
    {
        string template = """{"type":"TemplateProcessing","special_tokens":{"b":{"id":"b","ids":[1],"tokens":["b"]}},"single":[{"SpecialToken":{"id":"b","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}]}""";
        Assert.Equal("tokenizer.json puts special tokens around a text in more than one step, which is not supported.",
            Refusal($$"""{ {{Model}}, "post_processor":{"type":"Sequence","processors":[{{template}},{{template}}]} }"""));
        File.Move(folder.File("tokenizer.json"), folder.File("tokenizer.model"));
        Assert.Equal("The folder has its tokenizer only as tokenizer.model, which is not read here. Load the tokenizer with transformers and call save_pretrained(folder), which writes tokenizer.json.",
            Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message);
    }

    [Fact]
    public void Older_files_that_do_not_fit_together_are_refused()
    {
        string Refused() => Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message;
        File.WriteAllText(folder.File("vocab.json"), """{"a":0,"b":1,"ab":2}""");
        File.WriteAllText(folder.File("merges.txt"), "#version: 0.2\na b\n");
        Assert.Equal("vocab.json and merges.txt are of a tokenizer that neither tokenizer_config.json nor config.json names; known are gpt2, roberta, qwen2. Save the tokenizer with transformers, which writes tokenizer.json.", Refused());
        File.WriteAllText(folder.File("config.json"), """{"model_type":"clip"}""");
        Assert.StartsWith("vocab.json and merges.txt are of the family clip; known are gpt2, roberta, qwen2.", Refused());
        File.WriteAllText(folder.File("config.json"), """{"model_type":"roberta"}""");
        Assert.Equal("vocab.json lacks the special token <s>.", Refused());
        File.WriteAllText(folder.File("config.json"), """{"model_type":"gpt2"}""");
        Assert.Equal([2, 0], Tokenizer.Load(folder.Path).Encode("aba").Ids);
        File.WriteAllText(folder.File("merges.txt"), "a b\nb c\n");
        Assert.Equal("merges.txt merges \"b\" and \"c\" (merge 2), but the vocabulary lacks \"c\".", Refused());
    }

    [SkippableTheory]
    [InlineData("llama-tiny")]
    [InlineData("tokenizer-llama3-style")]
    [InlineData("tokenizer-unigram-xlmr")]
    public void A_file_with_a_changed_place_is_read_or_refused_with_a_sentence(string model)
    {
        var path = Shared.Find($"goldens/{model}/tokenizer.json");
        string whole = File.ReadAllText(path);
        Random random = new(3);
        string[] changes = ["null", "[]", "{}", "-1", "\"", "1e400", "true", "", "9999999999", "\\ud800", ",", "Sequence"];
        for (int i = 0; i < 150; i++)
        {
            // Half of the changes fall on the start or the end, where the components stand and not the vocabulary.
            int at = random.Next(3) switch { 0 => random.Next(2500), 1 => whole.Length - 1 - random.Next(2500), _ => random.Next(whole.Length) };
            StringBuilder text = new(whole);
            text.Remove(at, random.Next(Math.Min(12, whole.Length - at)));
            text.Insert(at, changes[random.Next(changes.Length)]);
            try
            {
                Load(text.ToString()).Encode("A word, 1234 and \u00E9\uD83D\uDE00 <s> more.", "and a pair", 12);
            }
            catch (TokenizerFileException e)
            {
                Assert.InRange(e.Message.Length, 20, 600);
            }
        }
    }
}
