using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using CsvHelper;

namespace FineTuneStudio.Engine.Tests.Sample;

/// <summary>Holds sample/customer-messages.csv to what sample/README.md and sample/planted-faults.json say of it.</summary>
public partial class CustomerMessagesTests
{
    static readonly string Folder = Path.Combine(RepositoryRoot(), "sample");
    static readonly JsonElement Faults = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, "planted-faults.json"))).RootElement;
    static readonly Row[] Rows = Read();
    static readonly Dictionary<int, Row> ByLine = Rows.ToDictionary(r => r.Line);

    [Fact]
    public void The_file_is_quoted_as_RFC_4180_says_and_is_UTF_8_without_a_byte_order_mark()
    {
        var bytes = File.ReadAllBytes(Path.Combine(Folder, "customer-messages.csv"));
        var text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
        Assert.StartsWith("text,label,channel,language_variant\r\n", text);
        Assert.EndsWith("\r\n", text);
        Assert.DoesNotMatch("(?<!\r)\n|\r(?!\n)", text);
        Assert.Equal(1058, text.Count(c => c == '\n'));
        Assert.Equal(1028, Rows.Length);
        Assert.Equal(Rows.Length, Faults.GetProperty("records").GetInt32());
        Assert.Equal(9, Rows.Count(r => r.Text.Contains('\n')));
    }

    [Fact]
    public void Every_attribute_holds_one_of_its_documented_values()
    {
        Assert.All(Rows, r => Assert.Contains(r.Channel, new[] { "email", "chat", "app", "phone-note" }));
        Assert.All(Rows, r => Assert.Contains(r.LanguageVariant, new[] { "en-GB", "en-US" }));
    }

    [Theory]
    [InlineData("delivery", 207)]
    [InlineData("returns", 175)]
    [InlineData("product_question", 154)]
    [InlineData("payment", 144)]
    [InlineData("account", 120)]
    [InlineData("complaint", 116)]
    [InlineData("cancel_order", 91)]
    [InlineData("data_privacy", 12)]
    [InlineData("", 6)]
    public void A_label_has_as_many_rows_with_text_as_the_guideline_table_says(string label, int rows)
    {
        Assert.Equal(rows, WithText().Count(r => r.Label == label));
        Assert.Contains(label == "" ? $"| (no label) | {rows} |" : $"| `{label}` | {rows} |", Readme());
    }

    [Fact]
    public void There_are_eight_labels() =>
        Assert.Equal(8, Rows.Select(r => r.Label).Where(l => l != "").Distinct().Count());

    [Fact]
    public void A_message_has_2_to_59_words()
    {
        var words = WithText().Select(r => r.Text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length).ToArray();
        Assert.Equal((2, 59), (words.Min(), words.Max()));
    }

    [Fact]
    public void Fifteen_rows_hold_the_wrong_label_documented()
    {
        var wrong = List("wrong_labels");
        Assert.Equal(15, wrong.Length);
        Assert.All(wrong, f =>
        {
            var (line, has, should) = (Line(f), f.GetProperty("has").GetString()!, f.GetProperty("should_be").GetString()!);
            Assert.Equal(has, ByLine[line].Label);
            Assert.NotEqual(has, should);
            Assert.Contains($"| {line} | `{has}` | `{should}` |", Readme());
        });
    }

    [Fact]
    public void Normalised_texts_repeat_in_the_twelve_duplicates_and_four_conflicts_and_nowhere_else()
    {
        var duplicates = List("duplicates");
        var conflicts = List("conflicting_duplicates");
        Assert.Equal((12, 4), (duplicates.Length, conflicts.Length));
        var planted = duplicates.Concat(conflicts).Select(f => (OfLine(f), Line(f))).OrderBy(p => p).ToArray();
        var found = WithText().GroupBy(r => Normalise(r.Text)).Where(g => g.Count() > 1)
            .Select(g => (g.First().Line, g.Skip(1).Single().Line)).OrderBy(p => p).ToArray();
        Assert.Equal(planted, found);
        Assert.All(duplicates, f => Assert.Equal(ByLine[OfLine(f)].Label, ByLine[Line(f)].Label));
        Assert.All(duplicates, f => Assert.Contains($"| {Line(f)} | {OfLine(f)} |", Readme()));
    }

    [Fact]
    public void The_four_conflicts_have_two_labels_of_which_one_is_right() =>
        Assert.All(List("conflicting_duplicates"), f =>
        {
            var (line, of) = (ByLine[Line(f)], ByLine[OfLine(f)]);
            var should = f.GetProperty("should_be").GetString()!;
            Assert.Equal(f.GetProperty("has").GetString(), line.Label);
            Assert.Equal(f.GetProperty("of_has").GetString(), of.Label);
            Assert.Single(new[] { line.Label, of.Label }, should);
            Assert.Contains($"| {line.Line} | `{line.Label}` | {of.Line} | `{of.Label}` | `{should}` |", Readme());
        });

    [Fact]
    public void Texts_that_share_four_fifths_of_their_words_are_the_five_near_duplicates_and_no_others()
    {
        var near = List("near_duplicates");
        Assert.Equal(5, near.Length);
        Assert.All(near, f => Assert.Equal(ByLine[OfLine(f)].Label, ByLine[Line(f)].Label));
        Assert.All(near, f => Assert.Contains($"| {Line(f)} | {OfLine(f)} |", Readme()));

        var rows = WithText().Select(r => (r.Line, Text: Normalise(r.Text), Words: Words(r.Text))).ToArray();
        var found = new List<(int, int)>();
        var mostAlikeUnplanted = 0.0;
        for (var i = 0; i < rows.Length; i++)
            for (var j = i + 1; j < rows.Length; j++)
            {
                if (rows[i].Text == rows[j].Text) continue;
                var shared = rows[i].Words.Count(rows[j].Words.Contains);
                var jaccard = shared / (double)(rows[i].Words.Count + rows[j].Words.Count - shared);
                if (jaccard >= 0.8) found.Add((rows[i].Line, rows[j].Line));
                else mostAlikeUnplanted = Math.Max(mostAlikeUnplanted, jaccard);
            }
        Assert.Equal(near.Select(f => (OfLine(f), Line(f))).OrderBy(p => p), found.OrderBy(p => p));
        Assert.Equal(0.60, mostAlikeUnplanted, 2);
    }

    [Fact]
    public void Six_rows_have_text_and_no_label()
    {
        Assert.Equal(List("unlabelled").Select(Line), WithText().Where(r => r.Label == "").Select(r => r.Line));
        Assert.All(List("unlabelled"), f => Assert.Contains($"| {Line(f)} | `{f.GetProperty("should_be").GetString()}` |", Readme()));
    }

    [Fact]
    public void Three_rows_have_no_text()
    {
        var rejected = List("rejected");
        Assert.Equal(3, rejected.Length);
        Assert.Equal(rejected.Select(Line), Rows.Where(r => string.IsNullOrWhiteSpace(r.Text)).Select(r => r.Line));
        Assert.All(rejected, f =>
        {
            var (row, reason) = (ByLine[Line(f)], f.GetProperty("reason").GetString());
            Assert.Equal(row.Text == "" ? "text is empty" : "text is only white space", reason);
            Assert.Contains($"| {row.Line} | `{row.Label}` | {reason} |", Readme());
        });
    }

    [Fact]
    public void The_rare_label_stands_on_the_twelve_documented_lines()
    {
        var rare = Faults.GetProperty("rare_label");
        var lines = rare.GetProperty("lines").EnumerateArray().Select(l => l.GetInt32()).ToArray();
        Assert.Equal(12, lines.Length);
        Assert.Equal(lines, Rows.Where(r => r.Label == rare.GetProperty("label").GetString()).Select(r => r.Line));
        Assert.Contains($"lines {string.Join(", ", lines[..^1])} and {lines[^1]}", Readme());
    }

    [Fact]
    public void No_row_carries_two_planted_faults()
    {
        var lines = new[] { "wrong_labels", "duplicates", "near_duplicates", "conflicting_duplicates", "unlabelled", "rejected" }
            .SelectMany(List)
            .SelectMany(f => f.TryGetProperty("of_line", out var of) ? [Line(f), of.GetInt32()] : new[] { Line(f) }).ToArray();
        Assert.Equal(lines.Length, lines.Distinct().Count());
    }

    record Row(int Line, string Text, string Label, string Channel, string LanguageVariant);

    static Row[] Read()
    {
        using var reader = CsvReader.FromFile(Path.Combine(Folder, "customer-messages.csv"), new CsvReaderOptions
        {
            TrackLineNumbers = true,
            MalformedData = CsvMalformedDataHandling.Throw,
            FieldCountMismatch = CsvFieldCountHandling.Throw,
        });
        var rows = new List<Row>();
        while (reader.Read())
            rows.Add(new Row((int)reader.LineNumber, reader.GetString("text"), reader.GetString("label"), reader.GetString("channel"), reader.GetString("language_variant")));
        return [.. rows];
    }

    static IEnumerable<Row> WithText() => Rows.Where(r => !string.IsNullOrWhiteSpace(r.Text));
    static JsonElement[] List(string name) => [.. Faults.GetProperty(name).EnumerateArray()];
    static int Line(JsonElement fault) => fault.GetProperty("line").GetInt32();
    static int OfLine(JsonElement fault) => fault.GetProperty("of_line").GetInt32();
    static string Readme() => File.ReadAllText(Path.Combine(Folder, "README.md"));
    static string Normalise(string text) => WhiteSpace().Replace(text.Trim(), " ").ToLowerInvariant();
    static HashSet<string> Words(string text) => [.. Word().Matches(text.ToLowerInvariant()).Select(m => m.Value)];

    [GeneratedRegex(@"\s+")] private static partial Regex WhiteSpace();
    [GeneratedRegex(@"\w+")] private static partial Regex Word();

    static string RepositoryRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "FineTuneStudio.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new DirectoryNotFoundException($"No folder above {AppContext.BaseDirectory} holds FineTuneStudio.sln.");
    }
}
