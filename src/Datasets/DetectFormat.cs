namespace FineTuneStudio.Datasets;

/// Guesses how a table is written: JSON lines or delimited, which delimiter and quote, with or without a header; and which column is what.
internal static class DetectFormat
{
    private const int SampleRows = 200;
    private static readonly string[] TextNames = ["text", "sentence", "message", "utterance", "question", "content", "review", "body", "comment", "tweet", "description", "prompt", "input", "query"];
    private static readonly string[] LabelNames = ["label", "category", "class", "intent", "target", "sentiment", "tag", "topic", "labels", "type"];

    public static FileFormat Of(Stream file, string encoding, string fileName)
    {
        string head;
        using (var reader = ReadTable.Open(file, encoding))
        {
            var sample = new char[1 << 18];
            head = new string(sample, 0, reader.ReadBlock(sample));
        }
        if (string.IsNullOrWhiteSpace(head)) throw new DataFileException("The file holds nothing but white space.");
        var extension = Path.GetExtension(fileName).ToLowerInvariant();
        if (extension is ".jsonl" or ".ndjson" || head.TrimStart()[0] == '{') return new(FileKind.JsonLines, encoding, HeaderRows: 0);
        if (head.TrimStart() is ['[', ..] start && start[1..].TrimStart() is ['{', ..])
            throw new DataFileException("This is one JSON array. Write one object a line instead (JSON lines), without the brackets around the whole.");
        // The last row of the sample may be cut off.
        var cut = head.Length == 1 << 18 ? head[..(head.LastIndexOf('\n') + 1)] : head;
        var best = (Score: double.MinValue, Delimiter: ',', Quote: (char?)'"', Rows: new List<RawRow>());
        foreach (var delimiter in extension is ".tsv" or ".tab" ? ['\t'] : (char[])[',', '\t', ';', '|'])
            foreach (var quote in (char?[])['"', '\'', null])
            {
                if (quote is { } q && !cut.Contains(q) && quote != '"') continue;
                var rows = new DelimitedReader(new StringReader(cut), delimiter, quote).Rows().Take(SampleRows).ToList();
                if (rows.Count == 0) continue;
                var usual = rows.Where(r => r.Fault is null).GroupBy(r => r.Cells.Count).OrderByDescending(g => g.Count()).FirstOrDefault();
                if (usual is null) continue;
                // A few broken quotes are faults of their rows; where most quotes are broken, quotes are text.
                var broken = rows.Count(r => r.Fault is not null);
                var judged = quote == '"' && (broken < 3 || broken < Quoted(cut, delimiter) / 2) ? rows.Count - broken : rows.Count;
                var agree = (double)usual.Count() / Math.Max(1, judged);
                // More than one column, the same number in every row; the double quote unless it breaks rows.
                var score = agree + (usual.Key > 1 ? 1 : 0) + (quote == '"' ? 0.002 : quote is null ? 0.001 : 0) + (delimiter == ',' ? 0.0001 : 0);
                if (quote == '\'' && !rows.Any(r => r.Cells.Count > 1)) score -= 0.1;
                if (score > best.Score + 1e-9) best = (score, delimiter, quote, rows);
            }
        return new(FileKind.Delimited, encoding, best.Delimiter, best.Quote, HasHeader(best.Rows) ? 1 : 0);
    }

    /// Rows of the sample with a cell that begins with a double quote.
    private static int Quoted(string text, char delimiter) =>
        text.Split('\n', SampleRows + 1).Take(SampleRows).Count(l => l.StartsWith('"') || l.Contains($"{delimiter}\""));

    /// A header: distinct short names, none a number, unlike what stands below them.
    private static bool HasHeader(List<RawRow> rows)
    {
        if (rows.Count == 0 || rows[0].Fault is not null) return false;
        var first = rows[0].Cells.Select(c => c.Trim()).ToList();
        if (first.Any(c => TextNames.Contains(c.ToLowerInvariant()) || LabelNames.Contains(c.ToLowerInvariant()))) return true;
        if (first.Any(c => c.Length > 64 || double.TryParse(c, System.Globalization.CultureInfo.InvariantCulture, out _))) return false;
        if (first.Count(c => c.Length == 0) > first.Count / 2 && first.Count < 3) return false;
        var body = rows.Skip(1).Where(r => r.Fault is null && r.Cells.Count == first.Count).ToList();
        if (body.Count == 0) return first.Count > 1 && first.Distinct().Count() == first.Count;
        // A name does not come back as a value of its column; where all columns are free text, names are the shorter ones.
        for (var i = 0; i < first.Count; i++)
        {
            var values = body.Select(r => r.Cells[i].Trim()).ToList();
            var distinct = values.Distinct().Count();
            if (values.Contains(first[i]) && distinct < values.Count / 2 && first[i].Length > 0) return false;
        }
        var longest = Enumerable.Range(0, first.Count).MaxBy(i => body.Average(r => r.Cells[i].Length));
        return first[longest].Length * 2 < body.Average(r => r.Cells[longest].Length) || first.All(c => c.Length > 0 && !c.Contains(' ')) && first.Distinct().Count() == first.Count;
    }

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
