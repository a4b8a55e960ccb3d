using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// A row that can be imported. Attributes is a JSON object of strings, or null.
public sealed record ReadRow(long Line, string Text, string? Label, string? Attributes)
{
    /// See SettledRow.
    public bool FirstOfSeveral { get; init; }
}

public sealed record Rejection(long Line, int Column, string Found, string Reason);

/// From the bytes of a file to rows, one at a time, in bounded memory.
internal static class ReadTable
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    static ReadTable() => Encoding.RegisterProvider(CodePagesEncodingProvider.Instance);

    public static Encoding EncodingOf(string name) =>
        Encoding.GetEncoding(name, EncoderFallback.ReplacementFallback, new DecoderReplacementFallback(DataLimits.Undecodable.ToString()));

    public static StreamReader Open(Stream file, string encoding)
    {
        file.Position = 0;
        var reader = new StreamReader(file, EncodingOf(encoding), detectEncodingFromByteOrderMarks: false, 1 << 16, leaveOpen: true);
        if (reader.Peek() == '\uFEFF') reader.Read();
        return reader;
    }

    /// The names of the columns and a sentence for each thing that had to be mended about them.
    public static (IReadOnlyList<string> Names, IReadOnlyList<string> Notices) Columns(Stream file, FileFormat format)
    {
        if (format.Kind == FileKind.TaggedWords) return ([ConllReader.TextColumn, ConllReader.SpanColumn], []);
        if (format.Kind == FileKind.Squad) return (SquadReader.Columns(file, format.Encoding), []);
        using var reader = Open(file, format.Encoding);
        if (format.Kind == FileKind.JsonLines)
        {
            var keys = new List<string>();
            var known = new HashSet<string>(StringComparer.Ordinal);
            foreach (var row in Lines(reader).Take(200))
                if (Object(row, out _) is { } cells)
                    foreach (var key in cells.Keys)
                        if (known.Add(key))
                        {
                            if (keys.Count == DataLimits.Columns) throw new DataFileException(string.Create(CultureInfo.InvariantCulture, $"The objects up to line {row.Line} have more than {DataLimits.Columns:N0} different names; each name is a column, and at most {DataLimits.Columns:N0} are taken. Keep the text, the label and what describes them."));
                            keys.Add(key);
                        }
            return (keys, []);
        }
        var rows = new DelimitedReader(reader, format.Delimiter, format.Quote).Rows().Take(Math.Max(1, format.HeaderRows)).ToList();
        if (rows.Count == 0) throw new DataFileException("The file is empty: it has no row at all.");
        if (rows[0].Fault is { } fault && format.HeaderRows > 0) throw new DataFileException($"The header in line {rows[0].Line} cannot be read. {fault}");
        if (rows[0].Cells.Count > DataLimits.Columns) throw new DataFileException(string.Create(CultureInfo.InvariantCulture, $"Line {rows[0].Line} has {rows[0].Cells.Count:N0} columns; at most {DataLimits.Columns:N0} are taken. Choose another delimiter, or remove the columns that say nothing."));
        var notices = new List<string>();
        var names = new List<string>();
        var taken = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < rows[0].Cells.Count; i++)
        {
            var name = format.HeaderRows == 0 ? "" : string.Join(" / ", rows.Where(r => i < r.Cells.Count && r.Cells[i].Trim().Length > 0).Select(r => DataLimits.Clip(r.Cells[i].Trim(), 100)).Distinct());
            if (name.Length == 0)
            {
                name = $"column {i + 1}";
                if (format.HeaderRows > 0) notices.Add($"Column {i + 1} has no name in the header; it is called “{name}” here.");
            }
            if (taken.Contains(name))
            {
                var n = 2;
                while (taken.Contains($"{name} ({n})")) n++;
                notices.Add($"The name “{name}” stands twice in the header; column {i + 1} is called “{name} ({n})” here.");
                name = $"{name} ({n})";
            }
            taken.Add(name);
            names.Add(name);
        }
        return (names, notices);
    }

    /// The rows below the header, cells in the order of the columns; a row that does not fit carries its fault.
    public static IEnumerable<RawRow> Rows(Stream file, FileFormat format, IReadOnlyList<string> columns)
    {
        if (format.Kind == FileKind.Squad)
        {
            foreach (var row in new SquadReader(file, format.Encoding).Rows(columns)) yield return row;
            yield break;
        }
        using var reader = Open(file, format.Encoding);
        if (format.Kind == FileKind.JsonLines)
        {
            foreach (var row in Lines(reader)) yield return FromJson(row, columns);
            yield break;
        }
        if (format.Kind == FileKind.TaggedWords)
        {
            foreach (var row in new ConllReader(reader, format).Rows()) yield return row;
            yield break;
        }
        foreach (var row in new DelimitedReader(reader, format.Delimiter, format.Quote).Rows().Skip(format.HeaderRows))
        {
            if (row.Fault is not null) { yield return row; continue; }
            var cells = row.Cells;
            // Spreadsheets append empty cells to every row; they say nothing.
            var used = cells.Count;
            while (used > columns.Count && cells[used - 1].Length == 0) used--;
            yield return used == columns.Count ? used == cells.Count ? row : row with { Cells = [.. cells.Take(used)] }
                : row with { Fault = $"The row has {Count(used, "cell")}; the file has {Count(columns.Count, "column")}. A quote or a delimiter may be missing.", Found = DataLimits.Clip(string.Join(format.Delimiter, cells)) };
        }
    }

    /// The rows in groups of at most so many; a group ends earlier when its rows are long.
    public static IEnumerable<List<RawRow>> Batches(IEnumerable<RawRow> rows, int most)
    {
        var (held, batch) = (0L, new List<RawRow>());
        foreach (var row in rows)
        {
            batch.Add(row);
            held += row.Cells.Sum(c => (long)c.Length) + row.Found.Length;
            if (batch.Count < most && held < DataLimits.HeldCharacters) continue;
            yield return batch;
            (held, batch) = (0, []);
        }
        if (batch.Count > 0) yield return batch;
    }

    /// The first rows with their cells cut short: to look at and to guess from, not to import.
    public static List<RawRow> Sample(Stream file, FileFormat format, IReadOnlyList<string> columns, int most, Answers answers) =>
        Batches(Rows(file, format, columns).Take(most).Select(r => r with { Cells = [.. r.Cells.Select(answers.Shorten)] }), most).FirstOrDefault() ?? [];

    /// What the mapping makes of one row: a row to import, or why not. Of a row that is only asked about, the whole text is the question.
    public static (ReadRow? Row, Rejection? Rejection) Take(RawRow raw, IReadOnlyList<ColumnUse> columns, Answers answers, bool isAsked = false)
    {
        if (raw.Fault is not null) return (null, new(raw.Line, raw.Column, raw.Found, raw.Fault));
        string? text = null, label = null, context = null, pair = null, start = null;
        var (at, textAt) = (-1, 0);
        Dictionary<string, string>? attributes = null;
        for (var i = 0; i < columns.Count; i++)
        {
            if (columns[i].Role == ColumnRole.Ignored) continue;
            var cell = raw.Cells[i];
            Rejection? Refuse(string reason) => new(raw.Line, i + 1, DataLimits.Clip(cell), reason);
            if (cell.Contains(DataLimits.Undecodable)) return (null, Refuse($"“{columns[i].Name}” holds bytes that the chosen encoding does not know; choose the encoding in which the file was saved."));
            if (cell.Contains('\0')) return (null, Refuse($"“{columns[i].Name}” holds a NUL character; text has none."));
            if (cell.Length > DataLimits.CellCharacters) return (null, Refuse(string.Create(CultureInfo.InvariantCulture, $"The cell has {cell.Length:N0} characters; at most {DataLimits.CellCharacters:N0} are taken.")));
            switch (columns[i].Role)
            {
                case ColumnRole.Text when string.IsNullOrWhiteSpace(cell): return (null, Refuse($"The {answers.TextRole.ToLowerInvariant()} in “{columns[i].Name}” is empty."));
                case ColumnRole.Text:
                    (text, var unreadable) = answers.Text(cell);
                    if (unreadable is not null) return (null, Refuse(unreadable));
                    textAt = i;
                    break;
                case ColumnRole.Context: context = cell; break;
                case ColumnRole.Start: start = cell; break;
                case ColumnRole.Pair when string.IsNullOrWhiteSpace(cell): return (null, Refuse($"The second text in “{columns[i].Name}” is empty."));
                case ColumnRole.Pair: pair = cell; break;
                case ColumnRole.Label: at = i; break;
                case ColumnRole.Attribute when cell.Length > 0: (attributes ??= [])[columns[i].Name] = cell; break;
            }
        }
        if (pair is not null)
        {
            if (text!.Contains(TextPair.Sign, StringComparison.Ordinal)) return (null, new(raw.Line, 0, DataLimits.Clip(text), $"The text holds “{TextPair.Sign.Trim()}”, which stands between the two texts of a row here; take it out."));
            text = TextPair.Join(text, pair);
        }
        if (at >= 0)
        {
            (label, var fault) = answers.Read(raw.Cells[at], columns[at].Name, text!);
            if (fault is not null) return (null, new(raw.Line, at + 1, DataLimits.Clip(raw.Cells[at]), fault));
        }
        var row = answers.Settle(new(text!, context, start, label, at >= 0 || isAsked));
        if (row.Fault is not null)
        {
            var blamed = Enumerable.Range(0, columns.Count).Where(i => columns[i].Role == row.At).DefaultIfEmpty(textAt).First();
            return (null, new(raw.Line, blamed + 1, DataLimits.Clip(raw.Cells[blamed]), row.Fault));
        }
        return (new(raw.Line, row.Text, row.Answer, attributes is null ? null : JsonSerializer.Serialize(attributes, Plain)) { FirstOfSeveral = row.FirstOfSeveral }, null);
    }

    private static IEnumerable<RawRow> Lines(TextReader reader) =>
        new DelimitedReader(reader, '\uFFFE', null, maxCell: DataLimits.RowCharacters).Rows().Where(r => r.Fault is not null || !string.IsNullOrWhiteSpace(r.Cells[0]));

    private static RawRow FromJson(RawRow row, IReadOnlyList<string> columns) =>
        row.Fault is not null ? row
        : Object(row, out var fault) is { } cells ? new(row.Line, [.. columns.Select(c => cells.GetValueOrDefault(c, ""))])
        : new(row.Line, [], fault, 0, DataLimits.Clip(row.Cells[0]));

    private static Dictionary<string, string>? Object(RawRow row, out string? fault)
    {
        fault = row.Fault;
        if (fault is not null) return null;
        try
        {
            using var json = JsonDocument.Parse(row.Cells[0]);
            if (json.RootElement.ValueKind != JsonValueKind.Object) { fault = "The line is JSON but not an object; each line must be one object like {\"text\": \"…\", \"label\": \"…\"}."; return null; }
            var cells = new Dictionary<string, string>();
            foreach (var property in json.RootElement.EnumerateObject())
                cells[property.Name] = property.Value.ValueKind switch
                {
                    JsonValueKind.String => property.Value.GetString()!,
                    JsonValueKind.Null => "",
                    _ => property.Value.GetRawText(),
                };
            return cells;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            fault = $"The line is not valid JSON{(e is JsonException { BytePositionInLine: { } p } ? $" (at byte {p + 1})" : "")}; each line must be one object like {{\"text\": \"…\", \"label\": \"…\"}}.";
            return null;
        }
    }

    private static string Count(int n, string noun) => $"{n} {noun}{(n == 1 ? "" : "s")}";
}
