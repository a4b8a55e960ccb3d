using FineTuneStudio.Engine.Text;
using Encoding = FineTuneStudio.Engine.Text.Encoding;

namespace FineTuneStudio.Engine.Tests.Text;

public sealed class TokenizerTests : IDisposable
{
    readonly TemporaryFolder folder = new();
    public void Dispose() => folder.Dispose();

    static readonly string[] Vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hel", "##lo", "world", "!", "a", "##b", "token", "new", "<", ">"];

    Tokenizer FromVocabulary(string? config = null)
    {
        File.WriteAllLines(folder.File("vocab.txt"), Vocabulary);
        if (config is not null) File.WriteAllText(folder.File("tokenizer_config.json"), config);
        return Tokenizer.Load(folder.Path);
    }

    Tokenizer FromJson(string addedTokens = "[]", string postProcessor = "null", string normalizer = """{"type":"BertNormalizer","lowercase":true}""")
    {
        string vocabulary = string.Join(",", Vocabulary.Select((t, i) => $"\"{t}\":{i}"));
        File.WriteAllText(folder.File("tokenizer.json"), $$"""
            {"added_tokens":{{addedTokens}},"normalizer":{{normalizer}},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{{postProcessor}},
             "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":5,"vocab":{ {{vocabulary}} } } }
            """);
        return Tokenizer.Load(folder.Path);
    }

    [Fact]
    public void A_decoder_of_marked_blanks_works_after_its_file_is_closed()
    {
        File.WriteAllText(folder.File("tokenizer.json"), """
            {"pre_tokenizer":{"type":"Metaspace","prepend_scheme":"always"},"decoder":{"type":"Metaspace","prepend_scheme":"always"},
             "model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["\u2581a",-1.0],["\u2581b",-2.0]]}}
            """);
        Tokenizer tokenizer = Tokenizer.Load(folder.Path);
        Assert.Equal("a b", tokenizer.Decode(tokenizer.Encode("a b").Ids));
    }

    static string Tokens(Encoding encoding) => string.Join(' ', encoding.Tokens);

    [Fact]
    public void A_word_is_cut_into_the_longest_known_pieces_and_an_uncuttable_one_is_unknown()
    {
        Tokenizer tokenizer = FromVocabulary();
        Assert.Equal("[CLS] hel ##lo world ! [UNK] [SEP]", Tokens(tokenizer.Encode("Hello w\u00F3rld! abc")));
        Assert.Equal(7, tokenizer.CountTokens("Hello world! abc"));
        Assert.Equal((15, 0, 14), (tokenizer.VocabularySize, tokenizer.PadId, tokenizer.LargestId));
    }

    [Fact]
    public void Without_lower_casing_capitals_stay()
    {
        Assert.Equal("[CLS] [UNK] hel ##lo [SEP]", Tokens(FromVocabulary("""{"do_lower_case":false}""").Encode("Hello hello")));
    }

    [Fact]
    public void A_word_longer_than_the_limit_is_unknown_counted_in_code_points() =>
        Assert.Equal("ab [UNK]", Tokens(FromJson().Encode("ab " + string.Concat(Enumerable.Repeat("\uD835\uDD4F", 6)))).Replace("a ##b", "ab"));

    [Fact]
    public void Added_tokens_are_found_whole_the_longest_first_and_may_take_blanks_with_them()
    {
        Tokenizer tokenizer = FromJson("""
            [{"id":15,"content":"<new>","single_word":false,"lstrip":true,"rstrip":true,"normalized":false,"special":true},
             {"id":16,"content":"<new>er","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false},
             {"id":17,"content":"tok","single_word":true,"lstrip":false,"rstrip":false,"normalized":false,"special":false},
             {"id":18,"content":"NEW one","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":false}]
            """);
        Assert.Equal(["a", " <new>  ", "world"], tokenizer.Encode("a <new>  world").Tokens);
        Assert.Equal([(0, 1), (1, 9), (9, 14)], tokenizer.Encode("a <new>  world").Offsets);
        Assert.Equal("<new>er", Tokens(tokenizer.Encode("<new>er")));
        Assert.Equal("token tok", Tokens(tokenizer.Encode("token tok")));
        Assert.Equal("a new one", Tokens(tokenizer.Encode("a New ONE")));
        Assert.Equal([9, 18], tokenizer.Encode("a New ONE").Ids);
        Assert.Equal("a NEW one", tokenizer.Decode([9, 18]));
        Assert.Equal(19, tokenizer.VocabularySize);
        Assert.Equal("world", tokenizer.Decode([15, 7]));
    }

