using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>GPT-2, Llama and Qwen2 against Hugging Face's, at the tolerances that goldens/README.md states for fp32.</summary>
[Collection("training")]
public sealed class CausalParityTests(ITestOutputHelper output) : IDisposable
{
    private readonly Deviations deviations = new(output);

    public static TheoryData<string> Folders => ["gpt2-tiny", "llama-tiny", "llama-tiny-tied", "qwen2-tiny"];

    /// <summary>A folder of the goldens with its model.</summary>
    internal sealed class Golden : IDisposable
    {
        private readonly DisposeScope scope = NewDisposeScope();

        private Golden(string folder)
        {
            Folder = folder;
            Expected = Repository.Json(Path.Combine(folder, "expected.json"));
            Model = LoadCausalLM.From(folder).Model;
            var inputs = Repository.Json(Path.Combine(folder, "inputs.json"));
            (Ids, Mask, Labels) = (Numbers(inputs.GetProperty("input_ids")), Numbers(inputs.GetProperty("attention_mask")), Numbers(inputs.GetProperty("labels")));
        }

        public static Golden Open(string name) => new(Shared.Find($"goldens/{name}"));

        public string Folder { get; }

        public JsonElement Expected { get; }

        public CausalLM Model { get; }

        public Tensor Ids { get; }

        public Tensor Mask { get; }

        public Tensor Labels { get; }

        public SafetensorsFile Tensors() => SafetensorsFile.Open(Path.Combine(Folder, "expected.safetensors"));

        public Tensor Loss() => Model.Loss(Ids, Mask, null, Labels);

        public void Dispose()
        {
            Model.Dispose();
            scope.Dispose();
        }
    }

