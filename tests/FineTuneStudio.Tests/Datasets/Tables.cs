using FineTuneStudio.Engine.Training;
using System.Text;
using FineTuneStudio.Datasets;

namespace FineTuneStudio.Tests.Datasets;

/// Small files in memory, read as the product reads them.
internal static class Tables
{
    public static MemoryStream File(string text, Encoding? encoding = null) => new((encoding ?? new UTF8Encoding(false)).GetBytes(text));

    public static ExamineFile.Look See(Stream file, string name = "file.csv", FileFormat? format = null, TextTask task = TextTask.SingleLabel) => ExamineFile.See(NewImport(name), file, task, format);

    public static (List<ReadRow> Rows, List<Rejection> Rejected, ExamineFile.Look Look) Read(Stream file, string name = "file.csv", FileFormat? format = null, Func<ColumnMapping, ColumnMapping>? map = null)
    {
        var look = See(file, name, format);
        Assert.NotNull(look.Format);
        var mapping = map?.Invoke(look.Mapping) ?? look.Mapping;
        var (rows, rejected) = (new List<ReadRow>(), new List<Rejection>());
        foreach (var raw in ReadTable.Rows(file, look.Format, look.Columns))
        {
            var (row, rejection) = ReadTable.Take(raw, mapping.Columns, SingleLabelAnswers.All);
            if (row is not null) rows.Add(row);
            else rejected.Add(rejection!);
        }
        return (rows, rejected, look);
    }

    public static (List<ReadRow> Rows, List<Rejection> Rejected, ExamineFile.Look Look) Read(string text, string name = "file.csv", FileFormat? format = null) => Read(File(text), name, format);

    private static Import NewImport(string name) => new() { ProjectId = "p", FileName = name, Size = 1, StoredAs = "x", CreatedById = "u", CreatedAt = DateTime.UnixEpoch };
}