    [Fact]
    public void The_older_bert_post_processor_gives_the_usual_template()
    {
        Encoding pair = FromJson(postProcessor: """{"type":"BertProcessing","sep":["[SEP]",3],"cls":["[CLS]",2]}""").Encode("hello", "world", 10);
        Assert.Equal("[CLS] hel ##lo [SEP] world [SEP]", Tokens(pair));
        Assert.Equal([0, 0, 0, 0, 1, 1], pair.TypeIds);
    }

    [Fact]
    public void The_largest_id_counts_those_that_only_the_template_has() =>
        Assert.Equal(900, FromJson(postProcessor: """{"type":"BertProcessing","sep":["[SEP]",3],"cls":["[CLS]",900]}""").LargestId);

    [Fact]
    public void A_batch_equals_the_texts_one_by_one()
    {
        Tokenizer tokenizer = FromVocabulary();
        string[] texts = [.. Enumerable.Range(0, 500).Select(i => string.Join(' ', Enumerable.Repeat("hello world", i % 9)) + "!")];
        Encoding[] batch = tokenizer.EncodeBatch(texts, 12);
        for (int i = 0; i < texts.Length; i++) Assert.Equal(tokenizer.Encode(texts[i], 12).Ids, batch[i].Ids);
        Assert.Equal(batch.Select((_, i) => tokenizer.CountTokens(texts[i])), tokenizer.CountTokens(texts));
        Assert.Equal(batch.Select(b => b.Ids), tokenizer.EncodeIds(texts, 12));
        Assert.StartsWith("The maximum length is 1; the special tokens alone need 2.", Assert.Throws<ArgumentException>(() => tokenizer.EncodeIds(texts, 1)).Message);
    }

    [Fact]
    public void Ids_alone_are_those_of_the_encoding_and_cutting_them_leaves_nothing_behind()
    {
        Tokenizer tokenizer = FromVocabulary();
        Encoding before = tokenizer.Encode("hello world!");
        Assert.Equal([2, 5, 3], tokenizer.EncodeIds("hello hello world", 3));
        Encoding after = tokenizer.Encode("hello world!");
        Assert.Equal(before.Tokens, after.Tokens);
        Assert.Equal(before.Offsets, after.Offsets);
        Assert.Equal(before.WordIds, after.WordIds);
    }

    [Fact]
    public void A_length_of_two_leaves_the_special_tokens_and_less_is_refused()
    {
        Tokenizer tokenizer = FromVocabulary();
        Assert.Equal("[CLS] [SEP]", Tokens(tokenizer.Encode("hello world", 2)));
        Assert.StartsWith("The maximum length is 1; the special tokens alone need 2.", Assert.Throws<ArgumentException>(() => tokenizer.Encode("hello", 1)).Message);
        Assert.StartsWith("4 tokens must go, but the text to cut has not that many.", Assert.Throws<ArgumentException>(() =>
            tokenizer.Encode("world", "hello hello world", new EncodingOptions { MaxLength = 5, Strategy = TruncationStrategy.OnlyFirst })).Message);
        Assert.StartsWith("The stride is 3; it must be less than the 2 tokens that remain of the text.", Assert.Throws<ArgumentException>(() =>
            tokenizer.Encode("hello world", null, new EncodingOptions { MaxLength = 4, Stride = 3 })).Message);
    }