    internal static Tensor Numbers(JsonElement rows) => tensor(rows.EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetInt64()).ToArray(), [rows.GetArrayLength(), rows[0].GetArrayLength()]);

    internal static Tensor Read(SafetensorsFile file, string name)
    {
        var expected = empty(file.Entries[name].Shape);
        StoredTensor.CopyTo(file, file.Entries[name], expected);
        return expected;
    }

    private void Close(string group, SafetensorsFile file, string name, Tensor actual, double tolerance)
    {
        using var scope = NewDisposeScope();
        var expected = Read(file, name);
        Assert.Equal(expected.shape, actual.shape);
        deviations.Absolute(group, name, (expected - actual.detach()).abs().max().ToDouble(), tolerance);
    }

    [SkippableTheory, MemberData(nameof(Folders))]
    public void Logits_and_hidden_states_equal_the_reference(string name)
    {
        using var golden = Golden.Open(name);
        using var file = golden.Tensors();
        var (logits, states) = golden.Model.ForwardWithHiddenStates(golden.Ids, golden.Mask);
        Close($"{name}: logits", file, "logits", logits, 1e-4);
        Assert.Equal(file.Entries.Keys.Count(k => k.StartsWith("hidden_states.")), states.Count);
        for (var i = 0; i < states.Count; i++) Close($"{name}: hidden states", file, $"hidden_states.{i}", states[i], 1e-4);
    }

    [SkippableTheory, MemberData(nameof(Folders))]
    public void Loss_and_every_gradient_equal_the_reference(string name)
    {
        using var golden = Golden.Open(name);
        var loss = golden.Loss();
        deviations.Relative($"{name}: loss", "loss", golden.Expected.GetProperty("loss").GetDouble(), loss.item<float>(), 1e-5);
        deviations.Relative($"{name}: perplexity", "perplexity", golden.Expected.GetProperty("perplexity").GetDouble(), Math.Exp(loss.item<float>()), 1e-4);
        loss.backward();

        var parameters = golden.Model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        Assert.Equal(golden.Expected.GetProperty("grads").EnumerateObject().Select(p => p.Name).Order(), parameters.Keys.Order());
        foreach (var expected in golden.Expected.GetProperty("grads").EnumerateObject())
        {
            var gradient = parameters[expected.Name].grad!;
            deviations.Relative($"{name}: gradient norms", expected.Name + " norm", expected.Value.GetProperty("norm").GetDouble(), gradient.norm().ToDouble(), 1e-4, 1e-6);
            deviations.Relative($"{name}: gradient absolute sums", expected.Name + " abs_sum", expected.Value.GetProperty("abs_sum").GetDouble(), gradient.abs().sum(ScalarType.Float64).ToDouble(), 1e-4, 1e-6);
        }
        using var file = golden.Tensors();
        foreach (var key in file.Entries.Keys.Where(n => n.StartsWith("grad."))) Close($"{name}: gradients, each element", file, key, parameters[key["grad.".Length..]].grad!, 1e-6);
        deviations.Relative($"{name}: gradient norm over all parameters", "global norm", golden.Expected.GetProperty("grad_global_norm").GetDouble(), nn.utils.clip_grad_norm_(golden.Model.parameters(), 1e30), 1e-4);
    }

    [SkippableTheory, MemberData(nameof(Folders))]
    public void Three_AdamW_steps_equal_the_reference(string name)
    {
        using var golden = Golden.Open(name);
        using var optimizer = optim.AdamW(golden.Model.parameters(), lr: 1e-3, weight_decay: 0.01);
        var expected = golden.Expected.GetProperty("adamw_3_steps");
        var losses = expected.GetProperty("losses").EnumerateArray().Select(v => v.GetDouble()).ToList();
        for (var step = 0; step <= 3; step++)
        {
            var loss = golden.Loss();
            deviations.Relative($"{name}: AdamW: losses", $"loss before step {step}", losses[step], loss.item<float>(), step == 0 ? 1e-5 : 1e-4);
            if (step == 3) break;
            loss.backward();
            optimizer.step();
            golden.Model.zero_grad();
        }
        CheckParameters($"{name}: AdamW", golden, expected.GetProperty("params"), lr: 1e-3, steps: 3);
        using var file = golden.Tensors();
        foreach (var key in file.Entries.Keys.Where(n => n.StartsWith("after_adamw.")))
        {
            var parameter = golden.Model.get_parameter(key["after_adamw.".Length..])!;
            using var noGrad = no_grad();
            var off = (Read(file, key) - parameter).abs();
            // The middle third of GPT-2's fused bias is a key bias, whose gradient is zero but for rounding.
            if (key.EndsWith("c_attn.bias")) off.narrow(0, off.shape[0] / 3, off.shape[0] / 3).zero_();
            deviations.Absolute($"{name}: AdamW: parameters, each element", key, off.max().ToDouble(), 1e-4);
        }
    }

    [SkippableTheory, MemberData(nameof(Folders))]
    public void A_run_with_clipping_decay_groups_and_warm_up_equals_the_reference_trainer(string name)
    {
        using var golden = Golden.Open(name);
        var expected = golden.Expected.GetProperty("trainer_like");
        var spared = expected.GetProperty("no_decay_parameters").EnumerateArray().Select(v => v.GetString()).ToHashSet();
        AdamW.ParamGroup Group(bool decays) => new(golden.Model.named_parameters().Where(p => spared.Contains(p.name) != decays).Select(p => p.parameter),
            new AdamW.Options { LearningRate = 5e-4, weight_decay = decays ? 0.1 : 0 });
        using var optimizer = optim.AdamW([Group(true), Group(false)], lr: 5e-4);
        var plan = new TrainingPlan(StepsPerEpoch: 6, TotalSteps: 6, WarmupSteps: 2, EvaluationSteps: []);
        var step = 0;
        foreach (var at in expected.GetProperty("steps").EnumerateArray())
        {
            var rate = 5e-4 * plan.Factor(Schedule.Linear, step);
            Assert.Equal(at.GetProperty("lr").GetDouble(), rate, 12);
            foreach (var group in optimizer.ParamGroups) group.LearningRate = rate;
            var loss = golden.Loss();
            deviations.Relative($"{name}: trainer: losses", $"loss at step {step}", at.GetProperty("loss").GetDouble(), loss.item<float>(), 1e-4);
            loss.backward();
            deviations.Relative($"{name}: trainer: gradient norms before clipping", $"norm at step {step}", at.GetProperty("grad_norm_before_clip").GetDouble(), nn.utils.clip_grad_norm_(golden.Model.parameters(), 1.0), 1e-4);
            optimizer.step();
            golden.Model.zero_grad();
            step++;
        }
        Assert.Equal(4, step);
        deviations.Relative($"{name}: trainer: losses", "loss after", expected.GetProperty("loss_after").GetDouble(), golden.Loss().item<float>(), 1e-4);
        CheckParameters($"{name}: trainer", golden, expected.GetProperty("params_after"), lr: 5e-4, steps: 4);
    }

    private void CheckParameters(string run, Golden golden, JsonElement expected, double lr, int steps)
    {
        Assert.Empty(golden.Expected.GetProperty("noise_only_gradients").EnumerateArray());
        foreach (var (name, parameter) in golden.Model.named_parameters())
        {
            // A few single elements have a gradient of pure rounding noise; each may move by up to lr a step.
            var stray = golden.Expected.GetProperty("noise_only_gradient_elements").TryGetProperty(name, out var count) ? count.GetInt32() * lr * steps : 0;
            deviations.Relative($"{run}: parameter absolute sums", name, expected.GetProperty(name).GetProperty("abs_sum").GetDouble(), parameter.abs().sum(ScalarType.Float64).ToDouble(), 1e-4, stray);
            Assert.InRange(Math.Abs(expected.GetProperty(name).GetProperty("sum").GetDouble() - parameter.sum(ScalarType.Float64).ToDouble()), 0, 1e-4 * parameter.abs().sum().ToDouble() + stray);
        }
    }

    [SkippableTheory, MemberData(nameof(Folders))]
    public void Texts_packed_into_one_row_compute_what_they_compute_alone(string name)
    {
        using var golden = Golden.Open(name);
        using var noGrad = no_grad();
        var lengths = golden.Mask.sum(1).data<long>().ToArray();
        var texts = lengths.Select((length, row) => golden.Ids.narrow(0, row, 1).narrow(1, 0, length)).ToList();
        Tensor Row(Func<long, int, IEnumerable<long>> each, long padding) => tensor(lengths.SelectMany(each).Concat(Enumerable.Repeat(padding, 3)).ToArray()).unsqueeze(0);
        static IEnumerable<long> Count(long length) => Enumerable.Range(0, (int)length).Select(i => (long)i);
        var ids = cat([.. texts, zeros(1, 3, dtype: int64)], 1);
        var segments = Row((length, row) => Count(length).Select(_ => row + 1L), 0);
        var positions = Row((length, _) => Count(length), 0);
        var packed = golden.Model.Logits(ids, CausalLM.PackedMask(segments), positions);
        long start = 0;
        foreach (var text in texts)
        {
            deviations.Absolute($"{name}: packed texts against each alone", "logits", (packed.narrow(1, start, text.shape[1]) - golden.Model.call(text, null)).abs().max().ToDouble(), 1e-4);
            start += text.shape[1];
        }
        // The loss of the batch is the mean over all tokens, and so it is over the packed row.
        var labels = ids.masked_fill(positions.eq(0).logical_or(segments.eq(0)), -100);
        deviations.Relative($"{name}: loss of packed texts", "loss", golden.Expected.GetProperty("loss").GetDouble(), golden.Model.Loss(ids, CausalLM.PackedMask(segments), positions, labels).item<float>(), 1e-5);
    }

    [SkippableFact]
    public void Half_precision_weights_without_the_prefix_and_with_mask_buffers_give_the_same_model()
    {
        var folder = Shared.Find("goldens/gpt2-tiny-prefixless");
        var golden = Golden.Open("gpt2-tiny");
        using var owned = golden;
        var (model, report) = LoadCausalLM.From(folder);
        using var prefixless = model;
        Assert.Equal((1.0, 0, 0), (report.BackboneShare, report.Missing.Count, report.Reshaped.Count));
        Assert.Equal(["h.0.attn.bias", "h.1.attn.bias"], report.Unexpected);
        var expected = Repository.Json(Path.Combine(folder, "expected.json"));
        var logits = model.call(golden.Ids, golden.Mask).detach();
        CheckSums("gpt2-tiny-prefixless", logits, expected.GetProperty("logits"));
        CloseTo("gpt2-tiny-prefixless: logits of one position", expected.GetProperty("last_position_row0"), logits[0][-1]);
        deviations.Relative("gpt2-tiny-prefixless: loss", "loss", expected.GetProperty("loss").GetDouble(), CausalLM.Loss(logits, golden.Labels).item<float>(), 1e-5);
    }

    [SkippableFact]
    public void Shards_in_bfloat16_give_the_reference_computed_in_float32_and_in_bfloat16()
    {
        var folder = Shared.Find("goldens/llama-tiny-sharded-bf16");
        var golden = Golden.Open("llama-tiny");
        using var owned = golden;
        var (model, report) = LoadCausalLM.From(folder);
        using var sharded = model;
        Assert.Equal((1.0, 0, 0), (report.BackboneShare, report.Missing.Count, report.Unexpected.Count));
        var expected = Repository.Json(Path.Combine(folder, "expected.json"));
        using var file = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
        var logits = model.call(golden.Ids, golden.Mask).detach();
        CheckSums("llama-tiny-sharded-bf16", logits, expected.GetProperty("logits"));
        Close("llama-tiny-sharded-bf16: logits", file, "logits", logits.narrow(0, 0, 1), 1e-4);
        deviations.Relative("llama-tiny-sharded-bf16: loss", "loss", expected.GetProperty("loss").GetDouble(), CausalLM.Loss(logits, golden.Labels).item<float>(), 1e-5);
        model.to(bfloat16);
        // The numbers have 8 bits; how they are rounded on the way is the kernels' choice.
        deviations.Relative("llama-tiny-sharded-bf16: loss computed in bfloat16", "loss", expected.GetProperty("loss_computed_in_bf16").GetDouble(), CausalLM.Loss(model.call(golden.Ids, golden.Mask).detach(), golden.Labels).item<float>(), 1e-3);
    }

    [SkippableTheory, MemberData(nameof(Folders))]
    [InlineData("gpt2-tiny-prefixless")]
    [InlineData("llama-tiny-sharded-bf16")]
    public void The_exported_folder_has_the_files_keys_shapes_dtypes_and_fields_of_its_base(string name)
    {
        var folder = Shared.Find($"goldens/{name}");
        using var saved = new TemporaryFolder();
        using var model = LoadCausalLM.From(folder).Model;
        SaveModelFolder.Write(model, folder, saved.File("model"));
        bool IsOfTheModel(string file) => !file.Contains("expected") && file != "inputs.json" && !file.Contains("-of-") && !file.EndsWith("index.json");
        Assert.Equal(Directory.GetFiles(folder).Select(f => Path.GetFileName(f)).Where(IsOfTheModel).Append("model.safetensors").Distinct().Order(), Directory.GetFiles(saved.File("model")).Select(f => Path.GetFileName(f)).Order());
        Assert.Equal(File.ReadAllText(Path.Combine(folder, "config.json")), File.ReadAllText(saved.File("model/config.json")));
        using var theirs = ModelWeights.Open(folder);
        using var ours = ModelWeights.Open(saved.File("model"));
        // The causal mask that old files carry is no weight, and the prefix is added.
        string Today(string key) => name == "gpt2-tiny-prefixless" ? "transformer." + key : key;
        var weights = theirs.Entries.Where(e => !e.Key.EndsWith(".attn.bias")).ToList();
        Assert.Equal(weights.Select(e => Today(e.Key)).Order(StringComparer.Ordinal), ours.Entries.Keys.Order(StringComparer.Ordinal));
        foreach (var (key, entry) in weights)
        {
            Assert.Equal((entry.Dtype, string.Join(',', entry.Shape)), (ours.Entries[Today(key)].Dtype, string.Join(',', ours.Entries[Today(key)].Shape)));
            Assert.True(theirs.Bytes(key).SequenceEqual(ours.Bytes(Today(key))), key);
        }
    }

    [SkippableFact]
    public void Another_rotary_base_linear_scaling_another_epsilon_and_explicit_positions_equal_the_reference()
    {
        var golden = Golden.Open("llama-tiny");
        using var owned = golden;
        var variants = Repository.Json(Path.Combine(golden.Folder, "expected_variants.json"));
        using var folder = new TemporaryFolder();
        File.Copy(Path.Combine(golden.Folder, "model.safetensors"), folder.File("model.safetensors"));
        Assert.Equal(3, variants.GetProperty("cases").GetArrayLength());
        foreach (var variant in variants.GetProperty("cases").EnumerateArray())
        {
            var change = Assert.Single(variant.GetProperty("config_change").EnumerateObject());
            var config = JsonNode.Parse(File.ReadAllText(Path.Combine(golden.Folder, "config.json")))!;
            config[change.Name] = JsonNode.Parse(change.Value.GetRawText());
            File.WriteAllText(folder.File("config.json"), config.ToJsonString());
            using var model = LoadCausalLM.From(folder.Path).Model;
            var logits = model.call(golden.Ids, golden.Mask).detach();
            CheckSums("llama-tiny, variants", logits, variant.GetProperty("logits"));
            CloseTo("llama-tiny, variants: logits of one position", variant.GetProperty("row0_position4_first_12"), logits[0][4]);
            deviations.Relative("llama-tiny, variants: loss", change.Name, variant.GetProperty("loss").GetDouble(), CausalLM.Loss(logits, golden.Labels).item<float>(), 1e-5);
        }
        var explicitly = variants.GetProperty("explicit_position_ids");
        var moved = golden.Model.Logits(Numbers(explicitly.GetProperty("input_ids")), null, Numbers(explicitly.GetProperty("position_ids"))).detach();
        CheckSums("llama-tiny, variants", moved, explicitly.GetProperty("logits"));
        CloseTo("llama-tiny, variants: logits of one position", explicitly.GetProperty("last_position_first_12"), moved[0][-1]);
    }

    private void CheckSums(string group, Tensor logits, JsonElement expected)
    {
        // Each logit may be off by 1e-4.
        var most = 1e-4 * logits.numel();
        deviations.Absolute($"{group}: sum of the logits, a logit", "sum", Math.Abs(expected.GetProperty("sum").GetDouble() - logits.sum(ScalarType.Float64).ToDouble()) / most * 1e-4, 1e-4);
        deviations.Absolute($"{group}: sum of the logits, a logit", "abs_sum", Math.Abs(expected.GetProperty("abs_sum").GetDouble() - logits.abs().sum(ScalarType.Float64).ToDouble()) / most * 1e-4, 1e-4);
    }

    private void CloseTo(string group, JsonElement expected, Tensor actual)
    {
        var numbers = expected.EnumerateArray().Select(v => v.GetSingle()).ToArray();
        deviations.Absolute(group, group, (tensor(numbers) - actual.narrow(0, 0, numbers.Length)).abs().max().ToDouble(), 1e-4);
    }

    public void Dispose() => deviations.Dispose();
}
