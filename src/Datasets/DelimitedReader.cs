using System.Globalization;
using System.Text;

namespace FineTuneStudio.Datasets;

/// Reads delimited text one row at a time in bounded memory. A row with a broken quote costs that row only: reading goes on at the
/// next line of the file, where a reader that trusts the quote would swallow everything up to the next one (why not a library).
internal sealed class DelimitedReader(TextReader input, char delimiter, char? quote, int maxCell = DataLimits.CellCharacters, int maxRow = DataLimits.RowCharacters)
{
    private const int End = -1, Beyond = -2;
    private char[] buffer = new char[1 << 16];
    private int start, end;
    private bool ended;
    private long line = 1;
    private readonly StringBuilder quoted = new();

    /// All rows but the blank lines.
    public IEnumerable<RawRow> Rows()
    {
        while (Next() is { } row)
            if (row.Fault is not null || row.Cells.Count > 1 || row.Cells[0].Length > 0) yield return row;
    }

    private RawRow? Next()
    {
        if (At(0) == End) return null;
        var (at, position, lines, nextLine) = (line, 0, 0, -1);
        var cells = new List<string>();
        (string Fault, int Column, string Found)? tooLong = null;
        while (true)
        {
            string cell;
            if (quote is { } q && At(position) == q)
            {
                quoted.Clear();
                var length = 0;
                for (position++; ; position++)
                {
                    var c = At(position);
                    if (c == End) return Broken(at, cells.Count + 1, nextLine, "A quote is opened here and never closed; close it, or double the quotes inside the cell.");
                    if (c == Beyond) return Broken(at, cells.Count + 1, nextLine, string.Create(CultureInfo.InvariantCulture, $"A quote is opened here and not closed within {maxRow:N0} characters; close it, or double the quotes inside the cell."));
                    if (c == q)
                    {
                        if (At(position + 1) != q) { position++; break; }
                        position++;
                    }
                    else if (c == '\n' || c == '\r' && At(position + 1) != '\n')
                    {
                        lines++;
                        if (nextLine < 0) nextLine = position + 1;
                    }
                    if (++length <= maxCell) quoted.Append((char)c);
                }
                if (At(position) is var after && after >= 0 && after != delimiter && after is not ('\r' or '\n'))
                    return Broken(at, cells.Count + 1, nextLine, "A quoted cell goes on after its closing quote; double the quotes inside the cell.");
                cell = quoted.ToString();
                if (length > maxCell) tooLong ??= TooLong(cells.Count + 1, length, cell);
            }
            else
            {
                var from = position;
                while (At(position) is var c && c >= 0 && c != delimiter && c is not ('\r' or '\n')) position++;
                if (At(position) == Beyond)
                {
                    var found = DataLimits.Clip(new string(buffer, start, 2 * DataLimits.FoundCharacters));
                    SkipLine(position);
                    return new(at, cells, string.Create(CultureInfo.InvariantCulture, $"The row is longer than {maxRow:N0} characters; split it, or check the delimiter."), 0, found);
                }
                if (position - from > maxCell) tooLong ??= TooLong(cells.Count + 1, position - from, new string(buffer, start + from, 2 * DataLimits.FoundCharacters));
                cell = new string(buffer, start + from, Math.Min(position - from, maxCell));
            }
            cells.Add(cell);
            if (At(position) == delimiter) { position++; continue; }
            if (At(position) == '\r') position++;
            // Of "\r\n" the "\n" is left; a lone "\r" ends a row too.
            if (At(position) == '\n') position++;
            start += position;
            line += lines + 1;
            return tooLong is { } t ? new(at, cells, t.Fault, t.Column, t.Found) : new(at, cells);
        }
    }

    private (string, int, string) TooLong(int column, int length, string cell) =>
        (string.Create(CultureInfo.InvariantCulture, $"The cell has {length:N0} characters; at most {maxCell:N0} are taken."), column, DataLimits.Clip(cell));

    /// Gives up on the row that began at line `at`: reading goes on with the line after it.
    private RawRow Broken(long at, int column, int nextLine, string fault)
    {
        var length = 0;
        while (length < 2 * DataLimits.FoundCharacters && At(length) is >= 0 and not ('\r' or '\n')) length++;
        var found = DataLimits.Clip(new string(buffer, start, length));
        if (nextLine >= 0) { start += nextLine; line = at + 1; }
        else SkipLine(0);
        return new(at, [], fault, column, found);
    }

    private void SkipLine(int position)
    {
        while (true)
        {
            switch (At(position))
            {
                case End: start = end; line++; return;
                case Beyond: start += position; position = 0; continue;
                case '\n': start += position + 1; line++; return;
                case '\r' when At(position + 1) != '\n': start += position + 1; line++; return;
            }
            position++;
        }
    }

    /// The character so far from the row's start, without moving on.
    private int At(int offset)
    {
        while (start + offset >= end)
        {
            if (ended) return End;
            if (offset >= maxRow) return Beyond;
            Fill();
        }
        return buffer[start + offset];
    }

    private void Fill()
    {
        if (end == buffer.Length)
        {
            if (start == 0) Array.Resize(ref buffer, buffer.Length * 2);
            else
            {
                Array.Copy(buffer, start, buffer, 0, end - start);
                (start, end) = (0, end - start);
            }
        }
        var read = input.Read(buffer, end, buffer.Length - end);
        if (read == 0) ended = true;
        end += read;
    }
}
