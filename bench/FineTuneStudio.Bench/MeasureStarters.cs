using System.Globalization;
using System.Text.Json;
using CsvHelper;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Bench;

/// <summary>
/// What a starter's pretraining is worth: fine-tuned with one recipe from the starter and from the same shape and vocabulary with weights drawn
/// anew, for several seeds. A seed draws the rows, the new weights and the order.
/// </summary>
static class MeasureStarters
{
    /// <summary>Single labels: accuracy and macro-F1 on test rows, of a number of rows a label or of all. The last weights are scored; nothing is chosen on the test rows.</summary>
    public static int Encoder(string[] args)
    {
        Options options = new(args);
        if (options.Text("--train") is not { } trainFile || options.Text("--test") is not { } testFile)
        {
            Console.Error.WriteLine("Name two CSV files with --train and --test.");
            return 2;
        }
        var (starter, text, label) = (options.Text("--base") ?? Path.Combine(MeasureTokenizer.Root(), "starters", "encoder"), options.Text("--text") ?? "text", options.Text("--label") ?? "category");
        var (each, seeds, only) = (options.Whole("--each", 0), options.Whole("--seeds", 3), options.Text("--only"));
        var recipe = new RunRecipe
        {
            LearningRate = options.Number("--rate", 5e-4), Epochs = options.Whole("--epochs", each > 0 ? 30 : 10), BatchSize = options.Whole("--batch", 16), MaxLength = options.Whole("--tokens", 64),
            EvaluationsPerEpoch = 0, EarlyStoppingPatience = 0,
        };
        var (all, test) = (Rows(trainFile, text, label), Rows(testFile, text, label));
        string[] labels = [.. all.Select(r => r.Label).Distinct().Order(StringComparer.Ordinal)];
        Console.WriteLine(FormattableString.Invariant($"{all.Count} rows of {labels.Length} labels, {(each > 0 ? $"{each} a label" : "all")} to learn from; {test.Count} test rows; rate {recipe.LearningRate}, {recipe.Epochs} epochs, batch {recipe.BatchSize}, {recipe.MaxLength} tokens, the model's own dropout"));
        var folder = Directory.CreateTempSubdirectory("fts-starters-").FullName;
        try
        {
            var scores = new Dictionary<string, List<ClassificationReport>> { ["starter"] = [], ["new weights"] = [] };
            for (var seed = options.Whole("--first", 1); seed < options.Whole("--first", 1) + seeds; seed++)
            {
                Random random = new(seed);
                var rows = all.Index().ToList();
                if (each > 0) rows = [.. rows.GroupBy(r => r.Item.Label).OrderBy(g => g.Key, StringComparer.Ordinal).SelectMany(g => g.OrderBy(_ => random.Next()).Take(each))];
                List<TrainingExample> train = [.. rows.Select(r => new LabeledText(r.Index, r.Item.Text, Array.IndexOf(labels, r.Item.Label)))];
                foreach (var (name, reports) in scores)
                {
                    if (only is not null && !name.StartsWith(only, StringComparison.Ordinal)) continue;
                    var start = name == "starter" ? starter : Drawn(starter, Path.Combine(folder, $"new-{seed}"), seed);
                    var result = FineTune.Run(new(recipe with { Seed = seed }, start, labels, train, [], Path.Combine(folder, "out")), _ => { }, () => StopRequest.None, default);
                    using var model = TextClassifier.Load(result.BestFolder!);
                    var said = model.Predict([.. test.Select(r => r.Text)], recipe.MaxLength).Select(p => Array.IndexOf(p, p.Max())).ToList();
                    reports.Add(Classification.Evaluate([.. test.Select(r => Array.IndexOf(labels, r.Label))], said, labels.Length));
                    Console.WriteLine(FormattableString.Invariant($"seed {seed}, {name}: accuracy {reports[^1].Accuracy:0.0000}, macro-F1 {reports[^1].MacroF1:0.0000}"));
                }
            }
            foreach (var (name, reports) in scores.Where(s => s.Value.Count > 0))
                Console.WriteLine(FormattableString.Invariant($"{name}: accuracy {reports.Average(r => r.Accuracy):0.0000} ({reports.Min(r => r.Accuracy):0.0000} to {reports.Max(r => r.Accuracy):0.0000}), macro-F1 {reports.Average(r => r.MacroF1):0.0000}"));
            return 0;
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    /// <summary>Answers to prompts: validation perplexity of adapters on the starter, and of all weights of a new model, for the same steps.</summary>
    public static int Gpt(string[] args)
    {
        Options options = new(args);
        if (options.Text("--train") is not { } trainFile || options.Text("--validation") is not { } validationFile)
        {
            Console.Error.WriteLine("Name two JSONL files with --train and --validation.");
            return 2;
        }
        var (starter, prompt, answer) = (options.Text("--base") ?? Path.Combine(MeasureTokenizer.Root(), "starters", "gpt"), options.Text("--prompt") ?? "question", options.Text("--answer") ?? "answer");
        var (steps, seeds) = (options.Whole("--steps", 1000), options.Whole("--seeds", 3));
        List<TrainingExample> Rows(string file) => [.. File.ReadLines(file).Select((line, i) => (i, JsonDocument.Parse(line).RootElement)).Select(r => new AnsweredPrompt(r.i, r.RootElement.GetProperty(prompt).GetString()!, r.RootElement.GetProperty(answer).GetString()!))];
        var (train, validation) = (Rows(trainFile), Rows(validationFile).Take(options.Whole("--rows", 500)).ToList());
        var recipe = new RunRecipe { Epochs = 1, BatchSize = options.Whole("--batch", 16), MaxLength = options.Whole("--tokens", 256), EvaluationsPerEpoch = 4, EarlyStoppingPatience = 0, Metric = Metric.Perplexity };
        var (adapters, full) = (recipe with { Method = TrainingMethod.Lora, LoraTargets = LoraTargets.AllLinear, LoraRank = options.Whole("--rank", 16), LoraAlpha = 2 * options.Whole("--rank", 16), LearningRate = options.Number("--adapter-rate", 2e-3) }, recipe with { LearningRate = options.Number("--rate", 5e-4) });
        Console.WriteLine(FormattableString.Invariant($"{train.Count} train and {validation.Count} validation rows; {steps} steps of {recipe.BatchSize} rows of up to {recipe.MaxLength} tokens; adapters of rank {adapters.LoraRank} at rate {adapters.LearningRate}, all weights at {full.LearningRate}"));
        var folder = Directory.CreateTempSubdirectory("fts-starters-").FullName;
        try
        {
            List<double> ratios = [];
            for (var seed = options.Whole("--first", 1); seed < options.Whole("--first", 1) + seeds; seed++)
            {
                double Perplexity(RunRecipe with, string start) =>
                    FineTune.Run(new(with with { Seed = seed }, start, [], train, validation, Path.Combine(folder, "out"), TextTask.Generation, Steps: steps), _ => { }, () => StopRequest.None, default).BestMetric;
                var (ours, anew) = (Perplexity(adapters, starter), Perplexity(full, Drawn(starter, Path.Combine(folder, $"new-{seed}"), seed)));
                ratios.Add(ours / anew);
                Console.WriteLine(FormattableString.Invariant($"seed {seed}: adapters on the starter {ours:0.000}, all of new weights {anew:0.000}, ratio {ours / anew:0.000}"));
            }
            Console.WriteLine(FormattableString.Invariant($"ratio {ratios.Average():0.000} ({ratios.Min():0.000} to {ratios.Max():0.000})"));
            return 0;
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    /// <summary>The starter's shape and tokenizer with new weights, as <c>./studio pretrain --new</c> begins.</summary>
    static string Drawn(string starter, string folder, int seed)
    {
        if (ModelFolder.Inspect(starter).ModelType == "bert")
        {
            using var model = LoadMaskedLM.New(EncoderConfig.Read(starter), null, seed, nextSentence: true);
            SaveModelFolder.Write(model, starter, folder);
        }
        else
        {
            using var model = LoadCausalLM.New(Gpt2Config.Read(starter), null, seed);
            SaveModelFolder.Write(model, starter, folder, "F32");
        }
        return folder;
    }

    static List<(string Text, string Label)> Rows(string file, string text, string label)
    {
        using var csv = CsvReader.FromFile(file, CsvReaderOptions.Default);
        csv.ReadHeader();
        var (ofText, ofLabel) = (csv.Headers.ToArray().IndexOf(text), csv.Headers.ToArray().IndexOf(label));
        List<(string, string)> rows = [];
        while (csv.Read()) rows.Add((csv.GetString(ofText), csv.GetString(ofLabel)));
        return rows;
    }

    sealed class Options(string[] args)
    {
        public string? Text(string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;

        public int Whole(string name, int without) => Text(name) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : without;

        public double Number(string name, double without) => Text(name) is { } text ? double.Parse(text, CultureInfo.InvariantCulture) : without;
    }
}
