using System.Text;
using System.Text.Json;
using SharpCompress.Compressors.Xz;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// The documents of text files, one at a time, so that files of any size are read in little memory. In .txt a blank line ends a document;
/// in .jsonl each line is an object whose "text" is one. Either may be compressed, as .txt.xz and .jsonl.xz. Text is UTF-8.
/// </summary>
public static class TextDocuments
{
    /// <summary>Longest line, and the length in characters at which a document without blank lines is cut between two lines.</summary>
    internal const int LongestLine = 16_000_000, LongestDocument = 1_000_000;

    private static readonly string[] Kinds = [".txt", ".txt.xz", ".jsonl", ".jsonl.xz"];

    /// <summary>The files to read of a folder, by name, or the file itself.</summary>
    /// <exception cref="TrainingException">There is none.</exception>
    public static IReadOnlyList<string> Files(string path)
    {
        if (File.Exists(path))
        {
            RequireKind(path);
            return [path];
        }
        if (!Directory.Exists(path)) throw new TrainingException($"There is no file or folder {path}.");
        var files = Directory.GetFiles(path).Where(IsKnown).Order(StringComparer.Ordinal).ToList();
        return files.Count > 0 ? files : throw new TrainingException($"The folder {path} has no file that ends with {string.Join(", ", Kinds.SkipLast(1))} or {Kinds[^1]}.");
    }

    /// <summary>The documents of files in order; lines of one are divided by a line feed.</summary>
    /// <param name="cancel">Looked at again and again, also where a file has no documents: throws <see cref="OperationCanceledException"/>.</param>
    /// <param name="read">Told, piece after piece, how many characters were read, those between documents too; what it throws ends the reading.</param>
    /// <exception cref="TrainingException">A file is broken, no UTF-8, or has a line that is too long or no JSON object with a text; the sentence names the line.</exception>
    public static IEnumerable<string> Read(IEnumerable<string> files, CancellationToken cancel = default, Action<int>? read = null) =>
        files.SelectMany(file => KindOf(file).StartsWith(".jsonl") ? ReadJson(new(file, cancel, read)) : ReadText(new(file, cancel, read)));

    /// <summary>The ending of a file's name that says how it is read.</summary>
    /// <exception cref="TrainingException">It has none that is known.</exception>
    public static string RequireKind(string path) => IsKnown(path) ? KindOf(path)
        : throw new TrainingException($"{Path.GetFileName(path)} is of no kind that is read as text; expected {string.Join(", ", Kinds.SkipLast(1))} or {Kinds[^1]}.");

    private static bool IsKnown(string path) => Kinds.Any(k => path.EndsWith(k, StringComparison.OrdinalIgnoreCase));

    /// <summary>The ending that says how the file is read.</summary>
    internal static string KindOf(string path) => Kinds.Last(k => path.EndsWith(k, StringComparison.OrdinalIgnoreCase));

    private static IEnumerable<string> ReadText(LineReader text)
    {
        using var lines = text;
        var document = new StringBuilder();
        while (lines.Next() is { } line)
        {
            var blank = string.IsNullOrWhiteSpace(line);
            if (document.Length > 0 && (blank || document.Length + line.Length > LongestDocument))
            {
                yield return document.ToString();
                document.Clear();
            }
            if (blank) continue;
            if (document.Length > 0) document.Append('\n');
            document.Append(line);
        }
        if (document.Length > 0) yield return document.ToString();
    }

    private static IEnumerable<string> ReadJson(LineReader text)
    {
        using var lines = text;
        while (lines.Next() is { } line)
            if (!string.IsNullOrWhiteSpace(line) && Text(line, lines) is { } document && !string.IsNullOrWhiteSpace(document)) yield return document;
    }

    private static string Text(string line, LineReader at)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String ? text.GetString()!
                : throw new TrainingException($"{at} is no object with a \"text\" that is text, as each line of a JSONL file must be.");
        }
        // A string with half a surrogate pair is valid JSON and no text.
        catch (Exception broken) when (broken is JsonException or InvalidOperationException)
        {
            throw new TrainingException($"{at} is no valid JSON: each line of a JSONL file must be an object such as {{\"text\": \"...\"}}.");
        }
    }

    /// <summary>Lines of a file, plain or compressed. Its text is the place for a message: the file and the line last read.</summary>
    private sealed class LineReader : IDisposable
    {
        private readonly FileStream file;
        private readonly StreamReader reader;
        private readonly bool compressed;
        private readonly CancellationToken cancel;
        private readonly Action<int>? read;
        private readonly char[] buffer = new char[1 << 16];
        private int from, until;
        private long line;

        public LineReader(string path, CancellationToken cancel, Action<int>? read)
        {
            (compressed, this.cancel, this.read) = (KindOf(path).EndsWith(".xz"), cancel, read);
            file = File.OpenRead(path);
            // An encoding with a mark, so that one of UTF-8 is skipped; detection would take UTF-16 by its mark.
            reader = new(compressed ? new XZStream(file) : file, new UTF8Encoding(encoderShouldEmitUTF8Identifier: true, throwOnInvalidBytes: true), detectEncodingFromByteOrderMarks: false);
        }

        public override string ToString() => $"Line {line} of {Path.GetFileName(file.Name)}";

        /// <summary>The next line without its end (a line feed, with a carriage return or without); null at the end of the file.</summary>
        public string? Next()
        {
            line++;
            StringBuilder? start = null;
            while (true)
            {
                if (from == until && !Fill()) return start?.ToString();
                var found = Array.IndexOf(buffer, '\n', from, until - from);
                var end = found < 0 ? until : found;
                if ((start?.Length ?? 0) + end - from > LongestLine) throw new TrainingException($"{this} has more than {LongestLine} characters; break it into lines.");
                var part = buffer.AsSpan(from, end - from);
                from = found < 0 ? until : found + 1;
                if (found >= 0) return ((start is null ? "" : start.ToString()) + part.ToString()).TrimEnd('\r');
                (start ??= new()).Append(part);
            }
        }

        private bool Fill()
        {
            cancel.ThrowIfCancellationRequested();
            Take();
            read?.Invoke(until);
            return until > 0;
        }

        private void Take()
        {
            try
            {
                (from, until) = (0, reader.Read(buffer));
                if (until == 0 && compressed && file.Position < file.Length) throw new TrainingException($"{Path.GetFileName(file.Name)} is several xz streams in a row, of which only one is read; decompress it, and compress it as one.");
            }
            catch (DecoderFallbackException)
            {
                throw new TrainingException($"{Path.GetFileName(file.Name)} is not UTF-8 near line {line}; save it as UTF-8.");
            }
            // The decompressor meets a broken file with exceptions of many kinds.
            catch (Exception broken) when (compressed && broken is not TrainingException && (broken is not IOException || broken is EndOfStreamException))
            {
                throw new TrainingException($"{Path.GetFileName(file.Name)} is no complete xz file (near line {line}); copy or download it again.");
            }
        }

        public void Dispose() => reader.Dispose();
    }
}
