using System.Text.Json;
using FineTuneStudio.Engine.Metrics;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

public sealed class TextOverlapParityTests(ITestOutputHelper output) : IDisposable
{
    private readonly Deviations deviations = new(output);

    public void Dispose() => deviations.Dispose();

    private static JsonElement Topic(string name) => Repository.Json(Shared.Find("goldens/metrics.json")).GetProperty(name);

    private static string[] Strings(JsonElement list) => [.. list.EnumerateArray().Select(s => s.GetString()!)];

    [SkippableFact]
    public void ROUGE_gives_the_numbers_of_googles_implementation()
    {
        var topic = Topic("rouge");
        var (texts, references) = (Strings(topic.GetProperty("inputs").GetProperty("hypotheses")), Strings(topic.GetProperty("inputs").GetProperty("references")));
        var expected = topic.GetProperty("expected").GetProperty("stemmer_false");
        for (var i = 0; i < texts.Length; i++)
            foreach (var (name, found) in new[] { ("rouge1", TextOverlap.Rouge(texts[i], references[i], 1)), ("rouge2", TextOverlap.Rouge(texts[i], references[i], 2)), ("rougeL", TextOverlap.RougeL(texts[i], references[i])) })
            {
                var want = expected[i].GetProperty(name);
                deviations.Relative("ROUGE", name, want.GetProperty("precision").GetDouble(), found.Precision, 1e-6);
                deviations.Relative("ROUGE", name, want.GetProperty("recall").GetDouble(), found.Recall, 1e-6);
                deviations.Relative("ROUGE", name, want.GetProperty("f").GetDouble(), found.F1, 1e-6);
            }
    }

    [SkippableFact]
    public void ChrF_and_BLEU_give_the_numbers_of_sacrebleu()
    {
        var chrf = Topic("chrf");
        var bleu = Topic("bleu");
        var tokens = Topic("bleu_13a_tokenizer");
        var (texts, references) = (Strings(chrf.GetProperty("inputs").GetProperty("hypotheses")), Strings(chrf.GetProperty("inputs").GetProperty("references")[0]));
        deviations.Relative("chrF2", "corpus", chrf.GetProperty("expected").GetProperty("chrf2_corpus_first_reference").GetDouble(), TextOverlap.Chrf(texts, references), 1e-6);
        var both = Strings(chrf.GetProperty("inputs").GetProperty("references")[1]);
        for (var i = 0; i < texts.Length; i++)
            deviations.Relative("chrF2", "sentence", chrf.GetProperty("expected").GetProperty("chrf2_sentence")[i].GetDouble(), Math.Max(TextOverlap.Chrf(texts[i], references[i]), 0), 1e-6);

        deviations.Relative("BLEU", "corpus", bleu.GetProperty("expected").GetProperty("corpus_first_reference_only").GetProperty("score").GetDouble(), TextOverlap.Bleu(texts, references), 1e-6);
        Assert.Equal(Strings(tokens.GetProperty("expected")), Strings(tokens.GetProperty("inputs").GetProperty("texts")).Select(t => string.Join(' ', TextOverlap.BleuTokens(t))));
    }

    [SkippableFact]
    public void Perplexity_is_the_exponential_of_the_mean_loss()
    {
        var topic = Topic("perplexity");
        var losses = topic.GetProperty("inputs").GetProperty("token_logprobs").EnumerateArray().Select(v => -v.GetDouble());
        deviations.Relative("perplexity", "value", topic.GetProperty("expected").GetDouble(), Math.Exp(losses.Average()), 1e-6);
    }
}
