using System.Text;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

public sealed class TextDocumentsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    /// <summary>"First line.\nSecond line.\n\nAnother document: café.\n" by xz 5.4.</summary>
    private static readonly byte[] Xz = Convert.FromBase64String("/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAyRmlyc3QgbGluZS4KU2Vjb25kIGxpbmUuCgpBbm90aGVyIGRvY3VtZW50OiBjYWbDqS4KAAA2HiGv6vso/gABSzPzQtuMH7bzfQEAAAAABFla");

    private string Written(string name, string content) => Written(name, Encoding.UTF8.GetBytes(content));

    private string Written(string name, byte[] content)
    {
        File.WriteAllBytes(folder.File(name), content);
        return folder.File(name);
    }

    private static List<string> Read(params string[] files) => [.. TextDocuments.Read(files)];

    private static string Refused(string file) => Assert.Throws<TrainingException>(() => Read(file)).Message;

    [Fact]
    public void Blank_lines_divide_the_documents_of_a_text_file()
    {
        Assert.Equal(["one\ntwo", "three", "four"], Read(Written("a.txt", "\n\none\ntwo\n \n\nthree\n\nfour")));
        Assert.Equal(["one\ntwo", "three"], Read(Written("windows.txt", "\uFEFFone\r\ntwo\r\n\r\nthree\r\n")));
        Assert.Empty(Read(Written("empty.txt", "")));
        var words = string.Join('\n', Enumerable.Range(0, 30_000).Select(i => $"line {i}"));
        Assert.Equal([words], Read(Written("larger-than-a-buffer.txt", words + "\n")));
    }

    [Fact]
    public void A_document_without_blank_lines_is_cut_between_two_lines()
    {
        var line = new string('x', TextDocuments.LongestDocument / 2 - 10);
        Assert.Equal([line + "\n" + line, line], Read(Written("long.txt", $"{line}\n{line}\n{line}\n")));
    }

    [Fact]
    public void A_compressed_file_gives_what_the_plain_one_gives() =>
        Assert.Equal(["First line.\nSecond line.", "Another document: caf\u00E9."], Read(Written("a.txt.xz", Xz)));

    [Fact]
    public void Each_line_of_a_jsonl_file_is_a_document()
    {
        Assert.Equal(["one\n\ntwo", "three"], Read(Written("a.jsonl", """
            {"text": "one\n\ntwo", "source": 1}

            {"text": " "}
            {"text": "three"}
            """)));
        Assert.Equal("Line 2 of b.jsonl is no valid JSON: each line of a JSONL file must be an object such as {\"text\": \"...\"}.", Refused(Written("b.jsonl", "{\"text\": \"one\"}\n{\"text\"\n")));
        Assert.Equal("Line 1 of c.jsonl is no object with a \"text\" that is text, as each line of a JSONL file must be.", Refused(Written("c.jsonl", "{\"texts\": \"one\"}")));
        Assert.StartsWith("Line 1 of d.jsonl is no valid JSON", Refused(Written("d.jsonl", "{\"text\": \"\\ud800\"}")));
    }

    [Fact]
    public void Broken_files_are_refused_with_the_place()
    {
        Assert.Equal("cut.txt.xz is no complete xz file (near line 1); copy or download it again.", Refused(Written("cut.txt.xz", Xz[..^40])));
        Assert.Equal("footless.txt.xz is no complete xz file (near line 1); copy or download it again.", Refused(Written("footless.txt.xz", Xz[..^10])));
        var flipped = (byte[])Xz.Clone();
        flipped[40] ^= 1;
        Assert.StartsWith("flipped.txt.xz is no complete xz file", Refused(Written("flipped.txt.xz", flipped)));
        Assert.StartsWith("plain.txt.xz is no complete xz file", Refused(Written("plain.txt.xz", "no xz at all")));
        Assert.Equal("two.txt.xz is several xz streams in a row, of which only one is read; decompress it, and compress it as one.", Refused(Written("two.txt.xz", [.. Xz, .. Xz])));
        Assert.Equal("latin.txt is not UTF-8 near line 1; save it as UTF-8.", Refused(Written("latin.txt", [(byte)'c', 0xE9, (byte)'\n'])));
        Assert.Equal("utf16.txt is not UTF-8 near line 1; save it as UTF-8.", Refused(Written("utf16.txt", [.. Encoding.Unicode.Preamble, .. Encoding.Unicode.GetBytes("one\n")])));
        Assert.Equal("utf32.txt is not UTF-8 near line 1; save it as UTF-8.", Refused(Written("utf32.txt", [.. Encoding.UTF32.Preamble, .. Encoding.UTF32.GetBytes("one\n")])));
        Assert.Equal($"Line 2 of wide.txt has more than {TextDocuments.LongestLine} characters; break it into lines.", Refused(Written("wide.txt", "a\n" + new string('x', TextDocuments.LongestLine + 1))));
    }

    [Theory]
    [InlineData("blank.txt", "\n")]
    [InlineData("blank.jsonl", "\n")]
    [InlineData("fields.jsonl", "{\"text\": \"\", \"other\": 1234567890}\n")]
    public void What_gives_no_document_is_counted_and_can_be_cancelled_too(string name, string line)
    {
        var path = Written(name, string.Concat(Enumerable.Repeat(line, 300_000 / line.Length)));
        using var cancel = new CancellationTokenSource();
        var told = 0;
        Assert.Throws<OperationCanceledException>(() => TextDocuments.Read([path], cancel.Token, read =>
        {
            if ((told += read) > 100_000) cancel.Cancel();
        }).Count());
        Assert.InRange(told, 100_001, 200_000);
        told = 0;
        Assert.Equal((0, new FileInfo(path).Length), (TextDocuments.Read([path], read: read => told += read).Count(), told));
    }

    [Fact]
    public void A_folder_gives_its_text_files_by_name()
    {
        foreach (var name in new[] { "b.txt", "a.jsonl", "c.TXT.XZ", "notes.md" }) Written(name, "");
        Assert.Equal(["a.jsonl", "b.txt", "c.TXT.XZ"], TextDocuments.Files(folder.Path).Select(Path.GetFileName));
        Assert.Equal([folder.File("b.txt")], TextDocuments.Files(folder.File("b.txt")));
        Assert.Equal("notes.md is of no kind that is read as text; expected .txt, .txt.xz, .jsonl or .jsonl.xz.", Assert.Throws<TrainingException>(() => TextDocuments.Files(folder.File("notes.md"))).Message);
        Directory.CreateDirectory(folder.File("empty"));
        Assert.EndsWith("has no file that ends with .txt, .txt.xz, .jsonl or .jsonl.xz.", Assert.Throws<TrainingException>(() => TextDocuments.Files(folder.File("empty"))).Message);
        Assert.StartsWith("There is no file or folder ", Assert.Throws<TrainingException>(() => TextDocuments.Files(folder.File("gone"))).Message);
    }

    public void Dispose() => folder.Dispose();
}
