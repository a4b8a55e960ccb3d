using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// Any number of labels a row: the answer is a JSON array of their names in order. A cell is such an array, or names with a separator
/// between them; an empty cell is a row that nobody has labelled yet, [] one that has none of the labels.
public sealed class MultiLabelAnswers(char? separator = ',') : Answers
{
    public static readonly IReadOnlyList<(string Name, char? Sign, string Says)> Separators =
        [("comma", ',', "Comma"), ("semicolon", ';', "Semicolon"), ("bar", '|', "Vertical bar"), ("blank", ' ', "Blank"), ("none", null, "Nothing: a cell is one label")];

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// The stratum of rows without any label, which is none itself.
    public const string NoLabels = "none of the labels";

    public override string Role => "Labels";

    public override string One => "labels";

    public override string Stratum => "rarest label of a row";

    public override string Spread => "Labels are spread over the three parts by these shares, as well as whole rows allow: a row with several labels counts for its rarest one.";

    public override Answers With(ColumnMapping mapping) => new MultiLabelAnswers(Sign(mapping.Separator));

    /// Finds the separator in the label column.
    public override ColumnMapping Refine(ColumnMapping mapping, IReadOnlyList<RawRow> rows)
    {
        var at = mapping.Columns.ToList().FindIndex(c => c.Role == ColumnRole.Label);
        if (at < 0) return mapping;
        var cells = rows.Where(r => r.Fault is null && at < r.Cells.Count).Select(r => r.Cells[at].Trim()).Where(c => c.Length > 0 && c[0] != '[').ToList();
        var best = Separators.Take(3).MaxBy(s => cells.Count(c => c.Contains(s.Sign!.Value)))!;
        return mapping with { Separator = best.Name };
    }

    private static char? Sign(string? name) => name is null ? ',' : Separators.FirstOrDefault(s => s.Name == name).Sign;

    public override (string? Answer, string? Fault) Read(string cell, string column, string text)
    {
        cell = cell.Trim();
        if (cell.Length == 0) return (null, null);
        IEnumerable<string> names;
        if (cell[0] == '[')
        {
            try
            {
                using var json = JsonDocument.Parse(cell);
                if (json.RootElement.EnumerateArray().FirstOrDefault(e => e.ValueKind is not (JsonValueKind.String or JsonValueKind.Number)) is { ValueKind: not JsonValueKind.Undefined } other)
                    return (null, $"The list of labels holds {DataLimits.Clip(other.GetRawText(), 60)}; each label must be a text or a number, such as [\"joy\", \"anger\"].");
                names = [.. json.RootElement.EnumerateArray().Select(e => e.ToString())];
            }
            catch (InvalidOperationException) { return (null, DataLimits.HalfCharacter("The list of labels")); }
            catch (JsonException) { return (null, "The cell begins with [ but is not a JSON list; write the labels as [\"joy\", \"anger\"], or with a separator between them."); }
        }
        else names = separator is { } sign ? cell.Split(sign) : [cell];
        string[] labels = [.. names.Select(n => n.Trim()).Where(n => n.Length > 0).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        foreach (var label in labels)
            if (SingleLabelAnswers.All.Read(label, column, text).Fault is { } fault) return (null, fault);
        return (JsonSerializer.Serialize(labels, Readable), null);
    }

    public override IEnumerable<string> Names(string answer) => JsonSerializer.Deserialize<string[]>(answer)!;

    public override (string Text, bool IsWhole) Holding(string name) => (JsonSerializer.Serialize(name, Readable), false);

    public override string Show(string answer) => Names(answer).ToList() is { Count: > 0 } names ? string.Join(", ", names) : NoLabels;

    /// The rarest label of each row, so that every label is divided by the shares as well as one stratum a row allows.
    public override IReadOnlyList<string> Strata(IReadOnlyList<string> answers)
    {
        var sets = answers.Select(a => Names(a).ToList()).ToList();
        var counts = sets.SelectMany(s => s).CountBy(n => n).ToDictionary(StringComparer.Ordinal);
        return [.. sets.Select(s => s.Count == 0 ? NoLabels : s.MinBy(n => (counts[n], n))!)];
    }

    public override TrainingExample Example(long rowId, string text, string answer, IReadOnlyDictionary<string, int> labels) => new MultiLabeledText(rowId, text, [.. Names(answer).Select(n => labels[n])]);
}
