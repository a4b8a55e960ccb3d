using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Generation;

[Collection("training")]
public sealed class GenerateTests
{
    private static readonly int[][] Prompts = [[504, 560, 875, 464], [36, 639, 705, 907, 264, 351, 77], [39]];

    /// <summary>Small models with random weights, so that these tests need no files.</summary>
    private static CausalLM Model(string family)
    {
        CausalLM model = family == "gpt2" ? new Gpt2LMHeadModel(new(957, 16, 2, 2, 32, "gelu_new", 40, 1e-5, true, false, true, 0.5, 0.5, 0.5))
            : new LlamaForCausalLM(new(957, 16, 2, 4, 2, 32, 40, 1e-5, 10000, RopeFactors.None, false, false, false, null, 0.5));
        using var random = new Generator(7);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, parameter) in model.named_parameters())
            if (!name.Contains("norm") && !name.Contains("ln_")) parameter.normal_(0, 0.3, random);
            else if (name.EndsWith(".weight")) parameter.fill_(1);
            else parameter.zero_();
        return model;
    }

    public static TheoryData<string, bool, int> Ways => new() { { "gpt2", false, 1 }, { "gpt2", true, 1 }, { "gpt2", false, 3 }, { "llama", false, 1 }, { "llama", true, 1 }, { "llama", false, 3 } };

    [Theory, MemberData(nameof(Ways))]
    public void No_tensor_stays_behind_and_the_model_trains_on_afterwards(string family, bool sample, int beams)
    {
        using var model = Model(family);
        model.train();
        var options = new GenerationOptions { MaxNewTokens = 6, Sample = sample, Beams = beams, RepetitionPenalty = 1.2, NoRepeatNgramSize = 3, TopK = sample ? 50 : 0, TopP = sample ? 0.9 : 1, TypicalP = sample ? 0.9 : 1, Temperature = sample ? 0.8 : 1 };
        Generate.Run(model, Prompts, options);
        var before = Tensor.TotalCount;
        Assert.Equal(3, Generate.Run(model, Prompts, options).Count);
        Assert.Equal(before, Tensor.TotalCount);
        Assert.True(model.training);

        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => Generate.Run(model, Prompts, options, cancelled.Token));
        Assert.Equal(before, Tensor.TotalCount);
        Assert.True(model.training);
    }

    [Theory, MemberData(nameof(Ways))]
    public void The_cache_changes_nothing_that_is_written(string family, bool sample, int beams)
    {
        using var model = Model(family);
        var options = new GenerationOptions { MaxNewTokens = 12, Sample = sample, Beams = beams, Seed = 3 };
        Assert.Equal(Generate.Run(model, Prompts, options with { UseCache = false }).Select(t => t.Ids), Generate.Run(model, Prompts, options).Select(t => t.Ids));
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama")]
    public void A_long_prompt_is_read_in_pieces_and_gives_the_scores_it_gives_as_a_whole(string family)
    {
        using var model = Model(family);
        model.eval();
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using DecodingBatch whole = new(model, Prompts, 4, useCache: true), pieces = new(model, Prompts, 4, useCache: true, mostScores: 42);
        // Seven columns of three rows: pieces of two.
        Assert.True(whole.NextLogits().allclose(pieces.NextLogits(), 1e-5, 1e-5));
        whole.Grow([(2, 5), (0, 6)]);
        pieces.Grow([(2, 5), (0, 6)]);
        Assert.True(whole.NextLogits().allclose(pieces.NextLogits(), 1e-5, 1e-5));
    }

    [Fact]
    public void A_model_in_evaluation_mode_serves_several_calls_at_once()
    {
        using var model = Model("llama");
        model.eval();
        var options = new GenerationOptions { MaxNewTokens = 12 };
        var alone = Generate.Run(model, Prompts, options).Select(t => string.Join(' ', t.Ids)).ToList();
        var together = new List<string>[8];
        Parallel.For(0, together.Length, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i => together[i] = [.. Generate.Run(model, Prompts, options).Select(t => string.Join(' ', t.Ids))]);
        Assert.All(together, t => Assert.Equal(alone, t));
        Assert.False(model.training);
    }

    [Fact]
    public void The_same_seed_draws_the_same_texts_and_another_seed_others()
    {
        using var model = Model("llama");
        var options = new GenerationOptions { MaxNewTokens = 12, Sample = true, Seed = 5 };
        List<string> Texts(GenerationOptions o) => Generate.Run(model, Prompts, o).Select(t => string.Join(' ', t.Ids)).ToList();
        manual_seed(1);
        var first = Texts(options);
        manual_seed(2);
        Assert.Equal(first, Texts(options));
        Assert.All(Texts(options with { Seed = 6 }).Zip(first), pair => Assert.NotEqual(pair.First, pair.Second));
    }

    [Fact]
    public void Drawing_from_the_single_likeliest_token_is_greedy()
    {
        using var model = Model("gpt2");
        var greedy = Generate.Run(model, Prompts, new() { MaxNewTokens = 8 });
        foreach (var narrow in new[] { new GenerationOptions { TopK = 1 }, new GenerationOptions { TopP = 1e-6 }, new GenerationOptions { Temperature = 1e-4 } })
            Assert.Equal(greedy.Select(t => t.Ids), Generate.Run(model, Prompts, narrow with { MaxNewTokens = 8, Sample = true }).Select(t => t.Ids));
    }

    [Fact]
    public void Tokens_are_drawn_as_often_as_their_probability_says_and_ruled_out_ones_never()
    {
        using var scope = NewDisposeScope();
        var logits = tensor(new[] { float.NegativeInfinity, MathF.Log(0.5f), float.NegativeInfinity, MathF.Log(0.3f), MathF.Log(0.2f), float.NegativeInfinity }).unsqueeze(0).expand(20_000, 6).contiguous();
        var random = new Random(1);
        var drawn = TokenByToken.Draw(logits, _ => random.NextDouble());
        Assert.Equal([1, 3, 4], drawn.Distinct().Order());
        foreach (var (token, share) in new[] { (1, 0.5), (3, 0.3), (4, 0.2) }) Assert.InRange(drawn.Count(t => t == token) / 20_000.0, share - 0.015, share + 0.015);
        Assert.Equal(1, TokenByToken.Draw(logits.narrow(0, 0, 1), _ => 0)[0]);
        Assert.Equal(4, TokenByToken.Draw(logits.narrow(0, 0, 1), _ => Math.BitDecrement(1.0))[0]);
    }

    [Fact]
    public void An_end_token_ends_its_text_alone()
    {
        using var model = Model("gpt2");
        var whole = Generate.Run(model, Prompts, new() { MaxNewTokens = 8 });
        // The token that the second text writes fourth; the others may have it elsewhere or not at all.
        var end = whole[1].Ids[3];
        var written = Generate.Run(model, Prompts, new() { MaxNewTokens = 8, EndTokenIds = [end] });
        for (var i = 0; i < whole.Count; i++)
        {
            var cut = whole[i].Ids.TakeWhile(t => t != end).ToList();
            Assert.Equal(cut, written[i].Ids);
            Assert.Equal(cut.Count < 8, written[i].Ended);
        }
        Assert.True(written[1].Ended);
    }

    [Fact]
    public void A_beam_search_that_may_end_scores_at_least_as_high_as_each_text_of_its_length()
    {
        using var model = Model("gpt2");
        var ends = Enumerable.Range(0, 300).ToArray();
        foreach (var result in Generate.Run(model, Prompts, new() { MaxNewTokens = 10, Beams = 4, EndTokenIds = ends }))
        {
            Assert.True(result.Ended || result.Ids.Count == 10);
            Assert.DoesNotContain(result.Ids, t => ends.Contains(t));
            Assert.True(result.Score < 0);
        }
    }

    [Fact]
    public void Long_prompts_unknown_tokens_and_empty_prompts_are_refused()
    {
        using var model = Model("llama");
        string Refusal(int[] prompt, int most) => Assert.Throws<ArgumentException>(() => Generate.Run(model, [[1], prompt], new() { MaxNewTokens = most })).Message;
        Assert.Equal("Prompt 2 has 5 tokens and 36 new ones are asked for, but the model has 40 positions; shorten the prompt or ask for fewer.", Refusal([1, 2, 3, 4, 5], 36));
        Assert.Equal("Prompt 2 has the token 957, but the model knows 0 to 956; the tokenizer is of another model.", Refusal([1, 957], 4));
        Assert.Equal("Prompt 2 has no tokens; begin with the model's beginning-of-text token where there is no text.", Refusal([], 4));
        Assert.Equal(35, Generate.Run(model, [[1, 2, 3, 4, 5]], new() { MaxNewTokens = 35 })[0].Ids.Count);
        Assert.Empty(Generate.Run(model, [], new()));
    }

    [Fact]
    public void A_model_that_computes_no_numbers_is_named_as_the_cause()
    {
        using var model = Model("gpt2");
        using (no_grad()) model.get_parameter("transformer.ln_f.weight")!.fill_(float.NaN).Dispose();
        foreach (var options in new[] { new GenerationOptions(), new GenerationOptions { Sample = true }, new GenerationOptions { Beams = 2 } })
            Assert.Equal("The model gives no number as the score of the next token (NaN). Its weights are broken, as after a training that diverged; use an earlier checkpoint.",
                Assert.Throws<InvalidOperationException>(() => Generate.Run(model, [[1, 2]], options with { MaxNewTokens = 3 })).Message);
        Assert.Equal("900 beams and 100 end tokens are more than the 957 tokens that the model knows; ask for fewer beams.",
            Assert.Throws<ArgumentException>(() => Generate.Run(model, [[1, 2]], new() { Beams = 900, MaxNewTokens = 3, EndTokenIds = [.. Enumerable.Range(0, 100)] })).Message);
    }

    [Fact]
    public void Options_that_contradict_themselves_are_refused_with_a_sentence()
    {
        Assert.Empty(new GenerationOptions().Validate());
        Assert.Equal(["Temperature must be above 0, not 0; for the likeliest text turn sampling off.", "Top-p must be above 0 and at most 1, not 1.5."], new GenerationOptions { Temperature = 0, TopP = 1.5 }.Validate());
        Assert.Equal(["Beam search looks for the likeliest text, sampling draws one; choose one of them."], new GenerationOptions { Beams = 2, Sample = true }.Validate());
    }
}
