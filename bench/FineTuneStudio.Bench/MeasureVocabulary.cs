using System.Diagnostics;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Bench;

/// <summary>Seconds that learning a vocabulary takes, on one core, and what its tokens are worth: characters a token on the last hundredth of the lines.</summary>
static class MeasureVocabulary
{
    public static int Run(string[] args)
    {
        if (args.Length == 0)
        {
            Console.Error.WriteLine("Name a text file, one text a line.");
            return 2;
        }
        int size = args.Length > 1 ? int.Parse(args[1]) : 8000;
        string[] lines = File.ReadAllLines(args[0]);
        string[] held = lines[^Math.Max(1, lines.Length / 100)..], texts = lines[..^held.Length];
        Console.WriteLine($"{args[0]}: {texts.Length} texts, {texts.Sum(t => (long)t.Length) / 1e6:N1} million characters; {size} tokens asked for");
        Report("WordPiece", held, () => TrainVocabulary.WordPiece(texts, size));
        Report("byte-level BPE", held, () => TrainVocabulary.ByteLevelBpe(texts, size));
        return 0;
    }

    static void Report(string what, string[] held, Func<TrainedVocabulary> train)
    {
        (TimeSpan processor, Stopwatch watch) = (Environment.CpuUsage.TotalTime, Stopwatch.StartNew());
        TrainedVocabulary vocabulary = train();
        Console.WriteLine($"{what}: {vocabulary.Tokens.Count} tokens in {watch.Elapsed.TotalSeconds:N1} s, {(Environment.CpuUsage.TotalTime - processor).TotalSeconds:N1} s of processor time");
        string folder = Directory.CreateTempSubdirectory("fts-vocabulary-").FullName;
        vocabulary.Save(folder, 512);
        Tokenizer tokenizer = Tokenizer.Load(folder);
        Directory.Delete(folder, recursive: true);
        long tokens = tokenizer.EncodeIds(held).Sum(ids => (long)ids.Length), specials = (long)tokenizer.CountTokens("") * held.Length;
        Console.WriteLine($"{what}: {held.Sum(t => (long)t.Length) / (double)(tokens - specials):N2} characters a token on {held.Length} held-out texts; last tokens {string.Join(' ', vocabulary.Tokens.TakeLast(8))}");
    }
}
