using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using FineTuneStudio.Engine.Headless;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Bench;

/// <summary>
/// What bf16 mixed precision and activation checkpointing do to a training step: the dry run of a BERT with random weights, made in place, in
/// a process of its own for each setting. Every row has all its tokens, and AdamW trains all layers.
/// </summary>
static class MeasureStepCost
{
    static readonly (string Name, RunRecipe Recipe)[] Settings =
    [
        ("float32", new()),
        ("bf16 mixed", new() { Precision = Precision.Bf16 }),
        ("float32, checkpointing", new() { ActivationCheckpointing = ActivationCheckpointing.On }),
        ("bf16 mixed, checkpointing", new() { Precision = Precision.Bf16, ActivationCheckpointing = ActivationCheckpointing.On }),
    ];

    public static int Run(string[] args)
    {
        string? Option(string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;
        int Number(string name, int without) => Option(name) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : without;
        (int blocks, int width, int batch, int tokens) = (Number("--blocks", 8), Number("--width", 512), Number("--batch", 16), Number("--tokens", 128));
        if (Option("--folder") is { } folder) return One(Settings[Number("--only", 0)].Recipe, folder, batch, tokens);

        using TemporaryModel model = new(blocks, width);
        IReadOnlyList<string> sets = MachineFacts.SetsOfProcessor();
        Console.WriteLine($"BERT of {blocks} blocks, width {width}, {model.Parameters:N0} parameters; batch {batch}, {tokens} tokens; {string.Join(" ", sets)}{(MachineFacts.HasBf16(sets) == false ? " (no bf16 instructions)" : "")}; load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}");
        DryRunResult? plain = null;
        for (int i = 0; i < Settings.Length; i++)
        {
            if (args.Contains("--float32") && Settings[i].Recipe.Precision != Precision.Float32) continue;
            if (Child(i, args, model.Folder) is not { } cost) return 1;
            plain ??= cost;
            Console.WriteLine(FormattableString.Invariant($"{Settings[i].Name}: {cost.MedianStepSeconds:0.000} s a step, {plain.MedianStepSeconds / cost.MedianStepSeconds:0.00} times the steps a second of float32; peak memory {cost.PeakMemoryBytes >> 20} MiB, {(double)cost.PeakMemoryBytes / plain.PeakMemoryBytes:0.00} of float32"));
        }
        return 0;
    }

    static int One(RunRecipe recipe, string folder, int batch, int tokens)
    {
        recipe = recipe with { BatchSize = batch, MaxLength = tokens, EvaluationsPerEpoch = 0 };
        Console.WriteLine(JsonSerializer.Serialize(DryRun.Measure(new(recipe, folder, 2, [.. Enumerable.Repeat(tokens, 4 * batch)], 0), default)));
        return 0;
    }

    static DryRunResult? Child(int setting, string[] args, string folder)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!, ["step-cost", .. args.Where(a => a != "--float32"), "--only", $"{setting}", "--folder", folder]) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        string said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? JsonSerializer.Deserialize<DryRunResult>(said) : null;
    }

    sealed class TemporaryModel : IDisposable
    {
        public TemporaryModel(int blocks, int width)
        {
            File.WriteAllText(Path.Combine(Folder, "config.json"), $$"""
                {"architectures":["BertForMaskedLM"],"model_type":"bert","vocab_size":30522,"hidden_size":{{width}},"num_hidden_layers":{{blocks}},"num_attention_heads":{{width / 64}},"intermediate_size":{{4 * width}},"hidden_act":"gelu",
                 "max_position_embeddings":512,"type_vocab_size":2,"pad_token_id":0,"layer_norm_eps":1e-12,"hidden_dropout_prob":0.1,"attention_probs_dropout_prob":0.1,"initializer_range":0.02}
                """);
            Random random = new(1);
            using SequenceClassifier model = SequenceClassifier.For(EncoderConfig.Read(Folder), 2);
            (string name, long[] shape)[] tensors = [.. model.named_parameters().Where(p => !p.name.StartsWith("classifier")).Select(p => (p.name, p.parameter.shape))];
            Parameters = tensors.Sum(t => t.shape.Aggregate(1L, (a, b) => a * b));
            SafetensorsWriter.Write(Path.Combine(Folder, ModelWeights.SingleFile), tensors.Select(t => (t.name, "F32", t.shape, (Func<ReadOnlyMemory<byte>>)(() =>
                MemoryMarshal.AsBytes<float>([.. Enumerable.Range(0, (int)t.shape.Aggregate(1L, (a, b) => a * b)).Select(_ => t.name.EndsWith("LayerNorm.weight") ? 1 : (float)(random.NextDouble() - 0.5) * 0.07f)]).ToArray()))));
        }

        public string Folder { get; } = Directory.CreateTempSubdirectory("step-cost-").FullName;

        public long Parameters { get; }

        public void Dispose() => Directory.Delete(Folder, recursive: true);
    }
}
