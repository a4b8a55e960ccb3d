using System.Text.Json;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>LoRA against PEFT: the same adapters, three steps, merged and unmerged, and the folder.</summary>
[Collection("training")]
public sealed class LoraParityTests(ITestOutputHelper output) : IDisposable
{
    private readonly Deviations deviations = new(output);

    [SkippableTheory, MemberData(nameof(CausalParityTests.Folders), MemberType = typeof(CausalParityTests))]
    public void Three_steps_on_the_references_adapters_equal_the_reference_merged_and_unmerged(string name)
    {
        using var golden = CausalParityTests.Golden.Open(name);
        using var before = golden.Model.call(golden.Ids, golden.Mask).detach();
        var expected = Repository.Json(Path.Combine(golden.Folder, "lora", "expected.json"));
        using var lora = LoraFolder.Read(golden.Model, Path.Combine(golden.Folder, "lora", "init"));
        var trained = lora.Parameters().ToList();
        Assert.Equal(expected.GetProperty("trainable_names").EnumerateArray().Select(n => n.GetString()), trained.Select(p => $"base_model.model.{p.Name.Replace(".weight", ".default.weight")}"));
        Assert.Equal(expected.GetProperty("trainable_parameters").GetInt64(), trained.Sum(p => p.Parameter.numel()));
        Assert.Equal(expected.GetProperty("all_parameters").GetInt64(), trained.Sum(p => p.Parameter.numel()) + golden.Model.parameters().Sum(p => p.numel()));
        Assert.All(golden.Model.parameters(), p => Assert.False(p.requires_grad));
        // B is zero at first, so nothing has changed yet.
        Assert.Equal(0, (golden.Model.call(golden.Ids, golden.Mask) - before).abs().max().ToDouble());

        using var optimizer = optim.AdamW(trained.Select(p => p.Parameter), lr: 1e-3, weight_decay: 0.01);
        var losses = expected.GetProperty("losses").EnumerateArray().Select(v => v.GetDouble()).ToList();
        for (var step = 0; step <= 3; step++)
        {
            var loss = golden.Loss();
            deviations.Relative($"{name}: LoRA: losses", $"loss before step {step}", losses[step], loss.item<float>(), step == 0 ? 1e-5 : 1e-4);
            if (step == 3) break;
            loss.backward();
            optimizer.step();
            optimizer.zero_grad();
        }
        Assert.All(golden.Model.parameters(), p => Assert.Null(p.grad));
        foreach (var (key, parameter) in trained)
        {
            var golded = expected.GetProperty("params_after").GetProperty($"base_model.model.{key.Replace(".weight", ".default.weight")}");
            deviations.Relative($"{name}: LoRA: parameter absolute sums", key, golded.GetProperty("abs_sum").GetDouble(), parameter.abs().sum(ScalarType.Float64).ToDouble(), 1e-4);
        }
        using var after = SafetensorsFile.Open(Path.Combine(golden.Folder, "lora", "after_3_steps", "adapter_model.safetensors"));
        using var noGrad = no_grad();
        foreach (var (key, parameter) in trained)
            deviations.Absolute($"{name}: LoRA: parameters, each element", key, (CausalParityTests.Read(after, "base_model.model." + key) - parameter).abs().max().ToDouble(), 1e-4);

        using var file = SafetensorsFile.Open(Path.Combine(golden.Folder, "lora", "expected.safetensors"));
        var unmerged = golden.Model.call(golden.Ids, golden.Mask);
        deviations.Absolute($"{name}: LoRA: logits", "unmerged", (CausalParityTests.Read(file, "logits_after_3_steps") - unmerged.narrow(0, 0, 1)).abs().max().ToDouble(), 1e-4);
        lora.Merge();
        var merged = golden.Model.call(golden.Ids, golden.Mask);
        deviations.Absolute($"{name}: LoRA: merged logits", "merged", (CausalParityTests.Read(file, "merged_logits") - merged.narrow(0, 0, 1)).abs().max().ToDouble(), 1e-4);
        deviations.Absolute($"{name}: LoRA: merged against unmerged", "merged", (merged - unmerged).abs().max().ToDouble(), 1e-4);
        lora.Dispose();
        Assert.Equal(0, (golden.Model.call(golden.Ids, golden.Mask) - before).abs().max().ToDouble());
    }

