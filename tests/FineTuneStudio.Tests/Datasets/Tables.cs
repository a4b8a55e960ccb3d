using System.Text;
using FineTuneStudio.Datasets;

namespace FineTuneStudio.Tests.Datasets;

/// Small files in memory, read as the product reads them.
internal static class Tables
{
    public static MemoryStream File(string text, Encoding? encoding = null) => new((encoding ?? new UTF8Encoding(false)).GetBytes(text));

    public static ExamineFile.Look See(Stream file, string name = "file.csv", FileFormat? format = null) => ExamineFile.See(NewImport(name), file, format);

    public static (List<ReadRow> Rows, List<Rejection> Rejected, ExamineFile.Look Look) Read(Stream file, string name = "file.csv", FileFormat? format = null, Func<ColumnMapping, ColumnMapping>? map = null)
    {
        var look = See(file, name, format);
        Assert.NotNull(look.Format);
        var mapping = map?.Invoke(look.Mapping) ?? look.Mapping;
        var (rows, rejected) = (new List<ReadRow>(), new List<Rejection>());
        foreach (var raw in ReadTable.Rows(file, look.Format, look.Columns))
        {
            var (row, rejection) = ReadTable.Take(raw, mapping.Columns);
            if (row is not null) rows.Add(row);
            else rejected.Add(rejection!);
        }
        return (rows, rejected, look);
    }

    public static (List<ReadRow> Rows, List<Rejection> Rejected, ExamineFile.Look Look) Read(string text, string name = "file.csv", FileFormat? format = null) => Read(File(text), name, format);

    /// A file of the shared data sets, or null (said aloud) where they are not there.
    public static string? Shared(string path)
    {
        var root = Environment.GetEnvironmentVariable("FTS_SHARED");
        for (var up = new DirectoryInfo(AppContext.BaseDirectory); root is null && up is not null; up = up.Parent)
            if (System.IO.File.Exists(Path.Combine(up.FullName, "FineTuneStudio.sln"))) root = Path.Combine(up.FullName, "..", "shared");
        var file = Path.Combine(root ?? "", path);
        if (System.IO.File.Exists(file)) return file;
        Assert.NotEqual("true", Environment.GetEnvironmentVariable("CI"));
        Console.WriteLine($"Skipped: {path} is not beside the repository in shared/.");
        return null;
    }

    private static Import NewImport(string name) => new() { ProjectId = "p", FileName = name, Size = 1, StoredAs = "x", CreatedById = "u", CreatedAt = DateTime.UnixEpoch };
}
