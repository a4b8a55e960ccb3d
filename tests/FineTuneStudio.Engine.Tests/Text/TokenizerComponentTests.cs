using System.Globalization;
using System.Text.Json;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Tests.Text;

public sealed class TokenizerComponentTests
{
    static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    static MappedText Normalize(string json, string text) => Normalizer.Read(Json(json))!.Normalize(MappedText.Of(text, 0));

    [Theory]
    [InlineData("""{"type":"Lowercase"}""", "A\u00C9\u0130Z", "a\u00E9i\u0307z", "0,1,2,2,3")]
    [InlineData("""{"type":"NFC"}""", "e\u0301a", "\u00E9a", "0,2")]
    [InlineData("""{"type":"NFD"}""", "\u00E9a", "e\u0301a", "0,0,1")]
    [InlineData("""{"type":"NFKC"}""", "\uFB01\u2460x", "fi1x", "0,0,1,2")]
    [InlineData("""{"type":"NFKD"}""", "\u00BD\u00E5", "1\u20442a\u030A", "0,0,0,1,1")]
    [InlineData("""{"type":"NFD"}""", "\uD55C\uAE00", "\u1112\u1161\u11AB\u1100\u1173\u11AF", "0,0,0,1,1,1")]
    [InlineData("""{"type":"StripAccents"}""", "e\u0301\uD834\uDD65x", "ex", "0,3")]
    [InlineData("""{"type":"Strip","strip_left":true,"strip_right":false}""", " \ta ", "a ", "2,3")]
    [InlineData("""{"type":"Strip"}""", "\u3000a b\n", "a b", "1,2,3")]
    [InlineData("""{"type":"Prepend","prepend":"\u2581"}""", "ab", "\u2581ab", "0,0,1")]
    [InlineData("""{"type":"Prepend","prepend":"\u2581"}""", "", "", "")]
    [InlineData("""{"type":"Replace","pattern":{"String":"ab"},"content":"X"}""", "cabab", "cXX", "0,2,4")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"--"}""", "a   b c", "a--b c", "0,3,3,4,5,6")]
    [InlineData("""{"type":"Nmt"}""", "a\u0001\tb\u200Bc\uFEFF", "a b c ", "0,2,3,4,5,6")]
    [InlineData("""{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Lowercase"}]}""", "\u00C9\uD835\uDD4FA", "e\uD835\uDD4Fa", "0,1,1,2")]
    public void Each_normalizer_changes_the_text_and_keeps_the_origins(string json, string text, string expected, string origins)
    {
        MappedText result = Normalize(json, text);
        Assert.Equal(expected, new string(result.Chars));
        Assert.Equal(origins, string.Join(',', result.Origins.ToArray()));
    }

    static string[] Split(string json, string text)
    {
        List<Piece> pieces = [];
        MappedText mapped = MappedText.Of(text, 0);
        PreTokenizer.Read(Json(json))!.Split(new(mapped, 0, mapped.Length, 0), pieces);
        return [.. pieces.Select(p => new string(p.Chars))];
    }

    [Theory]
    [InlineData("""{"type":"Whitespace"}""", "Hey, you_2 \uD835\uDD4F!?", "Hey|,|you_2|\uD835\uDD4F|!?")]
    [InlineData("""{"type":"WhitespaceSplit"}""", " a,b\u3000c\n", "a,b|c")]
    [InlineData("""{"type":"BertPreTokenizer"}""", "a-b  c", "a|-|b|c")]
    [InlineData("""{"type":"Punctuation"}""", "a!?b", "a|!|?|b")]
    [InlineData("""{"type":"Punctuation","behavior":"Contiguous"}""", "a!?b", "a|!?|b")]
    [InlineData("""{"type":"Punctuation","behavior":"Removed"}""", "a!?b", "a|b")]
    [InlineData("""{"type":"Punctuation","behavior":"MergedWithPrevious"}""", "!a!?b", "!|a!|?|b")]
    [InlineData("""{"type":"Punctuation","behavior":"MergedWithNext"}""", "a!?b!", "a|!|?b|!")]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "a12b", "a|1|2|b")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "a12\u0663b", "a|12\u0663|b")]
    [InlineData("""{"type":"CharDelimiterSplit","delimiter":"_"}""", "a_b__c", "a|b|c")]
    [InlineData("""{"type":"Split","pattern":{"Regex":"\\d+"},"behavior":"Removed","invert":true}""", "a12b3", "12|3")]
    [InlineData("""{"type":"Split","pattern":{"Regex":"\\p{Lu}"},"behavior":"Isolated"}""", "a\uD835\uDD4Fb", "a|\uD835\uDD4F|b")]
    [InlineData("""{"type":"Metaspace","prepend_scheme":"always"}""", "a  b", "\u2581a|\u2581|\u2581b")]
    [InlineData("""{"type":"Metaspace","prepend_scheme":"never","split":false}""", "a b", "a\u2581b")]
    [InlineData("""{"type":"Metaspace","add_prefix_space":false}""", "a b", "a|\u2581b")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":true}""", "caf\u00E9 1", "\u0120caf\u00C3\u00A9|\u01201")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}""", "a \uFFFD", "a\u0120\u00EF\u00BF\u00BD")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Digits","individual_digits":true}]}""", "a1 b22", "a|1|b|2|2")]
    public void Each_pre_tokenizer_splits_as_its_settings_say(string json, string text, string expected) => Assert.Equal(expected.Split('|'), Split(json, text));

    [Theory]
    [InlineData("""{"type":"Metaspace","prepend_scheme":"always"}""", "\u2581a|\u2581b", "a b")]
    [InlineData("""{"type":"Metaspace","prepend_scheme":"never"}""", "\u2581a", " a")]
    [InlineData("""{"type":"ByteFallback"}""", "x|<0xC3>|<0xA9>|<0xFF>", "x\uFFFD\uFFFD\uFFFD")]
    [InlineData("""{"type":"ByteFallback"}""", "<0xC3>|<0xA9>|<0xZZ>", "\u00E9<0xZZ>")]
    [InlineData("""{"type":"ByteLevel"}""", "\u0120caf\u00C3|\u00A9|\u4F60", " caf\u00E9\u4F60")]
    [InlineData("""{"type":"WordPiece","prefix":"##","cleanup":false}""", "a|##b|.", "ab .")]
    [InlineData("""{"type":"WordPiece"}""", "do|not|stop|.", "do not stop.")]
    [InlineData("""{"type":"Strip","content":"_","start":1,"stop":2}""", "__a___", "_a_")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":"b+"},"content":"-"}""", "abb|b", "a--")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}""", "\u2581a|\u2581b|<0x21>", "a b!")]
    public void Each_decoder_puts_tokens_back_together(string json, string tokens, string expected) =>
        Assert.Equal(expected, string.Concat(Decoder.Read(Json(json))!.Decode([.. tokens.Split('|')])));

    [Fact]
    public void Half_of_a_surrogate_pair_is_spelt_as_the_replacement_character() =>
        Assert.Equal("a\u00EF\u00BF\u00BD", string.Concat(Split("""{"type":"ByteLevel","add_prefix_space":false}""", "a\uD800")));

    [Fact]
    public void Each_category_has_a_stand_in_of_its_own()
    {
        Assert.Equal(Enum.GetValues<UnicodeCategory>(), SplitPattern.StandIns.Select(CharUnicodeInfo.GetUnicodeCategory));
    }

    [Fact]
    public void Unknown_characters_are_fused_only_where_the_model_says_so()
    {
        using TemporaryFolder folder = new();
        int[] Ids(string fuse)
        {
            File.WriteAllText(folder.File("tokenizer.json"), $$"""{"model":{"type":"BPE","unk_token":"?","fuse_unk":{{fuse}},"vocab":{"?":0,"a":1,"b":2,"ab":3},"merges":["a b"]} }""");
            return Tokenizer.Load(folder.Path).EncodeIds("xyabz");
        }
        Assert.Equal([0, 3, 0], Ids("true"));
        Assert.Equal([0, 0, 3, 0], Ids("false"));
    }

    [Fact]
    public void Bytes_stand_for_unknown_characters_only_where_the_vocabulary_has_all_of_them()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder.File("tokenizer.json"), """{"model":{"type":"BPE","unk_token":"?","byte_fallback":true,"vocab":{"?":0,"<0xC3>":1,"<0xA9>":2,"a":3},"merges":[]}}""");
        Encoding encoding = Tokenizer.Load(folder.Path).Encode("a\u00E9\u00E8");
        Assert.Equal([3, 1, 2, 0], encoding.Ids);
        Assert.Equal([(0, 1), (1, 2), (1, 2), (2, 3)], encoding.Offsets);
    }

    [Fact]
    public void The_likeliest_cut_wins_and_bytes_serve_what_is_unknown()
    {
        using TemporaryFolder folder = new();
        int[] Ids(string bytes)
        {
            File.WriteAllText(folder.File("tokenizer.json"), $$"""{"model":{"type":"Unigram","unk_id":0,"byte_fallback":{{bytes}},"vocab":[["?",0],["a",-2],["b",-2],["ab",-3],["ba",-1],["<0x78>",0]]} }""");
            return Tokenizer.Load(folder.Path).EncodeIds("abaxx");
        }
        Assert.Equal([1, 4, 5, 5], Ids("true"));
        Assert.Equal([1, 4, 0], Ids("false"));
    }

    [Fact]
    public void A_long_text_of_one_word_is_merged_in_little_more_than_its_length()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder.File("tokenizer.json"), """{"model":{"type":"BPE","vocab":{"a":0,"aa":1,"aaaa":2},"merges":["a a","aa aa"]}}""");
        Assert.Equal(50_000, Tokenizer.Load(folder.Path).EncodeIds(new string('a', 200_000)).Length);
    }
}
