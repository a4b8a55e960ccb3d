using System.Text;
using CsvHelper;

namespace FineTuneStudio.Engine.Headless;

/// <summary>A CSV (or, by its ending, TSV) file with a header row, read strictly as UTF-8 one row at a time.</summary>
internal sealed class CsvRows : IDisposable
{
    private readonly CsvReader reader;
    private readonly string path;

    public CsvRows(string path)
    {
        if (!File.Exists(path)) throw new CommandException($"There is no file {path}.");
        this.path = path;
        reader = CsvReader.Create(new StreamReader(path, new UTF8Encoding(false, throwOnInvalidBytes: true)), CsvReaderOptions.Default with
        {
            Separator = path.EndsWith(".tsv", StringComparison.OrdinalIgnoreCase) ? '\t' : ',',
            MalformedData = CsvMalformedDataHandling.Throw,
            TrackLineNumbers = true,
        }, leaveOpen: false);
        Header = Guarded(() => { reader.ReadHeader(); return reader.Headers.ToArray(); });
        if (Header.Length == 0) throw new CommandException($"{path} is empty; expected a header row and rows below it.");
    }

    public string[] Header { get; }

    /// <summary>Line of the file on which the current row begins, from 1.</summary>
    public long Line => reader.LineNumber;

    public string this[int column] => reader.GetString(column);

    /// <summary>The column called so, whatever its letter case.</summary>
    public int Column(string name)
    {
        var column = Array.FindIndex(Header, h => string.Equals(h.Trim(), name, StringComparison.OrdinalIgnoreCase));
        return column >= 0 ? column : throw new CommandException($"{path} has no column \"{name}\"; its columns are {string.Join(", ", Header.Select(h => $"\"{h}\""))}.");
    }

    public bool Next() => Guarded(reader.Read);

    private T Guarded<T>(Func<T> read)
    {
        try { return read(); }
        catch (DecoderFallbackException) { throw new CommandException($"{path} is not UTF-8; save it as UTF-8 and try again."); }
        catch (CsvFormatException broken) { throw new CommandException($"{path}, line {broken.LineNumber}: a quote stands where none may stand or is never closed; quote the whole cell and double the quotes in it."); }
    }

    public void Dispose() => reader.Dispose();
}
