using System.Diagnostics;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Bench;

/// <summary>Words a second of a tokenizer, on one core and as a batch on all of them. A word is what blanks divide.</summary>
static class MeasureTokenizer
{
    const int Words = 400_000, Rounds = 7;

    public static int Run(string[] args)
    {
        string root = Root();
        string folder = args.Length > 0 ? args[0] : Path.Combine(root, "tests", "practice-model");
        string file = args.Length > 1 ? args[1] : Path.Combine(root, "sample", "customer-messages.csv");
        string[] lines = [.. File.ReadLines(file).Where(l => l.Length > 0)];
        int wordsOnce = lines.Sum(CountWords);
        if (wordsOnce == 0)
        {
            Console.Error.WriteLine($"{file} has no words.");
            return 2;
        }
        string[] texts = [.. Enumerable.Repeat(lines, Math.Max(1, Words / wordsOnce)).SelectMany(l => l)];
        int words = texts.Sum(CountWords);

        Tokenizer tokenizer = Tokenizer.Load(folder);
        Console.WriteLine($"{folder}: {tokenizer.VocabularySize} tokens; {texts.Length} texts of {file}, {words} words, {tokenizer.EncodeBatch(texts).Sum(e => (long)e.Length)} ids");
        Report("one core", words, () => { foreach (string text in texts) tokenizer.Encode(text); });
        Report($"batch, {Environment.ProcessorCount} cores", words, () => tokenizer.EncodeBatch(texts));
        Report($"batch, ids only, {Environment.ProcessorCount} cores", words, () => tokenizer.EncodeIds(texts));
        return 0;
    }

    static void Report(string what, int words, Action work)
    {
        work();
        double[] rates = new double[Rounds];
        TimeSpan before = Environment.CpuUsage.TotalTime;
        for (int i = 0; i < Rounds; i++)
        {
            Stopwatch watch = Stopwatch.StartNew();
            work();
            rates[i] = words / watch.Elapsed.TotalSeconds;
        }
        double processor = words * Rounds / (Environment.CpuUsage.TotalTime - before).TotalSeconds;
        Array.Sort(rates);
        Console.WriteLine($"{what}: {rates[Rounds / 2]:N0} words a second (median of {Rounds}; {rates[0]:N0} to {rates[^1]:N0}); {processor:N0} a second of processor time");
    }

    static int CountWords(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length;

    internal static string Root()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "FineTuneStudio.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new DirectoryNotFoundException("Run it inside the repository.");
    }
}
