namespace FineTuneStudio.Engine.Headless;

/// <summary>Texts with an answer in two columns of a file; rows that lack one of them are left out.</summary>
internal static class TextRows
{
    public static List<(long Line, string Text, string Label)> Read(string path, string text, string label)
    {
        using var csv = new CsvRows(path);
        var (textColumn, labelColumn) = (csv.Column(text), csv.Column(label));
        var rows = new List<(long, string, string)>();
        while (csv.Next())
            if (csv[labelColumn].Trim() is { Length: > 0 } name && csv[textColumn] is { Length: > 0 } content) rows.Add((csv.Line, content, name));
        return rows.Count > 0 ? rows : throw new CommandException($"{path} has no row with both a {text} and a {label}.");
    }
}
