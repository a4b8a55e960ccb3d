using System.Globalization;
using CsvHelper;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Headless;

/// <summary>
/// <c>predict --model folder --data file.csv --out scores.csv [--text column] [--max-length 128] [--json]</c>: labels every row. The
/// result has the input's columns, then <c>predicted_label</c>, <c>probability</c> and a column of probabilities a label. A model for question
/// answering reads <c>[--question column] [--context column]</c> and adds <c>predicted_answer</c>, <c>predicted_start</c> and <c>probability</c>.
/// </summary>
public static class PredictCommand
{
    private const int RowsHeld = 2048;

    private static readonly Command Command = new("predict", "labels every row of a file with a trained model, or answers its questions.",
        new("--model", "folder", "A trained model, such as OUT/best of train."),
        new("--data", "file.csv", "The rows; .tsv is read with tabs."),
        new("--out", "scores.csv", "The file to write: the columns of --data, and after them what the model says."),
        new("--text", "column", "The text of a row; \"text\" if left out."),
        new("--question", "column", "The question, for a model that answers questions; \"question\" if left out."),
        new("--context", "column", "Where its answer is looked for; \"context\" if left out."),
        new("--max-length", "tokens", "Longest text in tokens, 8 to 512; 128 if left out."),
        Command.Json);

    /// <returns>0 when every row was scored; 1 with one sentence on <paramref name="error"/> otherwise, and no file written.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        string? partial = null;
        try
        {
            if (Command.Helps(args, output)) return 0;
            var options = new CommandOptions(Command, args);
            var (folder, data, target) = (options.RequiredFolder("--model"), options.Required("--data"), options.RequiredTarget("--out"));
            if (!int.TryParse(options.Optional("--max-length") ?? "128", out var maxLength) || maxLength is < 8 or > 512)
                throw new CommandException($"--max-length is \"{options.Optional("--max-length")}\"; expected a whole number from 8 to 512.");
            using var csv = new CsvRows(data);
            using Scorer scorer = EncoderConfig.Read(folder).IsFor(EncoderHead.Answer)
                ? new OfAnswers(AnswerFinder.Load(folder), csv.Column(options.Optional("--question") ?? "question"), csv.Column(options.Optional("--context") ?? "context"))
                : new OfLabels(TextClassifier.Load(folder), csv.Column(options.Optional("--text") ?? "text"));
            partial = target + ".partial";
            var progress = new PredictProgress(output, options.Has("--json"));
            var rows = 0;
            using (var writer = CsvWriter.ToFile(partial))
            {
                writer.WriteHeader([.. csv.Header, .. scorer.Columns]);
                var held = new List<string[]>();
                void Score()
                {
                    foreach (var (row, cells) in held.Zip(scorer.Score(held, maxLength))) writer.WriteRecord([.. row, .. cells]);
                    rows += held.Count;
                    held.Clear();
                    progress.Show(rows);
                }
                while (csv.Next())
                {
                    held.Add(Enumerable.Range(0, csv.Header.Length).Select(i => csv[i]).ToArray());
                    if (held.Count == RowsHeld) Score();
                }
                if (held.Count > 0) Score();
            }
            File.Move(partial, target, overwrite: true);
            progress.End(rows, scorer.Labels, target);
            return 0;
        }
        catch (Exception e) when (e is CommandException or TrainingException or WeightFileException or TokenizerFileException or IOException or UnauthorizedAccessException)
        {
            if (File.Exists(partial)) File.Delete(partial);
            error.WriteLine(e.Message);
            return 1;
        }
    }

    /// <summary>A model with the columns that it reads.</summary>
    private abstract class Scorer : IDisposable
    {
        public abstract string[] Columns { get; }

        public abstract int? Labels { get; }

        public abstract IEnumerable<string[]> Score(IReadOnlyList<string[]> rows, int maxLength);

        public abstract void Dispose();
    }

    private sealed class OfLabels(TextClassifier classifier, int text) : Scorer
    {
        public override string[] Columns => ["predicted_label", "probability", .. classifier.Labels];

        public override int? Labels => classifier.Labels.Count;

        public override IEnumerable<string[]> Score(IReadOnlyList<string[]> rows, int maxLength) => classifier.Predict([.. rows.Select(row => row[text])], maxLength).Select(scores =>
        {
            var best = Array.IndexOf(scores, scores.Max());
            return (string[])[classifier.Labels[best], Number(scores[best]), .. scores.Select(Number)];
        });

        public override void Dispose() => classifier.Dispose();
    }

    private sealed class OfAnswers(AnswerFinder finder, int question, int context) : Scorer
    {
        public override string[] Columns => ["predicted_answer", "predicted_start", "probability"];

        public override int? Labels => null;

        public override IEnumerable<string[]> Score(IReadOnlyList<string[]> rows, int maxLength) => finder.Predict([.. rows.Select(row => TextPair.Join(row[question].Trim(), row[context]))], maxLength)
            .Select(found => (string[])[found.Text, found.IsNone ? "" : found.Start.ToString(CultureInfo.InvariantCulture), Number((float)found.Probability)]);

        public override void Dispose() => finder.Dispose();
    }

    private static string Number(float value) => value.ToString("0.######", CultureInfo.InvariantCulture);
}
