using FineTuneStudio.Engine.Quality;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Tests.Quality;

public sealed class TextNormalizationTests
{
    [Theory]
    [InlineData("Hello, World!", "hello, world!")]
    [InlineData("  two \t\n words  ", "two words")]
    [InlineData("no\u00A0break\u3000wide", "no break wide")]
    [InlineData("Cafe\u0301", "caf\u00E9")]
    [InlineData("\uFF21\uFF22\uFF23 \uFB01ne \u2460", "abc fine 1")]
    [InlineData("STRASSE", "strasse")]
    [InlineData("Stra\u00DFe", "strasse")]
    [InlineData("\u03A3\u03AF\u03C3\u03C5\u03C6\u03BF\u03C2", "\u03C3\u03AF\u03C3\u03C5\u03C6\u03BF\u03C3")]
    [InlineData("\u1112\u1161\u11AB", "\uD55C")]
    [InlineData("\uD835\uDD4F \uD83D\uDE00", "x \uD83D\uDE00")]
    [InlineData("", "")]
    [InlineData(" \n ", "")]
    public void Texts_that_differ_only_in_form_have_one_key(string text, string key)
    {
        Assert.Equal(key, TextNormalization.Key(text));
        Assert.Equal(TextNormalization.Hash128(key), TextNormalization.Hash128(text));
    }

    [Theory]
    [InlineData("resume", "r\u00E9sum\u00E9")]
    [InlineData("it's", "its")]
    [InlineData("a b", "ab")]
    public void Accents_punctuation_and_word_breaks_make_a_difference(string one, string other)
    {
        Assert.NotEqual(TextNormalization.Key(one), TextNormalization.Key(other));
        Assert.NotEqual(TextNormalization.Hash128(one), TextNormalization.Hash128(other));
        Assert.NotEqual(TextNormalization.Hash64(one), TextNormalization.Hash64(other));
    }

    [Fact]
    public void The_hash_is_the_same_on_every_machine()
    {
        Assert.Equal("9F86D081884C7D659A2FEAA0C55AD015", TextNormalization.Hash128(" TEST").ToString("X32"));
        Assert.Equal(unchecked((long)0x9F86D081884C7D65), TextNormalization.Hash64("test"));
    }

    [Fact]
    public void Lone_surrogates_are_no_error() => Assert.Equal("a\uFFFDb", TextNormalization.Key("a\uD800b"));

    // Reference: Python 3.11 unicodedata (Unicode 14), NFKC.
    [Theory]
    [InlineData("\u1E9B\u0323", "\u1E69")]
    [InlineData("\u0344\u0301", "\u0308\u0301\u0301")]
    [InlineData("\u212B \u2126 \u1E69", "\u00C5 \u03A9 \u1E69")]
    [InlineData("a\u0315\u0300\u05AE\u0300b", "\u00E0\u05AE\u0300\u0315b")]
    [InlineData("\u0958 \u2ADC", "\u0915\u093C \u2ADD\u0338")]
    [InlineData("\uAC00\u11A8 \uAC01\u11A8", "\uAC01 \uAC01\u11A8")]
    [InlineData("\u00BD \u3392", "1\u20442 MHz")]
    public void Compatibility_normalization_is_that_of_the_standard(string text, string expected) => Assert.Equal(expected, UnicodeText.ToNfkc(text));
}
