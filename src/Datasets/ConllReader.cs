using System.Globalization;
using System.Text;

namespace FineTuneStudio.Datasets;

/// Reads sentences of tagged words, one word a line and a blank line between sentences, in bounded memory: each sentence is a row of
/// a text, its words joined by single blanks, and its spans as JSON.
internal sealed class ConllReader(TextReader input, FileFormat format, int maxSentence = DataLimits.CellCharacters)
{
    public const string TextColumn = "text", SpanColumn = "spans";
    private const int MostLine = 1 << 16;

    public IEnumerable<RawRow> Rows()
    {
        long line = 0, first = 0;
        BioTags? sentence = null;
        RawRow? fault = null;
        RawRow End()
        {
            var row = fault ?? new(first, [sentence!.Text, NamedSpan.ToJson(sentence.Spans)]);
            (sentence, fault) = (null, null);
            return row;
        }
        while (ReadLine() is { } text)
        {
            line++;
            if (string.IsNullOrWhiteSpace(text))
            {
                if (sentence is not null) yield return End();
                continue;
            }
            var cells = Split(text, format.Delimiter);
            if (IsNoWord(text, cells, format)) continue;
            if (sentence is null) (sentence, first) = (new(), line);
            if (fault is not null) continue;
            RawRow Refuse(int column, string reason) => new(line, [], reason, column, DataLimits.Clip(text));
            var needed = Math.Max(format.TokenColumn, format.TagColumn);
            if (text.Length > MostLine) fault = Refuse(0, string.Create(CultureInfo.InvariantCulture, $"The line is longer than {MostLine:N0} characters; each line holds one word and its tag. The sentence does not come in."));
            else if (cells.Length < needed) fault = Refuse(0, $"The line has {cells.Length} column{(cells.Length == 1 ? "" : "s")}; the {(format.TagColumn >= format.TokenColumn ? "tag" : "word")} is expected in column {needed}. The sentence around it does not come in.");
            else if (cells[format.TokenColumn - 1].Trim() is not { Length: > 0 } word) fault = Refuse(format.TokenColumn, "The word is empty. The sentence around it does not come in.");
            else if (sentence.Add(word, cells[format.TagColumn - 1].Trim()) is { } reason) fault = Refuse(format.TagColumn, reason + " The sentence around it does not come in.");
            else if (sentence.Length > maxSentence) fault = new(first, [], string.Create(CultureInfo.InvariantCulture, $"The sentence that begins here is longer than {maxSentence:N0} characters; a blank line stands between sentences."));
        }
        if (sentence is not null) yield return End();
    }

    internal static string[] Split(string line, char delimiter) => delimiter == '\t' ? line.Split('\t') : line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    /// Lines between the words: document marks, comments, and in CoNLL-U the multiword tokens (3-4) and empty nodes (5.1), whose words stand below or not in the text.
    internal static bool IsNoWord(string line, string[] cells, FileFormat format)
    {
        if (line.StartsWith("-DOCSTART-", StringComparison.Ordinal)) return true;
        if (IsComment(line, cells, Math.Max(format.TokenColumn, format.TagColumn))) return true;
        if (format.TokenColumn == 1 || cells[0].Length == 0 || !char.IsAsciiDigit(cells[0][0])) return false;
        var inner = cells[0].AsSpan().IndexOfAny('-', '.');
        return inner > 0 && cells[0].All(c => char.IsAsciiDigit(c) || c is '-' or '.');
    }

    /// Begins with # and a blank, or has fewer columns than are needed. The sign # is also a word: it has a tag beside it.
    private static bool IsComment(string line, string[] cells, int needed) => line[0] == '#' && (cells.Length < needed || line.StartsWith("# ", StringComparison.Ordinal) && !cells.Any(IsTag));

    /// Of a line that is too long the rest is thrown away.
    private string? ReadLine()
    {
        var line = new StringBuilder();
        int c;
        var any = false;
        while ((c = input.Read()) >= 0)
        {
            any = true;
            if (c == '\n') break;
            if (c == '\r') { if (input.Peek() == '\n') input.Read(); break; }
            if (line.Length <= MostLine) line.Append((char)c);
        }
        return any ? line.ToString() : null;
    }

    /// Tab or blank, and which columns hold words and tags; null where the text is no such file. The last line may be cut off.
    public static (char Delimiter, int Token, int Tag)? Detect(string head)
    {
        var lines = head.Split('\n').Select(l => l.TrimEnd('\r')).ToList();
        var said = lines.Where(l => !string.IsNullOrWhiteSpace(l) && !l.StartsWith("-DOCSTART-", StringComparison.Ordinal)).Take(2000).ToList();
        if (said.Count < 3) return null;
        foreach (var delimiter in (char[])['\t', ' '])
        {
            var words = said.Select(l => (Line: l, Cells: Split(l, delimiter))).Where(l => !IsComment(l.Line, l.Cells, 2)).Select(l => l.Cells).ToList();
            if (words.Count < 3) continue;
            var usual = words.CountBy(w => w.Length).MaxBy(g => g.Value).Key;
            if (usual < 2 || words.Count(w => w.Length == usual) < 0.9 * words.Count) continue;
            var whole = words.Where(w => w.Length == usual).ToList();
            double Share(int column, Func<string, bool> holds) => (double)whole.Count(w => holds(w[column].Trim())) / whole.Count;
            var token = Share(0, c => c.Length > 0 && c.All(d => char.IsAsciiDigit(d) || d is '-' or '.')) > 0.95 ? 2 : 1;
            if (token > usual) continue;
            // The last column of tags in the BIO manner; in CoNLL-U the universal part of speech.
            for (var tag = usual; tag > token; tag--)
                if (Share(tag - 1, IsTag) > 0.9 && whole.Any(w => w[tag - 1].Trim().Length > 1)) return (delimiter, token, tag);
            if (usual == 10 && token == 2 && delimiter == '\t') return (delimiter, 2, 4);
        }
        return null;
    }

    private static bool IsTag(string cell) => cell == "O" || cell.Length > 2 && cell[1] == '-' && "BIELSUM".Contains(cell[0], StringComparison.Ordinal) && !cell.Contains(' ');
}
