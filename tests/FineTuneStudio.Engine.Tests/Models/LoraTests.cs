using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Models;

[Collection("training")]
public sealed class LoraTests
{
    private static CausalLM Model(string family)
    {
        CausalLM model = family == "gpt2" ? new Gpt2LMHeadModel(new(50, 16, 2, 2, 32, "gelu_new", 40, 1e-5, true, false, true, 0, 0, 0))
            : new LlamaForCausalLM(new(50, 16, 2, 4, 2, 32, 40, 1e-5, 10000, RopeFactors.None, false, false, false, null, 0));
        using var random = new Generator(7);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters()) parameter.normal_(0, 0.3, random);
        model.eval();
        return model;
    }

    private static string[] Targets(string family) => family == "gpt2" ? ["c_attn", "c_fc"] : ["q_proj", "v_proj", "down_proj"];

    private static Tensor Ids() => tensor(new long[] { 3, 9, 27, 31, 4, 12, 36, 8 }, [2, 4]);

    public static TheoryData<string, bool, bool> Kinds => new() { { "gpt2", false, false }, { "gpt2", true, false }, { "gpt2", false, true }, { "llama", false, false }, { "llama", true, false }, { "llama", false, true }, { "llama", true, true } };

    [Theory, MemberData(nameof(Kinds))]
    public void Every_kind_starts_as_the_model_learns_merges_and_leaves_the_model_as_it_was(string family, bool rankStabilized, bool weightDecomposed)
    {
        using var model = Model(family);
        using var scope = NewDisposeScope();
        var ids = Ids();
        var before = model.call(ids, null).detach();
        var config = new LoraConfig(4, 8, Targets(family), RankStabilized: rankStabilized, WeightDecomposed: weightDecomposed);
        Assert.Equal(rankStabilized ? 4 : 2, config.Scale);
        using var lora = Lora.Attach(model, config, seed: 1);
        var trained = lora.Parameters().ToList();
        Assert.Equal(2 * Targets(family).Length * (weightDecomposed ? 3 : 2), trained.Count);
        Assert.InRange((model.call(ids, null) - before).abs().max().ToDouble(), 0, weightDecomposed ? 1e-4 : 0);

        using var optimizer = optim.AdamW(trained.Select(p => p.Parameter), lr: 3e-2);
        var losses = new List<float>();
        for (var step = 0; step < 40; step++)
        {
            var loss = CausalLM.Loss(model.call(ids, null), ids);
            losses.Add(loss.item<float>());
            loss.backward();
            optimizer.step();
            optimizer.zero_grad();
        }
        Assert.True(losses[^1] < 0.85 * losses[0], $"{losses[0]} to {losses[^1]}");

        var unmerged = model.call(ids, null).detach();
        Assert.True((unmerged - before).abs().max().ToDouble() > 0.1);
        lora.Merge();
        Assert.InRange((model.call(ids, null) - unmerged).abs().max().ToDouble(), 0, 1e-4);
        lora.Unmerge();
        Assert.Equal(0, (model.call(ids, null) - unmerged).abs().max().ToDouble());

        using var folder = new TemporaryFolder();
        LoraFolder.Write(lora, folder.Path, "CAUSAL_LM", "a-base");
        lora.Dispose();
        Assert.Equal(0, (model.call(ids, null) - before).abs().max().ToDouble());
        using var read = LoraFolder.Read(model, folder.Path);
        Assert.Equivalent(config with { TrainedWhole = null }, read.Config);
        Assert.Equal(0, (model.call(ids, null) - unmerged).abs().max().ToDouble());
    }

    [Fact]
    public void DoRA_computes_what_its_paper_says()
    {
        using var layer = nn.Linear(3, 2);
        using var owner = nn.Sequential(("only", layer));
        using var scope = NewDisposeScope();
        using var lora = Lora.Attach(owner, new(1, 2, ["only"], WeightDecomposed: true), seed: 3);
        var (a, b, magnitude) = (lora.Parameters().ElementAt(0).Parameter, lora.Parameters().ElementAt(1).Parameter, lora.Parameters().ElementAt(2).Parameter);
        using var noGrad = no_grad();
        Assert.Equal(0, (magnitude - layer.weight.norm(dim: 1)).abs().max().ToDouble());
        b.copy_(tensor(new[] { 0.5f, -1.5f }, [2, 1]));
        magnitude.copy_(tensor(new[] { 2f, 3f }));
        var x = tensor(new[] { 1f, -2f, 0.5f }, [1, 3]);
        var changed = layer.weight + b.matmul(a) * 2;
        var weight = magnitude.unsqueeze(1) * changed / changed.norm(dim: 1, keepdim: true);
        Assert.InRange((owner.call(x) - (x.matmul(weight.t()) + layer.bias!)).abs().max().ToDouble(), 0, 1e-5);
    }

    [Fact]
    public void The_same_seed_makes_the_same_adapters_whatever_else_is_drawn()
    {
        using var model = Model("llama");
        using var scope = NewDisposeScope();
        Tensor First(int seed)
        {
            using var lora = Lora.Attach(model, new(4, 8, ["q_proj"]), seed);
            return lora.Parameters().First().Parameter.detach().clone();
        }
        manual_seed(1);
        var once = First(5);
        manual_seed(2);
        Assert.True(once.Equals(First(5)));
        Assert.False(once.Equals(First(6)));
        Assert.InRange(once.abs().max().ToDouble(), 0.1, 0.25);
    }

    [Fact]
    public void Layers_that_are_trained_whole_are_trained_and_saved_beside_the_adapters()
    {
        using var model = Model("llama");
        using var folder = new TemporaryFolder();
        float[] Head() => model.get_parameter("lm_head.weight")!.detach().data<float>().ToArray();
        var start = Head();
        using (var lora = Lora.Attach(model, new(4, 8, ["q_proj", "v_proj"], TrainedWhole: ["lm_head"]), seed: 1))
        using (var optimizer = optim.AdamW(lora.Parameters().Select(p => p.Parameter), lr: 1e-2))
        using (NewDisposeScope())
        {
            Assert.Equal(["lm_head.weight"], model.named_parameters().Where(p => p.parameter.requires_grad).Select(p => p.name));
            Assert.Equal(9, lora.Parameters().Count());
            CausalLM.Loss(model.call(Ids(), null), Ids()).backward();
            optimizer.step();
            LoraFolder.Write(lora, folder.Path, "CAUSAL_LM");
        }
        using var file = SafetensorsFile.Open(Path.Combine(folder.Path, "adapter_model.safetensors"));
        Assert.Contains("base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight", file.Entries.Keys);
        Assert.Contains("base_model.model.lm_head.weight", file.Entries.Keys);
        Assert.NotEqual(start, Head());

        using var fresh = Model("llama");
        using var read = LoraFolder.Read(fresh, folder.Path);
        Assert.Equal(Head(), fresh.get_parameter("lm_head.weight")!.detach().data<float>().ToArray());
    }

    [Fact]
    public void No_tensor_stays_behind()
    {
        using var model = Model("gpt2");
        var before = Tensor.TotalCount;
        for (var kind = 0; kind < 2; kind++)
        {
            using var scope = NewDisposeScope();
            using var lora = Lora.Attach(model, new(4, 8, ["c_attn"], WeightDecomposed: kind == 1), seed: 1);
            model.call(Ids(), null);
            lora.Merge();
        }
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void A_layer_that_is_not_there_and_numbers_that_make_no_sense_are_refused()
    {
        using var model = Model("llama");
        Assert.Equal("The model has no layer named c_attn; its linear layers are lm_head, q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.",
            Assert.Throws<ArgumentException>(() => Lora.Attach(model, new(4, 8, ["q_proj", "c_attn"]), 1)).Message);
        Assert.Equal("The layer model.norm is no linear layer; LoRA can adapt lm_head, q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.",
            Assert.Throws<ArgumentException>(() => Lora.Attach(model, new(4, 8, ["norm"]), 1)).Message);
        Assert.Equal("LoRA's rank must be 1 or more, not 0.", Assert.Throws<ArgumentException>(() => Lora.Attach(model, new(0, 8, ["q_proj"]), 1)).Message);
    }

    [Fact]
    public void Adapters_of_another_model_or_of_a_kind_that_is_not_supported_are_refused()
    {
        using var folder = new TemporaryFolder();
        using var llama = Model("llama");
        using (var lora = Lora.Attach(llama, new(4, 8, ["q_proj"]), seed: 1)) LoraFolder.Write(lora, folder.Path, "CAUSAL_LM");
        using var gpt2 = Model("gpt2");
        string Refusal(CausalLM model) => Assert.Throws<WeightFileException>(() => LoraFolder.Read(model, folder.Path)).Message;
        Assert.Equal("adapter_config.json does not fit the model. The model has no layer named q_proj; its linear layers are c_attn, c_proj, c_fc.", Refusal(gpt2));

        var config = Path.Combine(folder.Path, "adapter_config.json");
        var sound = File.ReadAllText(config);
        void Change(string from, string to)
        {
            Assert.Contains(from, sound);
            File.WriteAllText(config, sound.Replace(from, to));
        }
        Change("\"r\": 4", "\"r\": 8");
        Assert.Equal("adapter_model.safetensors holds base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight with shape [4, 16], but this model and adapter_config.json call for [8, 16].", Refusal(llama));
        Change("\"LORA\"", "\"LOHA\"");
        Assert.Equal("adapter_config.json says peft_type is LOHA; expected LORA.", Refusal(llama));
        Change("\"rank_pattern\": {}", "\"rank_pattern\": { \"q_proj\": 2 }");
        Assert.Equal("adapter_config.json sets rank_pattern; only one rank and one alpha for all layers are supported.", Refusal(llama));
        Change("\"use_dora\": false", "\"use_dora\": true");
        Assert.Equal("adapter_model.safetensors lacks 2 of 6 tensors, first base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector; the adapters are of another model or another configuration.", Refusal(llama));
        File.WriteAllText(config, sound);
        File.Delete(Path.Combine(folder.Path, "adapter_model.safetensors"));
        Assert.Equal("There is no file adapter_model.safetensors in this folder.", Refusal(llama));
    }
}
