using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Tests.Metrics;

public sealed class TextOverlapTests
{
    [Theory]
    [InlineData("Paris", " paris ", true)]
    [InlineData("in  Paris", "in\nParis", true)]
    [InlineData("Paris.", "Paris", false)]
    public void An_exact_match_does_not_see_case_and_blanks(string text, string reference, bool equal) => Assert.Equal(equal, TextOverlap.IsExactMatch(text, reference));

    [Theory]
    [InlineData("So 3 and 4 make 7.\n#### 7", "It is 7\n#### 7", true)]
    [InlineData("#### 1,200", "#### 1200", true)]
    [InlineData("#### 1200.0", "#### 1200", true)]
    [InlineData("#### -5", "#### 5", false)]
    [InlineData("nothing", "#### 5", false)]
    [InlineData("Yes", "yes", true)]
    [InlineData("It was so 1990-2000", "2000", true)]
    [InlineData("It was so 1990-2000", "-2000", false)]
    [InlineData("with GPT-4", "4", true)]
    [InlineData("5 -3", "-3", true)]
    [InlineData("x=-3", "-3", true)]
    public void Arithmetic_answers_are_compared_by_their_last_number(string text, string reference, bool equal) => Assert.Equal(equal, TextOverlap.IsLastNumberEqual(text, reference));

    [Fact]
    public void ChrF_does_not_count_what_is_written_against_a_reference_that_is_too_short_for_a_run_of_that_length()
    {
        // From an independent reimplementation in Python of the rule of sacrebleu 2 (hypothesis n-grams count only where the reference has any of their order); sacrebleu itself was not run.
        string[] texts = ["The answer is 42, I think.", "Yes, it certainly is so.", "The parcel came three days late."], references = ["42", "yes", "The parcel came two days late."];
        Assert.Equal(71.52291620077305, TextOverlap.Chrf(texts, references), 9);
        Assert.Equal(71.52291620077305, TextOverlap.CountCharacters(texts, references).Chrf([0, 1, 2]), 9);
        Assert.Equal([28.13653136531365, 21.9248291571754, 77.92135446106776], texts.Zip(references, TextOverlap.Chrf), (a, b) => Math.Abs(a - b) < 1e-9);
    }

    [Fact]
    public void ROUGE_sees_words_of_Latin_letters_and_digits_and_no_others() =>
        Assert.Equal([true, true, false, false], new[] { "Сумма 42", "Ок, fine", "Сорок два.", "四十二" }.Select(TextOverlap.HasRougeWords));

    [Fact]
    public void The_interval_of_a_mean_holds_the_mean_and_repeats_with_its_seed()
    {
        double[] values = [.. Enumerable.Range(0, 200).Select(i => i % 4 == 0 ? 1.0 : 0)];
        var interval = BootstrapMean.Of(values);
        Assert.InRange(0.25, interval.Low, interval.High);
        // The normal approximation says 0.19 to 0.31.
        Assert.InRange(interval.Low, 0.17, 0.21);
        Assert.InRange(interval.High, 0.29, 0.33);
        Assert.Equal(interval, BootstrapMean.Of(values));
        Assert.Throws<ArgumentException>(() => BootstrapMean.Of([]));
    }
}
