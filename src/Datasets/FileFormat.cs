using System.Text.Json;
using System.Text.Json.Serialization;

namespace FineTuneStudio.Datasets;

public enum FileKind { Delimited, JsonLines, TaggedWords, Squad }

/// How a file is read. Header rows: 0 means that the columns have no names; with more than one, the names of a column are joined.
/// Of tagged words, one a line, TokenColumn and TagColumn say where the word and its tag stand, from 1; a blank as the delimiter stands for any run of blanks.
public sealed record FileFormat(FileKind Kind, string Encoding, char Delimiter = ',', char? Quote = '"', int HeaderRows = 1)
{
    public int TokenColumn { get; init; } = 1;
    public int TagColumn { get; init; } = 2;

    public string ToJson() => JsonSerializer.Serialize(this, Json);
    public static FileFormat FromJson(string json) => JsonSerializer.Deserialize<FileFormat>(json, Json)!;
    internal static readonly JsonSerializerOptions Json = new() { Converters = { new JsonStringEnumConverter() } };
}

/// Context goes with the text, and Start says where in it the answer begins, for tasks that have them.
public enum ColumnRole { Ignored, Text, Label, Attribute, Context, Pair, Start }

public sealed record ColumnUse(string Name, ColumnRole Role);

/// What the offsets of spans count: Unicode code points, as Python does, or UTF-16 units, as JavaScript does and the spans kept here.
public enum SpanOffsets { CodePoints, Utf16 }

/// What each column of a file is, in the file's order; Pair is a second text. Separator stands between several labels in a cell;
/// Offsets says what those of spans count, null where the file shall tell.
public sealed record ColumnMapping(IReadOnlyList<ColumnUse> Columns, string? Separator = null, SpanOffsets? Offsets = null)
{
    internal int PlaceOf(ColumnRole role)
    {
        for (var i = 0; i < Columns.Count; i++) if (Columns[i].Role == role) return i;
        return -1;
    }

    public string ToJson() => JsonSerializer.Serialize(this, FileFormat.Json);
    public static ColumnMapping FromJson(string json) => JsonSerializer.Deserialize<ColumnMapping>(json, FileFormat.Json)!;

    /// The named columns as text and label, all others kept as attributes.
    public static ColumnMapping ByName(IReadOnlyList<string> columns, string text, string? label)
    {
        foreach (var wanted in new[] { text, label })
            if (wanted is not null && !columns.Contains(wanted)) throw new DataFileException(Missing(wanted, columns));
        return new([.. columns.Select(c => new ColumnUse(c, c == text ? ColumnRole.Text : c == label ? ColumnRole.Label : ColumnRole.Attribute))]);
    }

    /// What stands against importing with this mapping, one sentence each.
    public IReadOnlyList<string> Faults(IReadOnlyList<string> columns)
    {
        var faults = new List<string>();
        foreach (var used in Columns.Where(c => c.Role != ColumnRole.Ignored && !columns.Contains(c.Name))) faults.Add(Missing(used.Name, columns));
        if (faults.Count == 0 && !Columns.Select(c => c.Name).SequenceEqual(columns)) faults.Add("The columns of the file are no longer the ones that were mapped; map them again.");
        var texts = Columns.Where(c => c.Role == ColumnRole.Text).ToList();
        if (texts.Count == 0) faults.Add("No column is marked as the text; choose the column that the model shall read.");
        if (texts.Count > 1) faults.Add($"{texts.Count} columns are marked as the text ({string.Join(", ", texts.Select(c => $"“{c.Name}”"))}); leave one.");
        if (Columns.Count(c => c.Role == ColumnRole.Pair) is > 1 and var pairs) faults.Add($"{pairs} columns are marked as the second text; leave one.");
        var labels = Columns.Where(c => c.Role == ColumnRole.Label).ToList();
        if (labels.Count > 1) faults.Add($"{labels.Count} columns are marked as the label ({string.Join(", ", labels.Select(c => $"“{c.Name}”"))}); a row has one label, leave one.");
        var contexts = Columns.Where(c => c.Role == ColumnRole.Context).ToList();
        if (contexts.Count > 1) faults.Add($"{contexts.Count} columns are to be added to the text ({string.Join(", ", contexts.Select(c => $"“{c.Name}”"))}); leave one.");
        if (Columns.Count(c => c.Role == ColumnRole.Start) is > 1 and var starts) faults.Add($"{starts} columns are marked as the answer's start; leave one.");
        return faults;
    }

    private static string Missing(string column, IReadOnlyList<string> columns) =>
        $"The file has no column “{column}”; its columns are {string.Join(", ", columns.Take(20).Select(c => $"“{c}”"))}{(columns.Count > 20 ? " and more" : "")}.";
}

/// Why a file cannot be imported: one or two plain sentences.
public sealed class DataFileException(string message) : Exception(message);
