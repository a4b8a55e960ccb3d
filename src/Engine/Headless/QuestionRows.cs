using System.Globalization;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Headless;

/// <summary>Questions with contexts and answers from a CSV file, for training without a browser.</summary>
internal static class QuestionRows
{
    /// <summary>
    /// Reads a row a question. An empty answer says that its context has none; an answer without a start stands at its first place in the context.
    /// </summary>
    /// <param name="start">The column with the characters before the answer; null where there is none.</param>
    public static List<QuestionedText> Read(string path, string question, string context, string answer, string? start)
    {
        using var csv = new CsvRows(path);
        var (asked, about, said) = (csv.Column(question), csv.Column(context), csv.Column(answer));
        int? begins = start is null ? null : csv.Column(start);
        var rows = new List<QuestionedText>();
        while (csv.Next())
        {
            if (csv[asked].Trim() is not { Length: > 0 } text || string.IsNullOrWhiteSpace(csv[about])) continue;
            CommandException Wrong(string why) => new($"{path}, line {csv.Line}: {why}");
            if (text.Contains(TextPair.Sign, StringComparison.Ordinal)) throw Wrong($"the question holds \"{TextPair.Sign.Trim()}\", which stands between question and context here; take it out.");
            List<GoldAnswer> answers = [];
            if (csv[said].Trim() is { Length: > 0 } given)
            {
                var at = csv[about].IndexOf(given, StringComparison.Ordinal);
                if (at < 0) throw Wrong($"the answer \"{given}\" does not stand in the context, letter for letter.");
                if (begins is { } column && csv[column].Trim() is { Length: > 0 } cell)
                {
                    if (!int.TryParse(cell, NumberStyles.None, CultureInfo.InvariantCulture, out var place) || place > csv[about].Length || !csv[about].AsSpan(place).StartsWith(given, StringComparison.Ordinal))
                        throw Wrong($"the answer \"{given}\" does not stand at its start {cell}; it stands at {at}.");
                    at = place;
                }
                answers.Add(new(given, at));
            }
            rows.Add(new(csv.Line, TextPair.Join(text, csv[about]), answers));
        }
        return rows.Count > 0 ? rows : throw new CommandException($"{path} has no row with both a {question} and a {context}.");
    }

    /// <summary>Divides rows so that all questions about one context are in one part; the same rows and seed give the same parts.</summary>
    public static (List<QuestionedText> Train, List<QuestionedText> Validation, List<QuestionedText> Test) ByContext(IReadOnlyList<QuestionedText> rows, double validationShare, double testShare, int seed)
    {
        if (validationShare + testShare >= 1) throw new CommandException("--validation-share and --test-share leave nothing to train on; together they must be below 1.");
        var contexts = rows.GroupBy(r => r.Context).ToArray();
        new Random(seed).Shuffle(contexts);
        List<QuestionedText> train = [], validation = [], test = [];
        foreach (var about in contexts) (test.Count < rows.Count * testShare ? test : validation.Count < rows.Count * validationShare ? validation : train).AddRange(about);
        return (train, validation, test);
    }

    /// <summary>Mean scores of a fine-tuned folder on rows.</summary>
    public static IReadOnlyDictionary<Metric, double> Score(string folder, IReadOnlyList<QuestionedText> rows, int maxLength)
    {
        using var finder = AnswerFinder.Load(folder);
        var found = finder.Predict([.. rows.Select(r => r.Text)], maxLength, 64);
        List<string>[] given = [.. rows.Select(r => r.Answers.Select(a => a.Text).ToList())];
        return new Dictionary<Metric, double>
        {
            [Metric.AnswerF1] = found.Select((f, i) => AnswerOverlap.F1(f.Text, given[i])).Average(), [Metric.ExactMatch] = found.Select((f, i) => AnswerOverlap.IsExactMatch(f.Text, given[i]) ? 1.0 : 0).Average(),
        };
    }
}
