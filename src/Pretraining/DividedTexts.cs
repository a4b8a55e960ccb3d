using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Quality;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Splits;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

/// What a pretraining learns from and what it is measured on, written once into its folder: no document on both sides, and nothing learned that a test part holds.
internal sealed record DividedTexts(long Words, long HeldOutWords, long LeftOut)
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Train(string home) => Path.Combine(home, "divided", "train.jsonl");

    public static string HeldOut(string home) => Path.Combine(home, "divided", "held-out.jsonl");

    private static string Counts(string home) => Path.Combine(home, "divided", "counts.json");

    /// What an earlier stretch wrote is taken as it is. Of the train files every so many documents are held out, or none where it is 0 or there are held-out files. Documents that are the
    /// same once normalised count as one and are on one side.
    public static DividedTexts Of(string home, IReadOnlyList<string> train, IReadOnlyList<string> held, int every, int seed, IReadOnlySet<string> locked, CancellationToken cancel)
    {
        if (Read(home) is { } there) return there;
        var divided = Path.Combine(home, "divided");
        var partial = divided + ".partial";
        foreach (var old in new[] { divided, partial }.Where(Directory.Exists)) Directory.Delete(old, recursive: true);
        Directory.CreateDirectory(partial);
        HashSet<UInt128> aside = [];
        var (words, heldWords, leftOut) = (0L, 0L, 0L);
        using (var to = new StreamWriter(Path.Combine(partial, "held-out.jsonl")) { NewLine = "\n" })
        {
            var candidates = held.Count > 0 ? TextDocuments.Read(held, cancel) : every == 0 ? [] : TextDocuments.Read(train, cancel).Where((_, i) => i % every == seed % every);
            foreach (var document in candidates)
            {
                cancel.ThrowIfCancellationRequested();
                if (!aside.Add(TextNormalization.Hash128(document))) continue;
                Write(to, document);
                heldWords += PretrainText.WordsOf(document);
            }
        }
        using (var to = new StreamWriter(Path.Combine(partial, "train.jsonl")) { NewLine = "\n" })
            foreach (var document in TextDocuments.Read(train, cancel))
            {
                cancel.ThrowIfCancellationRequested();
                if (aside.Count > 0 && aside.Contains(TextNormalization.Hash128(document))) continue;
                var (learned, left) = Unlocked(document, locked);
                leftOut += left;
                if (learned.Length == 0) continue;
                Write(to, learned);
                words += PretrainText.WordsOf(learned);
            }
        if (words == 0) throw new TrainingException(leftOut > 0 ? "All of the train text is text of test parts of this project’s splits, which a model must not have read before it is tested on it; upload other text."
            : "All of the train text is held out too, so there is nothing to learn from; upload other text, or hold out less.");
        var counted = new DividedTexts(words, heldWords, leftOut);
        File.WriteAllText(Path.Combine(partial, "counts.json"), JsonSerializer.Serialize(counted));
        Directory.Move(partial, divided);
        return counted;
    }

    /// Null where nothing is divided yet.
    public static DividedTexts? Read(string home) => File.Exists(Counts(home)) ? JsonSerializer.Deserialize<DividedTexts>(File.ReadAllText(Counts(home))) : null;

    /// The text keys of all rows that a split of the project tests on.
    public static IReadOnlySet<string> Locked(StudioDb db, string projectId) =>
        db.SplitRows.Where(s => s.Part == SplitPart.Test && db.Splits.Any(x => x.Id == s.SplitId && x.ProjectId == projectId)).Join(db.Rows, s => s.RowId, r => r.Id, (_, r) => r.TextKey).Distinct().ToHashSet();

    /// For the log, and for where the model comes from; empty where nothing was left out.
    public string LeftOutSentence => LeftOut == 0 ? "" : $"{Say.Count(LeftOut, "text")} that {(LeftOut == 1 ? "is" : "are")} in a test part of this project {(LeftOut == 1 ? "was" : "were")} left out";

    /// A row’s text may be a whole document, or a line of one.
    private static (string Learned, int LeftOut) Unlocked(string document, IReadOnlySet<string> locked)
    {
        if (locked.Count == 0) return (document, 0);
        if (locked.Contains(TextKey.Of(document))) return ("", 1);
        var lines = document.Split('\n');
        if (lines.Length == 1) return (document, 0);
        var learned = lines.Where(line => line.Length == 0 || !locked.Contains(TextKey.Of(line))).ToList();
        return learned.Count == lines.Length ? (document, 0) : (string.Join('\n', learned).Trim(), lines.Length - learned.Count);
    }

    private static void Write(StreamWriter to, string document) => to.WriteLine(JsonSerializer.Serialize(new { text = document }, Readable));
}
