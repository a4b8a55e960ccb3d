using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// Guesses how a table is written: JSON lines or delimited, which delimiter and quote, with or without a header; and which column is what.
internal static class DetectFormat
{
    private const int SampleRows = 200;
    private static readonly string[] TextNames = ["text", "sentence", "message", "utterance", "question", "content", "review", "body", "comment", "tweet", "description", "prompt", "input", "query", "tokens", "words"];
    private static readonly string[] LabelNames = ["label", "category", "class", "intent", "target", "sentiment", "tag", "topic", "labels", "type", "spans", "entities", "tags", "ner_tags"];

    /// Files of tagged words are looked for only where a task needs them: to any other they are tables.
    public static FileFormat Of(Stream file, string encoding, string fileName, TextTask task = TextTask.SingleLabel)
    {
        string head;
        using (var reader = ReadTable.Open(file, encoding))
        {
            var sample = new char[1 << 18];
            head = new string(sample, 0, reader.ReadBlock(sample));
        }
        if (string.IsNullOrWhiteSpace(head)) throw new DataFileException("The file holds nothing but white space.");
        var extension = Path.GetExtension(fileName).ToLowerInvariant();
        if (task == TextTask.QuestionAnswering && SquadReader.Detect(head)) return new(FileKind.Squad, encoding, HeaderRows: 0);
        if (extension is ".jsonl" or ".ndjson" || head.TrimStart()[0] == '{') return new(FileKind.JsonLines, encoding, HeaderRows: 0);
        if (head.TrimStart() is ['[', ..] start && start[1..].TrimStart() is ['{', ..])
            throw new DataFileException("This is one JSON array. Write one object a line instead (JSON lines), without the brackets around the whole.");
        if (task == TextTask.TokenClassification && ConllReader.Detect(head) is var (separator, token, tag)) return new(FileKind.TaggedWords, encoding, separator, null, 0) { TokenColumn = token, TagColumn = tag };
        // The last row of the sample may be cut off.
        var cut = head.Length == 1 << 18 ? head[..(head.LastIndexOf('\n') + 1)] : head;
        var best = (Score: double.MinValue, Delimiter: ',', Quote: (char?)'"', Rows: new List<RawRow>());
        foreach (var delimiter in extension is ".tsv" or ".tab" ? ['\t'] : (char[])[',', '\t', ';', '|'])
        {
            var quote = QuoteFor(cut, delimiter);
            var rows = Parse(cut, delimiter, quote);
            // More than one column, and the same number in every row whose quotes are right.
            var (cells, share) = Usual(rows);
            var score = share + (cells > 1 ? 1 : 0);
            if (score > best.Score + 1e-9) best = (score, delimiter, quote, rows);
        }
        return new(FileKind.Delimited, encoding, best.Delimiter, best.Quote, HeaderRows(best.Rows));
    }

    private static List<RawRow> Parse(string text, char delimiter, char? quote) =>
        [.. new DelimitedReader(new StringReader(text), delimiter, quote).Rows().Take(SampleRows)];

    /// The commonest number of cells, and the share of the unbroken rows that have it.
    private static (int Cells, double Share) Usual(List<RawRow> rows)
    {
        var whole = rows.Where(r => r.Fault is null).CountBy(r => r.Cells.Count).ToList();
        if (whole.Count == 0) return (0, 0);
        var most = whole.MaxBy(g => g.Value);
        return (most.Key, (double)most.Value / whole.Sum(g => g.Value));
    }

    /// The double quote, unless quotes are plainly text: a few broken ones are faults of their rows. Tabs need no quotes: there, one broken quote is enough.
    private static char? QuoteFor(string text, char delimiter)
    {
        int Begin(char quote) => text.Split('\n').Count(l => l.StartsWith(quote) || l.Contains($"{delimiter}{quote}", StringComparison.Ordinal));
        var broken = new DelimitedReader(new StringReader(text), delimiter, '"').Rows().Count(r => r.Fault is not null);
        if (broken > 0 && (delimiter == '\t' || broken >= 3 && broken >= Begin('"') / 2)) return null;
        if (Begin('"') > 0 || Begin('\'') < 2) return '"';
        var single = Parse(text, delimiter, '\'');
        return single.All(r => r.Fault is null) && Usual(single).Share > Usual(Parse(text, delimiter, '"')).Share ? '\'' : '"';
    }