    [SkippableTheory, MemberData(nameof(CausalParityTests.Folders), MemberType = typeof(CausalParityTests))]
    public void The_written_folder_has_the_references_fields_keys_shapes_and_numbers(string name)
    {
        using var golden = CausalParityTests.Golden.Open(name);
        using var folder = new TemporaryFolder();
        var original = Path.Combine(golden.Folder, "lora", "init");
        using (var lora = LoraFolder.Read(golden.Model, original)) LoraFolder.Write(lora, folder.Path, "CAUSAL_LM");
        Assert.Equal(Directory.GetFiles(original).Select(Path.GetFileName).Order(), Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order());
        Assert.True(JsonElement.DeepEquals(Repository.Json(Path.Combine(original, "adapter_config.json")), Repository.Json(Path.Combine(folder.Path, "adapter_config.json"))), File.ReadAllText(Path.Combine(folder.Path, "adapter_config.json")));
        using var theirs = SafetensorsFile.Open(Path.Combine(original, "adapter_model.safetensors"));
        using var ours = SafetensorsFile.Open(Path.Combine(folder.Path, "adapter_model.safetensors"));
        Assert.Equal(theirs.Metadata, ours.Metadata);
        Assert.Equal(theirs.Entries.Keys.Order(), ours.Entries.Keys.Order());
        foreach (var (key, entry) in theirs.Entries)
        {
            Assert.Equal((entry.Dtype, string.Join(',', entry.Shape)), (ours.Entries[key].Dtype, string.Join(',', ours.Entries[key].Shape)));
            Assert.True(theirs.Bytes(key).SequenceEqual(ours.Bytes(key)), key);
        }
    }

    [SkippableTheory]
    [InlineData("bert-tiny")]
    [InlineData("distilbert-tiny")]
    [InlineData("roberta-tiny")]
    public void Three_steps_on_a_classifier_whose_head_is_trained_whole_equal_the_reference(string name)
    {
        var folder = Shared.Find($"goldens/{name}");
        using var scope = NewDisposeScope();
        using var model = LoadClassifier.ForPrediction(folder).Model;
        var inputs = Repository.Json(Path.Combine(folder, "inputs.json"));
        var (ids, mask) = (CausalParityTests.Numbers(inputs.GetProperty("input_ids")), CausalParityTests.Numbers(inputs.GetProperty("attention_mask")));
        var types = inputs.TryGetProperty("token_type_ids", out var given) ? CausalParityTests.Numbers(given) : null;
        var labels = tensor(inputs.GetProperty("labels").EnumerateArray().Select(v => v.GetInt64()).ToArray());
        var expected = Repository.Json(Path.Combine(folder, "lora", "expected.json"));
        using var lora = LoraFolder.Read(model, Path.Combine(folder, "lora", "init"));
        var trained = lora.Parameters().ToList();
        Assert.Equal(expected.GetProperty("trainable_parameters").GetInt64(), trained.Sum(p => p.Parameter.numel()));
        Assert.Equal(expected.GetProperty("trainable_names").EnumerateArray().Select(n => n.GetString()!.Replace("modules_to_save.default.", "").Replace(".default", "")).Order(), trained.Select(p => $"base_model.model.{p.Name}").Order());

        using var optimizer = optim.AdamW(trained.Select(p => p.Parameter), lr: 1e-3, weight_decay: 0.01);
        var losses = expected.GetProperty("losses").EnumerateArray().Select(v => v.GetDouble()).ToList();
        for (var step = 0; step <= 3; step++)
        {
            var loss = nn.functional.cross_entropy(model.call(ids, mask, types), labels);
            deviations.Relative($"{name}: LoRA: losses", $"loss before step {step}", losses[step], loss.item<float>(), step == 0 ? 1e-5 : 1e-4);
            if (step == 3) break;
            loss.backward();
            optimizer.step();
            optimizer.zero_grad();
        }
        using var noGrad = no_grad();
        using var after = SafetensorsFile.Open(Path.Combine(folder, "lora", "after_3_steps", "adapter_model.safetensors"));
        foreach (var (key, parameter) in trained)
            deviations.Absolute($"{name}: LoRA: parameters, each element", key, (CausalParityTests.Read(after, "base_model.model." + key) - parameter).abs().max().ToDouble(), 1e-4);
        using var file = SafetensorsFile.Open(Path.Combine(folder, "lora", "expected.safetensors"));
        var unmerged = model.call(ids, mask, types);
        deviations.Absolute($"{name}: LoRA: logits", "unmerged", (CausalParityTests.Read(file, "logits_after_3_steps") - unmerged).abs().max().ToDouble(), 1e-4);
        lora.Merge();
        var merged = model.call(ids, mask, types);
        deviations.Absolute($"{name}: LoRA: merged logits", "merged", (CausalParityTests.Read(file, "merged_logits") - merged).abs().max().ToDouble(), 1e-4);
        deviations.Absolute($"{name}: LoRA: merged against unmerged", "merged", (merged - unmerged).abs().max().ToDouble(), 1e-4);

        using var written = new TemporaryFolder();
        LoraFolder.Write(lora, written.Path, "SEQ_CLS");
        var original = Path.Combine(folder, "lora", "after_3_steps");
        Assert.True(JsonElement.DeepEquals(Repository.Json(Path.Combine(original, "adapter_config.json")), Repository.Json(written.File("adapter_config.json"))));
        using var ours = SafetensorsFile.Open(written.File("adapter_model.safetensors"));
        Assert.Equal(after.Entries.Values.Select(e => $"{e.Name} {e.Dtype} {string.Join(',', e.Shape)}").Order(), ours.Entries.Values.Select(e => $"{e.Name} {e.Dtype} {string.Join(',', e.Shape)}").Order());
    }

    public void Dispose() => deviations.Dispose();
}
