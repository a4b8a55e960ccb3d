using System.Text;

namespace FineTuneStudio.Datasets;

/// Tells in which encoding a file was saved, or why that cannot be told.
internal static class DetectEncoding
{
    public sealed record Answer(string? Encoding, string? Notice = null, string? Problem = null);

    public static readonly IReadOnlyList<(string Name, string Says)> Choices =
    [
        ("utf-8", "UTF-8"), ("utf-16", "UTF-16 little-endian"), ("utf-16BE", "UTF-16 big-endian"), ("windows-1252", "Windows-1252 (Western European)"),
        ("iso-8859-15", "ISO-8859-15 (Latin-9)"), ("windows-1250", "Windows-1250 (Central European)"), ("windows-1251", "Windows-1251 (Cyrillic)"),
        ("macintosh", "Mac Roman"), ("shift_jis", "Shift JIS (Japanese)"), ("gb18030", "GB 18030 (Chinese)"), ("big5", "Big5 (Chinese)"), ("euc-kr", "EUC-KR (Korean)"),
    ];

    public static Answer Of(Stream file)
    {
        file.Position = 0;
        var head = new byte[(int)Math.Min(file.Length, 1 << 16)];
        file.ReadExactly(head);
        if (head.Length == 0) return new(null, Problem: "The file is empty: it has no byte at all.");
        if (KindOf(head) is { } kind) return new(null, Problem: $"This is {kind}, not a text file. Save the table as CSV (in a spreadsheet: “Save as”, CSV UTF-8) and upload that.");
        if (head is [0xFF, 0xFE, 0, 0, ..]) return new("utf-32");
        if (head is [0xFF, 0xFE, ..]) return new("utf-16");
        if (head is [0xFE, 0xFF, ..]) return new("utf-16BE");
        var evenZeros = head.Where((b, i) => i % 2 == 0 && b == 0).Count();
        var oddZeros = head.Count(b => b == 0) - evenZeros;
        if (oddZeros > head.Length / 5 && evenZeros == 0) return new("utf-16", "The file has no mark of its encoding; every second byte is zero, so it is read as UTF-16.");
        if (evenZeros > head.Length / 5 && oddZeros == 0) return new("utf-16BE", "The file has no mark of its encoding; every second byte is zero, so it is read as big-endian UTF-16.");
        if (evenZeros + oddZeros > 0) return new(null, Problem: "This is a binary file, not text: it holds zero bytes. Export the table as CSV, TSV or JSON lines and upload that.");
        if (FirstBad(file) is not { } bad) return new("utf-8");
        return bad.Western
            ? new("windows-1252", $"The file is not UTF-8 (line {bad.Line} has a byte that UTF-8 does not allow). It is read as Windows-1252; look at accents and quotation marks in the preview, and choose another encoding where they are wrong.")
            : new(null, Problem: $"The file is not UTF-8 (line {bad.Line} has a byte that UTF-8 does not allow), and its encoding cannot be told from its bytes. Choose the encoding in which it was saved.");
    }

    /// The first line that is not UTF-8, and whether all bytes of the file are characters of Windows-1252.
    private static (long Line, bool Western)? FirstBad(Stream file)
    {
        file.Position = 0;
        var decoder = ReadTable.EncodingOf("utf-8").GetDecoder();
        var bytes = new byte[1 << 20];
        var chars = new char[bytes.Length + 4];
        long line = 1;
        long? badLine = null;
        var western = true;
        while (true)
        {
            var read = file.Read(bytes);
            if (badLine is null)
            {
                var decoded = decoder.GetChars(bytes, 0, read, chars, 0, flush: read == 0);
                for (var text = chars.AsSpan(0, decoded); ;)
                {
                    var at = text.IndexOfAny('\n', DataLimits.Undecodable);
                    if (at < 0) break;
                    if (text[at] == DataLimits.Undecodable) { badLine = line; break; }
                    line++;
                    text = text[(at + 1)..];
                }
            }
            if (read == 0) return badLine is { } l ? (l, western) : null;
            if (western)
                foreach (var b in bytes.AsSpan(0, read))
                    if (b is 0x81 or 0x8D or 0x8F or 0x90 or 0x9D or 0x7F || b < 0x20 && b is not (0x09 or 0x0A or 0x0C or 0x0D)) { western = false; break; }
        }
    }

    private static string? KindOf(byte[] head) => head switch
    {
        [0x50, 0x4B, 3, 4, ..] => "a zip archive or an Excel workbook",
        [0xD0, 0xCF, 0x11, 0xE0, ..] => "an old Excel workbook",
        [0x1F, 0x8B, ..] => "a gzip archive",
        [0x25, 0x50, 0x44, 0x46, ..] => "a PDF document",
        [0x50, 0x41, 0x52, 0x31, ..] => "a Parquet file",
        [0x89, 0x50, 0x4E, 0x47, ..] or [0xFF, 0xD8, 0xFF, ..] => "a picture",
        _ => null,
    };
}
