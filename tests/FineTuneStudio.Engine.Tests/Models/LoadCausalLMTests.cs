using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Models;

[Collection("training")]
public sealed class LoadCausalLMTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static LlamaConfig Small(bool tied) => new(20, 8, 1, 2, 1, 12, 16, 1e-5, 10000, RopeFactors.None, false, false, tied, null, 0);

    /// <summary>A folder with a small random Llama, its config.json changed as told.</summary>
    private void Write(Action<JsonObject>? change = null, bool tied = false, Func<string, bool>? keep = null, Action<List<(string, string, long[], Func<ReadOnlyMemory<byte>>)>>? add = null, bool prefix = true)
    {
        var config = new JsonObject
        {
            ["model_type"] = "llama", ["vocab_size"] = 20, ["hidden_size"] = 8, ["num_hidden_layers"] = 1, ["num_attention_heads"] = 2, ["num_key_value_heads"] = 1,
            ["intermediate_size"] = 12, ["max_position_embeddings"] = 16, ["rms_norm_eps"] = 1e-5, ["tie_word_embeddings"] = tied,
        };
        change?.Invoke(config);
        File.WriteAllText(folder.File("config.json"), config.ToJsonString());
        using var model = new LlamaForCausalLM(Small(tied));
        using var noGrad = no_grad();
        foreach (var parameter in model.parameters()) parameter.normal_(0, 0.5).Dispose();
        var tensors = model.named_parameters().Where(p => keep?.Invoke(p.name) ?? true)
            .Select(p => (prefix ? p.name : p.name.Replace("model.", ""), "BF16", p.parameter.shape, (Func<ReadOnlyMemory<byte>>)(() => StoredTensor.Bytes(p.parameter, "BF16")))).ToList();
        add?.Invoke(tensors);
        SafetensorsWriter.Write(folder.File("model.safetensors"), tensors);
    }

    private string Refusal() => Assert.Throws<WeightFileException>(() => LoadCausalLM.From(folder.Path)).Message;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_whole_file_in_bfloat16_loads_with_the_prefix_and_without(bool prefix)
    {
        Write(tied: true, prefix: prefix);
        var (model, report) = LoadCausalLM.From(folder.Path);
        using var owned = model;
        Assert.Equal((1.0, 0, 0), (report.BackboneShare, report.Missing.Count, report.Unexpected.Count));
        Assert.False(model.training);
        using var scope = NewDisposeScope();
        Assert.True(model.call(tensor(new long[] { 1, 2, 3 }, [1, 3]), null).isfinite().all().item<bool>());
    }

    [Fact]
    public void A_tensor_that_is_missing_has_another_shape_or_is_there_twice_is_refused()
    {
        Write(keep: n => !n.EndsWith("k_proj.weight") && n != "lm_head.weight");
        Assert.Equal("model.safetensors lacks 2 of the 12 tensors that config.json calls for, first model.layers.0.self_attn.k_proj.weight; the file and config.json are not of the same model.", Refusal());
        Write(c => c["intermediate_size"] = 16);
        Assert.Equal("model.safetensors holds model.layers.0.mlp.gate_proj.weight with shape [12, 8], but config.json calls for [16, 8]; the file and config.json are not of the same model.", Refusal());
        Write(add: t => t.Add(("norm.weight", "F32", [8], () => new byte[32])));
        Assert.StartsWith("model.safetensors has ", Refusal());
        Assert.EndsWith("which are the same parameter; keep one of them.", Refusal());
    }

    [Fact]
    public void A_head_beside_a_tied_table_is_taken_only_where_it_is_the_table()
    {
        Write(tied: true, add: t => t.Add(("lm_head.weight", "BF16", [20, 8], () => new byte[320])));
        Assert.Equal("config.json says that the head is tied to model.embed_tokens.weight, but model.safetensors holds another lm_head.weight; set tie_word_embeddings to false if the head was trained on its own.", Refusal());
        Write(tied: true, add: t => t.Add(("lm_head.weight", "BF16", [20, 8], t.Single(e => e.Item1 == "model.embed_tokens.weight").Item4)));
        LoadCausalLM.From(folder.Path).Model.Dispose();
    }

    [Fact]
    public void A_configuration_that_cannot_be_computed_faithfully_is_refused()
    {
        void Refuses(string sentence, Action<JsonObject> change)
        {
            Write(change);
            Assert.Equal(sentence, Refusal());
        }
        Refuses("config.json says model_type is mistral; expected gpt2, llama or qwen2.", c => c["model_type"] = "mistral");
        Refuses("config.json says hidden_act is gelu; expected silu.", c => c["hidden_act"] = "gelu");
        Refuses("config.json says rope_scaling is of type yarn; only linear and llama3 are supported.", c => c["rope_scaling"] = new JsonObject { ["rope_type"] = "yarn", ["factor"] = 4 });
        Refuses("config.json has no number factor from 1 in rope_scaling, which linear scaling needs.", c => c["rope_scaling"] = new JsonObject { ["type"] = "linear" });
        Refuses("config.json says num_key_value_heads is 3, which does not divide num_attention_heads, 4.", c => (c["num_attention_heads"], c["num_key_value_heads"]) = (4, 3));
        Refuses("config.json says hidden_size is 8, which 3 attention heads do not divide into even parts.", c => c["num_attention_heads"] = 3);
        Refuses("config.json has no number vocab_size, which this model needs.", c => c.Remove("vocab_size"));
        Refuses("config.json sets use_sliding_window; only attention to the whole text is supported.", c => (c["model_type"], c["use_sliding_window"]) = ("qwen2", true));
        File.WriteAllText(folder.File("config.json"), "{ broken");
        Assert.Equal("config.json is not valid JSON (line 1); copy or download it again.", Refusal());
        File.Delete(folder.File("config.json"));
        Assert.Equal("The model folder has no config.json; choose a complete Hugging Face model folder.", Refusal());
    }

    [Fact]
    public void Llama_3_slows_the_slow_frequencies_leaves_the_fast_ones_and_blends_between()
    {
        Write(c => c["rope_scaling"] = new JsonObject { ["rope_type"] = "llama3", ["factor"] = 8.0, ["low_freq_factor"] = 1.0, ["high_freq_factor"] = 4.0, ["original_max_position_embeddings"] = 8192 });
        Assert.Equal(new(RopeScaling.Llama3, 8, 1, 4, 8192), LlamaConfig.Read(folder.Path).Rope);
        // Llama 3.1's own numbers: heads of 128, theta 500000. Pair 0 turns 1304 times in 8192 tokens, pair 63 less than once.
        var plain = new LlamaConfig(20, 256, 1, 2, 1, 12, 16, 1e-5, 500000, RopeFactors.None, false, false, false, null, 0);
        var (before, after) = (RotaryPositions.Frequencies(plain), RotaryPositions.Frequencies(plain with { Rope = new(RopeScaling.Llama3, 8) }));
        Assert.Equal(64, after.Length);
        for (var i = 0; i < 64; i++)
        {
            var wavelength = 2 * Math.PI / before[i];
            var smooth = (8192 / wavelength - 1) / (4 - 1);
            var expected = wavelength < 8192.0 / 4 ? before[i] : wavelength > 8192 ? before[i] / 8 : (1 - smooth) * before[i] / 8 + smooth * before[i];
            Assert.Equal(1, after[i] / expected, 1e-6);
        }
        Assert.Equal((before[0], before[63] / 8), (after[0], after[63]));
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("qwen2")]
    public void Rotary_numbers_are_read_where_transformers_4_writes_them_and_where_5_does(string type)
    {
        static JsonObject Llama3(JsonObject also)
        {
            foreach (var (name, value) in new JsonObject { ["rope_type"] = "llama3", ["factor"] = 32.0, ["low_freq_factor"] = 1.0, ["high_freq_factor"] = 4.0, ["original_max_position_embeddings"] = 8192 }) also[name] = value?.DeepClone();
            return also;
        }
        (double, RopeFactors) Read(Action<JsonObject> change)
        {
            Write(c =>
            {
                c["model_type"] = type;
                change(c);
            });
            var config = type == "llama" ? LlamaConfig.Read(folder.Path) : LlamaConfig.ReadQwen2(folder.Path);
            return (config.RopeTheta, config.Rope);
        }
        string Refused(Action<JsonObject> change) => Assert.Throws<WeightFileException>(() => Read(change)).Message;

        var expected = (500000.0, new RopeFactors(RopeScaling.Llama3, 32, 1, 4, 8192));
        Assert.Equal(expected, Read(c => (c["rope_theta"], c["rope_scaling"]) = (500000.0, Llama3([]))));
        Assert.Equal(expected, Read(c => c["rope_parameters"] = Llama3(new() { ["rope_theta"] = 500000.0 })));
        Assert.Equal(expected, Read(c => (c["rope_theta"], c["rope_scaling"], c["rope_parameters"]) = (500000.0, Llama3([]), Llama3(new() { ["rope_theta"] = 500000.0 }))));
        Assert.Equal((1e6, RopeFactors.None), Read(c => c["rope_parameters"] = new JsonObject { ["rope_theta"] = 1e6, ["rope_type"] = "default" }));
        Assert.Equal((1e6, RopeFactors.None), Read(c => (c["rope_theta"], c["rope_parameters"]) = (1e6, new JsonObject())));

        Assert.Equal("config.json says rope_theta is 10000, and 500000 in rope_parameters; keep the one that the model was trained with.",
            Refused(c => (c["rope_theta"], c["rope_parameters"]) = (10000.0, new JsonObject { ["rope_theta"] = 500000.0 })));
        Assert.Equal("config.json says one thing in rope_scaling (linear, factor 2) and another in rope_parameters (llama3, factor 32, frequency factors 1 and 4, original length 8192); keep the one that the model was trained with.",
            Refused(c => (c["rope_scaling"], c["rope_parameters"]) = (new JsonObject { ["type"] = "linear", ["factor"] = 2 }, Llama3([]))));
        Assert.Equal("config.json has rope_parameters for each kind of layer (full_attention, sliding_attention); only one set for all layers is supported.",
            Refused(c => c["rope_parameters"] = new JsonObject { ["full_attention"] = Llama3([]), ["sliding_attention"] = new JsonObject { ["rope_theta"] = 10000.0 } }));
        Assert.Equal("config.json says rope_parameters is of type yarn; only linear and llama3 are supported.", Refused(c => c["rope_parameters"] = new JsonObject { ["rope_type"] = "yarn" }));
        Assert.Equal("config.json says rope_theta in rope_parameters is 0; expected a number above 0.", Refused(c => c["rope_parameters"] = new JsonObject { ["rope_theta"] = 0 }));
        Assert.Equal("config.json says rope_parameters is 5; expected an object with rope_theta and rope_type.", Refused(c => c["rope_parameters"] = 5));
    }

    [Fact]
    public void Texts_longer_than_the_positions_and_masks_of_another_width_are_refused()
    {
        Write();
        using var model = LoadCausalLM.From(folder.Path).Model;
        using var scope = NewDisposeScope();
        Assert.Equal("The text has 17 tokens but the model has 16 positions; cut it first.", Assert.Throws<ArgumentException>(() => model.call(ones(1, 17, int64), null)).Message);
        Assert.Equal("The attention mask is 3 wide, but there are 4 tokens; it needs one number for each, those in the cache included.",
            Assert.Throws<ArgumentException>(() => model.call(ones(1, 4, int64), ones(1, 3, int64))).Message);
    }

    public void Dispose() => folder.Dispose();
}