    [Fact]
    public void Lone_surrogates_and_odd_text_are_no_error()
    {
        Tokenizer tokenizer = FromVocabulary();
        Random random = new(11);
        for (int i = 0; i < 2000; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(30)).Select(_ => (char)random.Next(random.Next(2) == 0 ? 0x250 : 0x10000)));
            Encoding encoding = tokenizer.Encode(text, 16);
            Assert.InRange(encoding.Length, 2, 16);
            Assert.All(encoding.Offsets, o => Assert.InRange(o.End, o.Start, text.Length));
        }
    }

    [Theory]
    [InlineData("""{"model":{"type":"Spell","vocab":[]}}""", "tokenizer.json has a model of the type Spell; WordPiece, BPE and Unigram are supported.")]
    [InlineData("""{"model":{"vocab":[]}}""", "tokenizer.json has a model of the type unknown; WordPiece, BPE and Unigram are supported.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"pre_tokenizer":{"type":"UnicodeScripts"}}""", "tokenizer.json has the pre-tokenizer UnicodeScripts, which is not supported.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Rot13"}]}}""", "tokenizer.json has the normalizer Rot13, which is not supported.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"post_processor":{"type":"Stamp"}}""", "tokenizer.json has the post-processor Stamp, which is not supported.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"decoder":{}}""", "tokenizer.json has the decoder without a type, which is not supported.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"a":0}}}""", "The vocabulary of 1 tokens lacks [UNK], the token for unknown words.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":-3}}}""", "The tokenizer gives the token \"[UNK]\" the id -3; ids are whole numbers from 0 to 2147483647.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":99999999999}}}""", "The tokenizer gives the token \"[UNK]\" the id 99999999999; ids are whole numbers from 0 to 2147483647.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"a":"b"}}}""", "The tokenizer gives the token \"a\" the id \"b\"; ids are whole numbers from 0 to 2147483647.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1,"b":1}}}""", "The tokenizer gives the id 1 to two tokens, \"a\" and \"b\".")]
    [InlineData("""{"added_tokens":[{"id":1,"content":"<s>"}],"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1}}}""", "The tokenizer gives the id 1 to two tokens, \"a\" and \"<s>\".")]
    [InlineData("""{"added_tokens":[{"id":5,"content":"a"}],"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1}}}""", "The tokenizer gives the added token \"a\" the id 5, but its vocabulary gives it 1.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"post_processor":{"type":"TemplateProcessing","special_tokens":{},"single":[],"pair":[]}}""", "tokenizer.json has a template that leaves out the text it is for.")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"post_processor":{"type":"TemplateProcessing","special_tokens":{"s":{"ids":[0],"tokens":[null]}},"single":[{"SpecialToken":{"id":"s","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[]}}""", "tokenizer.json has a template with a special token that has no name.")]
    [InlineData("""{"added_tokens":[{"id":7}],"model":{"type":"WordPiece","vocab":{"[UNK]":0}}}""", "The added token with the id 7 has no content.")]
    [InlineData("[]", "tokenizer.json holds no JSON object.")]
    [InlineData("{\n\"model\": nothing", "tokenizer.json is no valid JSON near line 2.")]
    public void A_tokenizer_json_that_cannot_be_followed_is_refused_with_a_sentence(string json, string sentence)
    {
        File.WriteAllText(folder.File("tokenizer.json"), json);
        Assert.Equal(sentence, Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"model":3}""")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":[]},"pre_tokenizer":{"type":"BertPreTokenizer"}}""")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"BertProcessing","cls":[],"sep":[]}}""")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"TemplateProcessing","special_tokens":{},"single":[{"SpecialToken":{"type_id":0}}],"pair":[]}}""")]
    public void A_tokenizer_json_of_another_form_is_refused_too(string json)
    {
        File.WriteAllText(folder.File("tokenizer.json"), json);
        Assert.StartsWith("tokenizer.json lacks an entry that a tokenizer needs, or has one of another kind:", Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message);
    }

    [Fact]
    public void A_folder_without_tokenizer_and_an_empty_or_incomplete_vocabulary_are_refused()
    {
        string Refusal() => Assert.Throws<TokenizerFileException>(() => Tokenizer.Load(folder.Path)).Message;
        Assert.Equal("The folder has no tokenizer: neither tokenizer.json nor vocab.txt is there, nor vocab.json with merges.txt.", Refusal());
        File.WriteAllText(folder.File("vocab.txt"), "");
        Assert.Equal("vocab.txt is empty; it needs one token a line.", Refusal());
        File.WriteAllLines(folder.File("vocab.txt"), ["[UNK]", "[CLS]"]);
        Assert.Equal("vocab.txt lacks the special token [SEP].", Refusal());
    }
}