    /// 0, 1 or 2: a name is unlike what stands below it. It does not come back in a column of few values, and is no number above numbers.
    private static int HeaderRows(List<RawRow> rows)
    {
        if (rows.Count == 0 || rows[0].Fault is not null) return 0;
        var first = rows[0].Cells.Select(c => c.Trim()).ToList();
        if (first.Any(Number)) return 0;
        var body = rows.Skip(1).Where(r => r.Fault is null && r.Cells.Count == first.Count).Select(r => r.Cells.Select(c => c.Trim()).ToList()).ToList();
        var named = first.Any(c => TextNames.Contains(c.ToLowerInvariant()) || LabelNames.Contains(c.ToLowerInvariant()));
        if (body.Count == 0) return named || first.Count > 1 && first.Distinct().Count() == first.Count && first.All(c => c.Length is > 0 and < 64) ? 1 : 0;
        var says = Enumerable.Range(0, first.Count).Where(i => first[i].Length > 0).Sum(i => Evidence(first[i], [.. body.Select(r => r[i])]));
        var longest = Enumerable.Range(0, first.Count).MaxBy(i => body.Average(r => r[i].Length));
        var shorter = first[longest].Length * 2 < body.Average(r => r[longest].Length) || first.All(c => c.Length > 0 && !c.Contains(' ')) && first.Distinct().Count() == first.Count;
        if (!named && (says < 0 || says == 0 && !shorter)) return 0;
        // Surveys put the answers' own names into a second row, which has nothing in the column of the ids.
        var second = body[0];
        return first.Count > 2 && body.Count > 5 && second[0].Length == 0 && body.Skip(1).All(r => r[0].Length > 0)
            && Enumerable.Range(1, first.Count - 1).Any(i => second[i].Length > 0 && Evidence(second[i], [.. body.Skip(1).Select(r => r[i])]) > 0) ? 2 : 1;
    }

    private static int Evidence(string first, List<string> below)
    {
        var values = below.Where(v => v.Length > 0).ToList();
        if (values.Count < 3) return 0;
        if (values.All(Number)) return Number(first) ? -1 : 1;
        return values.Distinct().Count() > values.Count / 2 ? 0 : values.Contains(first) ? -1 : 1;
    }

    private static bool Number(string cell) => double.TryParse(cell, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out _);

    public static ColumnMapping Guess(IReadOnlyList<string> columns, IReadOnlyList<RawRow> sample)
    {
        var rows = sample.Where(r => r.Fault is null).ToList();
        double Length(int i) => rows.Count == 0 ? 0 : rows.Average(r => r.Cells[i].Length);
        int Distinct(int i) => rows.Select(r => r.Cells[i].Trim()).Where(c => c.Length > 0).Distinct().Count();
        bool Named(int i, string[] names) => names.Contains(columns[i].Split(" / ")[0].Trim().ToLowerInvariant());
        var all = Enumerable.Range(0, columns.Count).ToList();
        if (all.Count == 0) return new([]);
        var text = all.Where(i => Named(i, TextNames)).OrderBy(i => Array.IndexOf(TextNames, columns[i].ToLowerInvariant())).Cast<int?>().FirstOrDefault() ?? all.MaxBy(Length);
        var others = all.Where(i => i != text).ToList();
        var label = others.Where(i => Named(i, LabelNames)).OrderBy(i => Array.IndexOf(LabelNames, columns[i].ToLowerInvariant())).Cast<int?>().FirstOrDefault()
            ?? others.Where(i => rows.Count > 0 && Distinct(i) > 1 && Distinct(i) <= Math.Max(2, rows.Count / 2) && Length(i) < 60).OrderBy(Distinct).Cast<int?>().FirstOrDefault();
        return new([.. all.Select(i => new ColumnUse(columns[i], i == text ? ColumnRole.Text : i == label ? ColumnRole.Label : ColumnRole.Attribute))]);
    }
}
