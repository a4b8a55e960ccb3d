using System.Text.Json;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>Written texts against those of Hugging Face's generate(), token by token, and the filters against its logits processors.</summary>
[Collection("training")]
public sealed class GenerationParityTests(ITestOutputHelper output) : IDisposable
{
    private readonly Deviations deviations = new(output);

    private static int[] Ids(JsonElement list) => list.EnumerateArray().Select(v => v.GetInt32()).ToArray();

    private static (CausalLM Model, JsonElement Expected) Open(string name)
    {
        var folder = Shared.Find($"goldens/{name}");
        return (LoadCausalLM.From(folder).Model, Repository.Json(Path.Combine(folder, "expected.json")).GetProperty("generation"));
    }

    [SkippableTheory, MemberData(nameof(CausalParityTests.Folders), MemberType = typeof(CausalParityTests))]
    public void Greedy_texts_are_the_references_with_the_cache_and_without(string name)
    {
        var (model, expected) = Open(name);
        using var owned = model;
        foreach (var prompt in expected.GetProperty("prompts").EnumerateArray())
            foreach (var cached in new[] { true, false })
            {
                var written = Generate.Run(model, [Ids(prompt.GetProperty("prompt_ids"))], new() { MaxNewTokens = 20, UseCache = cached });
                Assert.Equal(Ids(prompt.GetProperty("greedy_new_ids")), Assert.Single(written).Ids);
                Assert.False(written[0].Ended);
            }
    }

    [SkippableTheory, MemberData(nameof(CausalParityTests.Folders), MemberType = typeof(CausalParityTests))]
    public void Prompts_of_different_lengths_in_one_batch_give_the_references_texts(string name)
    {
        var (model, expected) = Open(name);
        using var owned = model;
        var batch = expected.GetProperty("left_padded_batch");
        var prompts = batch.GetProperty("input_ids").EnumerateArray().Zip(batch.GetProperty("attention_mask").EnumerateArray(), (ids, mask) => Ids(ids).Zip(Ids(mask)).Where(t => t.Second == 1).Select(t => t.First).ToArray()).ToList();
        foreach (var cached in new[] { true, false })
            Assert.Equal(batch.GetProperty("new_ids").EnumerateArray().Select(Ids), Generate.Run(model, prompts, new() { MaxNewTokens = 20, UseCache = cached }).Select(t => t.Ids.ToArray()));
    }

    [SkippableTheory, MemberData(nameof(CausalParityTests.Folders), MemberType = typeof(CausalParityTests))]
    public void Beam_search_finds_the_references_texts_and_scores_alone_and_in_a_batch(string name)
    {
        var (model, expected) = Open(name);
        using var owned = model;
        var prompts = expected.GetProperty("prompts").EnumerateArray().ToList();
        var options = new GenerationOptions { MaxNewTokens = 12, Beams = 3 };
        var together = Generate.Run(model, prompts.Select(p => Ids(p.GetProperty("prompt_ids"))).ToList(), options);
        for (var i = 0; i < prompts.Count; i++)
        {
            var alone = Generate.Run(model, [Ids(prompts[i].GetProperty("prompt_ids"))], options with { UseCache = i == 0 })[0];
            foreach (var written in new[] { alone, together[i] })
            {
                Assert.Equal(Ids(prompts[i].GetProperty("beam3_12_new_ids")), written.Ids);
                deviations.Relative($"{name}: beam search's score", prompts[i].GetProperty("prompt").GetString()!, prompts[i].GetProperty("beam3_score").GetDouble(), written.Score!.Value, 1e-4);
            }
        }
    }

    public static TheoryData<string> Filters => ["temperature_0.7", "top_k_3", "top_p_0.8", "top_p_0.1", "repetition_penalty_1.3", "no_repeat_bigram", "typical_p_0.5", "temperature_0.7_then_top_k_5_then_top_p_0.8"];

    [SkippableTheory, MemberData(nameof(Filters))]
    public void A_filter_leaves_the_scores_that_the_reference_leaves(string name)
    {
        var path = Shared.Find("goldens/metrics.json");
        using var scope = NewDisposeScope();
        var golden = Repository.Json(path).GetProperty("generation_processors");
        Assert.Equal(Filters.Count, golden.GetProperty("expected").EnumerateObject().Count());
        var logits = tensor(golden.GetProperty("inputs").GetProperty("logits")[0].EnumerateArray().Select(v => v.GetSingle()).ToArray()).unsqueeze(0);
        IReadOnlyList<IReadOnlyList<int>> texts = [Ids(golden.GetProperty("inputs").GetProperty("input_ids")[0])];
        var filtered = name switch
        {
            "temperature_0.7" => LogitsFilters.Temperature(logits, 0.7),
            "top_k_3" => LogitsFilters.TopK(logits, 3),
            "top_p_0.8" => LogitsFilters.TopP(logits, 0.8),
            "top_p_0.1" => LogitsFilters.TopP(logits, 0.1),
            "repetition_penalty_1.3" => LogitsFilters.RepetitionPenalty(logits, texts, 1.3),
            "no_repeat_bigram" => LogitsFilters.NoRepeatNgram(logits, texts, 2),
            "typical_p_0.5" => LogitsFilters.TypicalP(logits, 0.5),
            _ => LogitsFilters.Warp(logits, new() { Sample = true, Temperature = 0.7, TopK = 5, TopP = 0.8 }),
        };
        var expected = golden.GetProperty("expected").GetProperty(name)[0].EnumerateArray().Select(v => v.ValueKind == JsonValueKind.String ? float.NegativeInfinity : v.GetSingle()).ToArray();
        var actual = filtered.data<float>().ToArray();
        Assert.Equal(expected.Select(float.IsNegativeInfinity), actual.Select(float.IsNegativeInfinity));
        for (var i = 0; i < expected.Length; i++)
            if (float.IsFinite(expected[i])) deviations.Relative("metrics.json: generation_processors", $"{name} {i}", expected[i], actual[i], 1e-5);
    }

    public void Dispose() => deviations.Dispose();
}
