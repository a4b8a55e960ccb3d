using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Bench;

/// <summary>
/// Tokens a second of pretraining against the same loop in Python's torch (pretraining.py), in turns in one run: the same shapes, float32, no
/// dropout. Ours masks and pairs real text and writes checkpoints; theirs draws random tokens.
/// </summary>
static class MeasurePretraining
{
    /// <summary>Steps at the start that count for neither.</summary>
    const int Warming = 3;

    public static int Run(string[] args)
    {
        string? Option(string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;
        int Number(string name, int without) => Option(name) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : without;
        if (Option("--text") is not { } text)
        {
            Console.Error.WriteLine("Name a text with --text: a file or a folder, as ./studio pretrain reads it.");
            return 2;
        }
        string[] families = Option("--family") is { } one ? [one] : ["bert", "gpt2"];
        if (families.Except(["bert", "gpt2"]).FirstOrDefault() is { } unknown)
        {
            Console.Error.WriteLine($"--family is {unknown}; expected bert or gpt2, or leave it out for both.");
            return 2;
        }
        return families.Select(family => Measure(text, family == "gpt2", Number)).FirstOrDefault(code => code != 0);
    }

    static int Measure(string text, bool causal, Func<string, int, int> number)
    {
        (int layers, int width, int heads, int tokens) = (number("--layers", 4), number("--width", 256), number("--heads", 4), number("--tokens", causal ? 256 : 128));
        (int batch, int steps, int rounds) = (number("--batch", 8192 / tokens), number("--steps", 15), number("--rounds", 3));

        string folder = Directory.CreateTempSubdirectory("fts-pretraining-").FullName;
        try
        {
            IReadOnlyList<string> files = TextDocuments.Files(text);
            TrainedVocabulary vocabulary = causal ? TrainVocabulary.ByteLevelBpe(TextDocuments.Read(files), 8000) : TrainVocabulary.WordPiece(TextDocuments.Read(files), 8000);
            string start = Path.Combine(folder, "start");
            ModelShape shape = new(layers, width, heads, tokens);
            if (causal) NewModelFolder.Gpt2(start, vocabulary, shape, 1);
            else NewModelFolder.Bert(start, vocabulary, shape, 1);
            PretrainJob job = new(Pretrain.DefaultRecipe with { BatchSize = batch, MaxLength = tokens, EvaluationsPerEpoch = 0 }, start, files, [], Path.Combine(folder, "out"), Path.Combine(folder, "texts"), steps);
            Console.WriteLine($"{(causal ? "GPT-2" : "BERT")} of {layers} blocks, width {width}, {vocabulary.Tokens.Count} tokens in the vocabulary; batch {batch}, {tokens} tokens, {steps} steps of which {Warming} do not count; load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}");

            string[] theirs = causal ? ["gpt2", "gpt2-all"] : ["bert", "bert-all"];
            List<double> ours = [];
            Dictionary<string, List<double>> others = theirs.ToDictionary(t => t, _ => new List<double>());
            for (int round = 0; round < rounds; round++)
            {
                ours.Add(Ours(job));
                foreach (string other in theirs)
                    if (Python(other, layers, width, heads, vocabulary.Tokens.Count, batch, tokens, steps) is { } seconds) others[other].Add(seconds);
                    else return 1;
            }
            double own = Median(ours);
            Console.WriteLine(FormattableString.Invariant($"ours: {own:0.000} s a step, {batch * tokens / own:N0} tokens a second"));
            foreach ((string other, List<double> each) in others)
                Console.WriteLine(FormattableString.Invariant($"Python, {other}: {Median(each):0.000} s a step, {batch * tokens / Median(each):N0} tokens a second; ours is {Median(each) / own:0.00} times as fast"));
            return 0;
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    static double Ours(PretrainJob job)
    {
        (List<double> seconds, long mark, double first, double last) = ([], 0, 0, 0);
        Pretrain.Run(job, e =>
        {
            if (e is not StepDone step) return;
            long now = Stopwatch.GetTimestamp();
            if (mark != 0) seconds.Add(Stopwatch.GetElapsedTime(mark, now).TotalSeconds);
            if (first == 0) first = step.TrainLoss;
            (mark, last) = (now, step.TrainLoss);
        }, () => StopRequest.None, default);
        Console.WriteLine(FormattableString.Invariant($"  ours: median {Median(seconds[(Warming - 1)..]):0.000} s; loss {first:0.000} to {last:0.000}"));
        return Median(seconds[(Warming - 1)..]);
    }

    static double? Python(string family, params int[] shape)
    {
        ProcessStartInfo start = new(Environment.GetEnvironmentVariable("PYTHON") ?? "/usr/bin/python3", [Script(), family, .. shape.Select(n => n.ToString(CultureInfo.InvariantCulture))]) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        string said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            Console.Error.WriteLine("Python did not come to its end; this needs its torch (Debian: python3-torch).");
            return null;
        }
        JsonElement made = JsonDocument.Parse(said).RootElement;
        double[] Of(string name) => [.. made.GetProperty(name).EnumerateArray().Select(v => v.GetDouble())];
        double median = Median(Of("seconds")[Warming..]);
        Console.WriteLine(FormattableString.Invariant($"  Python {made.GetProperty("torch")}, {made.GetProperty("threads")} threads, {family}: median {median:0.000} s; loss {Of("losses")[0]:0.000} to {Of("losses")[^1]:0.000}"));
        return median;
    }

    static string Script([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "pretraining.py");

    static double Median(IEnumerable<double> values) => values.Order().ToArray() is var sorted ? sorted[sorted.Length / 2] : 0;
}
