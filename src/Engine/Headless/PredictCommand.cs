using System.Globalization;
using CsvHelper;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Headless;

/// <summary>
/// <c>predict --model folder --data file.csv --out scores.csv [--text column] [--max-length 128] [--json]</c>: labels every row. The
/// result has the input's columns, then <c>predicted_label</c>, <c>probability</c> and a column of probabilities a label.
/// </summary>
public static class PredictCommand
{
    private const int RowsHeld = 2048;

    /// <returns>0 when every row was scored; 1 with one sentence on <paramref name="error"/> otherwise, and no file written.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        string? partial = null;
        try
        {
            var options = new CommandOptions("predict", args, ["--model", "--data", "--out", "--text", "--max-length"], ["--json"]);
            var (folder, data, target) = (options.RequiredFolder("--model"), options.Required("--data"), options.RequiredTarget("--out"));
            if (!int.TryParse(options.Optional("--max-length") ?? "128", out var maxLength) || maxLength is < 8 or > 512)
                throw new CommandException($"--max-length is \"{options.Optional("--max-length")}\"; expected a whole number from 8 to 512.");
            using var classifier = TextClassifier.Load(folder);
            using var csv = new CsvRows(data);
            var text = csv.Column(options.Optional("--text") ?? "text");
            partial = target + ".partial";
            var progress = new PredictProgress(output, options.Has("--json"));
            var rows = 0;
            using (var writer = CsvWriter.ToFile(partial))
            {
                writer.WriteHeader([.. csv.Header, "predicted_label", "probability", .. classifier.Labels]);
                var held = new List<string[]>();
                void Score()
                {
                    var probabilities = classifier.Predict(held.Select(row => row[text]).ToList(), maxLength);
                    foreach (var (row, scores) in held.Zip(probabilities))
                    {
                        var best = Array.IndexOf(scores, scores.Max());
                        writer.WriteRecord([.. row, classifier.Labels[best], Number(scores[best]), .. scores.Select(Number)]);
                    }
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
            progress.End(rows, classifier.Labels.Count, target);
            return 0;
        }
        catch (Exception e) when (e is CommandException or TrainingException or WeightFileException or TokenizerFileException or IOException or UnauthorizedAccessException)
        {
            if (File.Exists(partial)) File.Delete(partial);
            error.WriteLine(e.Message);
            return 1;
        }
    }

    private static string Number(float value) => value.ToString("0.######", CultureInfo.InvariantCulture);
}
