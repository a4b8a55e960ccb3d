using System.Diagnostics;
using System.Runtime.InteropServices;
using CsvHelper;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Bench;

/// <summary>
/// A run in which only the head trains, with what lies below it computed once for each row, against the same run that computes it at every
/// step: seconds, their ratio, how far the losses differ, and what a dry run had predicted. The sample's messages on a BERT with random weights.
/// </summary>
static class MeasureHeadOnly
{
    public static int Run(string[] args)
    {
        int Argument(int at, int otherwise) => args.Length > at ? int.Parse(args[at]) : otherwise;
        var (blocks, width, epochs) = (Argument(0, 4), Argument(1, 256), Argument(2, 3));
        var root = MeasureTokenizer.Root();
        var folder = Directory.CreateTempSubdirectory("fts-head-only-").FullName;
        try
        {
            var model = Base(Path.Combine(root, "tests", "practice-model"), Path.Combine(folder, "base"), blocks, width);
            List<(string Text, string Label)> rows = [];
            using (var reader = CsvReader.FromFile(Path.Combine(root, "sample", "customer-messages.csv"), CsvReaderOptions.Default))
            {
                reader.ReadHeader();
                while (reader.Read()) if (reader.GetString(0).Length > 0 && reader.GetString(1).Length > 0) rows.Add((reader.GetString(0), reader.GetString(1)));
            }
            string[] labels = [.. rows.Select(r => r.Label).Distinct().Order(StringComparer.Ordinal)];
            List<TrainingExample> examples = [.. rows.Select((r, i) => new LabeledText(i + 1, r.Text, Array.IndexOf(labels, r.Label)))];
            var (train, validation) = (examples.Where(e => e.RowId % 5 != 0).ToList(), examples.Where(e => e.RowId % 5 == 0).ToList());
            var recipe = new RunRecipe { TrainableLayers = TrainableLayers.HeadOnly, Epochs = epochs, LearningRate = 1e-3, EarlyStoppingPatience = 0 };
            Console.WriteLine($"BERT of {blocks} blocks and width {width}, {train.Count} train and {validation.Count} validation rows, {labels.Length} labels, {epochs} epochs, batch {recipe.BatchSize}");

            var tokenizer = Engine.Text.Tokenizer.Load(model);
            var predicted = DryRun.Measure(new(recipe, model, labels.Length, [.. train.Select(e => tokenizer.CountTokens(e.Text))], validation.Count), default);
            Console.WriteLine(FormattableString.Invariant($"dry run: {predicted.RunSeconds:0.00} s, of which features {predicted.FeatureSeconds:0.00} s and {predicted.FeatureBytes / 1048576.0:0.00} MiB; a step {predicted.MedianStepSeconds * 1000:0.00} ms"));
            (double Seconds, List<double> Losses) One(string name, long? most)
            {
                var losses = new List<double>();
                var start = 0L;
                FineTune.Run(new(recipe, model, labels, train, validation, Path.Combine(folder, name), MostFeatureBytes: most), e =>
                {
                    // From the line after tokenising on, so that features count and the loading of the model does not.
                    if (e is LogLine { Text: var text } && text.StartsWith("Only the head trains", StringComparison.Ordinal)) start = Stopwatch.GetTimestamp();
                    if (e is LogLine line && start > 0) Console.WriteLine("  " + line.Text);
                    if (e is StepDone step) losses.Add(step.TrainLoss);
                }, () => StopRequest.None, default);
                return (Stopwatch.GetElapsedTime(start).TotalSeconds, losses);
            }
            var once = One("once", null);
            var anew = One("anew", 0);
            var difference = once.Losses.Zip(anew.Losses, (a, b) => Math.Abs(a - b)).Max();
            Console.WriteLine(FormattableString.Invariant($"features once: {once.Seconds:0.00} s; at every step: {anew.Seconds:0.00} s; {anew.Seconds / once.Seconds:0.0} times as fast over {once.Losses.Count} steps with their evaluations and checkpoints; losses differ by at most {difference:0.0e+0}"));
            return 0;
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    /// <summary>The practice model's tokenizer with a larger BERT of random weights.</summary>
    private static string Base(string practice, string to, int blocks, int width)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(practice).Where(f => !f.EndsWith(".safetensors", StringComparison.Ordinal))) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        var config = EncoderConfig.Read(practice) with { Layers = blocks, HiddenSize = width, IntermediateSize = 4 * width, Heads = Math.Max(1, width / 64) };
        var json = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(practice, "config.json")))!;
        (json["num_hidden_layers"], json["hidden_size"], json["intermediate_size"], json["num_attention_heads"]) = (blocks, width, 4 * width, config.Heads);
        File.WriteAllText(Path.Combine(to, "config.json"), json.ToJsonString());
        using var model = SequenceClassifier.For(config, 2);
        using var noGrad = no_grad();
        manual_seed(1);
        foreach (var (name, parameter) in model.named_parameters())
            if (name.EndsWith("LayerNorm.weight", StringComparison.Ordinal)) parameter.fill_(1);
            else if (name.EndsWith("bias", StringComparison.Ordinal)) parameter.zero_();
            else parameter.normal_(0, 0.05);
        SafetensorsWriter.Write(Path.Combine(to, "model.safetensors"), model.named_parameters().Select(p => (p.name, "F32", p.parameter.shape,
            (Func<ReadOnlyMemory<byte>>)(() => MemoryMarshal.AsBytes<float>(p.parameter.data<float>().ToArray()).ToArray()))), new Dictionary<string, string> { ["format"] = "pt" });
        return to;
    }
}
