using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Tests.Datasets;

/// Cells with several labels, cells with a number, and rows with two texts.
public sealed class OtherAnswersTests
{
    [Theory]
    [InlineData("joy, anger", "comma", """["anger","joy"]""")]
    [InlineData("2,14,2", "comma", """["14","2"]""")]
    [InlineData("joy; anger;", "semicolon", """["anger","joy"]""")]
    [InlineData("joy|very sad", "bar", """["joy","very sad"]""")]
    [InlineData("joy, anger", "none", """["joy, anger"]""")]
    [InlineData("""["joy", "Über, „alles“", 3]""", "semicolon", """["3","Über, „alles“","joy"]""")]
    [InlineData("[]", "comma", "[]")]
    [InlineData("   ", "comma", null)]
    public void Several_labels_are_read_with_their_separator_or_as_a_list(string cell, string separator, string? answer)
    {
        var answers = new MultiLabelAnswers().With(new([], separator));
        Assert.Equal((answer?.Replace("Über, „alles“\",\"joy", "joy\",\"Über, „alles“"), null), answers.Read(cell, "labels", "text"));
    }

    [Theory]
    [InlineData("[\"joy\"", "The cell begins with [ but is not a JSON list; write the labels as [\"joy\", \"anger\"], or with a separator between them.")]
    [InlineData("[{\"a\":1}]", "The list of labels holds {\"a\":1}; each label must be a text or a number, such as [\"joy\", \"anger\"].")]
    [InlineData("[\"\\ud83d\"]", "The list of labels holds half of a character, such as \\ud83d without the \\ude00 after it; write both halves, or the character itself.")]
    [InlineData("a\nb", "The label holds a line break or another control character; a label stands on one line. Is “labels” the right column?")]
    public void A_cell_that_holds_no_labels_is_refused_with_a_reason(string cell, string reason) => Assert.Equal((null, reason), new MultiLabelAnswers().Read(cell, "labels", "text"));

    [Fact]
    public void The_separator_is_found_and_ids_without_a_header_are_labels()
    {
        var look = ExamineFile.See(NewImport("emotions.tsv"), Tables.File(string.Concat(Enumerable.Range(0, 40).Select(i => $"A text, with a comma, number {i}\t{(i % 3 == 0 ? "2,14" : i % 3 == 1 ? "2" : "27")}\tid{i}\n"))), TextTask.MultiLabel, null);
        Assert.Equal([ColumnRole.Text, ColumnRole.Label, ColumnRole.Attribute], look.Mapping.Columns.Select(c => c.Role));
        Assert.Equal("comma", look.Mapping.Separator);
        Assert.Equal("semicolon", ExamineFile.See(NewImport("a.csv"), Tables.File(string.Concat(Enumerable.Range(0, 40).Select(i => $"Text number {i} here,{(i % 2 == 0 ? "a;b" : "b")}\n").Prepend("text,labels\n"))), TextTask.MultiLabel, null).Mapping.Separator);
    }

    [Theory]
    [InlineData("0.25", "0.25")]
    [InlineData(" -1,5 ", "-1.5")]
    [InlineData("3e-2", "0.03")]
    [InlineData("0,125", "0.125")]
    [InlineData("1234,567", "1234.567")]
    [InlineData("1.234", "1.234")]
    [InlineData("", null)]
    public void Numbers_are_read_with_a_point_or_a_comma(string cell, string? answer) => Assert.Equal((answer, null), NumberAnswers.All.Read(cell, "score", "text"));

    [Theory]
    [InlineData("good", "“good” is not a number; write it as 0.25 or 0,25. Is “score” the right column?")]
    [InlineData("1,234.5", "“1,234.5” can be read in more than one way; write numbers without thousands separators, as 1234.5 or 1234,5.")]
    [InlineData("1,234,567", "“1,234,567” can be read in more than one way; write numbers without thousands separators, as 1234.5 or 1234,5.")]
    [InlineData("1,234", "“1,234” can be 1234 or 1.234: three digits stand behind the comma, and no other cell of “score” shows that commas are decimal. Write 1234 or 1.234.")]
    [InlineData("-12,500", "“-12,500” can be -12500 or -12.500: three digits stand behind the comma, and no other cell of “score” shows that commas are decimal. Write -12500 or -12.500.")]
    [InlineData("NaN", "“NaN” is not a number; write it as 0.25 or 0,25. Is “score” the right column?")]
    [InlineData("1e999", "“1e999” is not a number; write it as 0.25 or 0,25. Is “score” the right column?")]
    public void A_cell_that_is_no_number_is_refused_with_a_reason(string cell, string reason) => Assert.Equal((null, reason), NumberAnswers.All.Read(cell, "score", "text"));

    [Theory]
    [InlineData("999;1,234", "999", null)]
    [InlineData("0,5;1,234", "0.5", "1.234")]
    [InlineData("12,25;1.234;3", "12.25", null, "3")]
    public void A_comma_before_three_digits_is_decimal_where_another_cell_shows_that_commas_are(string cells, params string?[] read)
    {
        var file = Tables.File("text;score\n" + string.Concat(cells.Split(';').Select((c, i) => $"text {i};{c}\n")));
        var (format, mapping) = (new FileFormat(FileKind.Delimited, "utf-8", ';'), new ColumnMapping([new("text", ColumnRole.Text), new("score", ColumnRole.Label)]));
        var answers = NumberAnswers.All.Survey(format, mapping, ReadTable.Rows(file, format, ["text", "score"])).Answers;
        var taken = ReadTable.Rows(file, format, ["text", "score"]).Select(r => ReadTable.Take(r, mapping.Columns, answers)).ToList();
        Assert.Equal(read, taken.Select(t => t.Row?.Label));
        if (cells.Contains("12,25")) Assert.Equal("“1.234” can be 1234 or 1.234: other cells of “score” have decimal commas. Write 1234 or 1,234.", taken[1].Rejection!.Reason);
    }

    [Fact]
    public void Two_texts_become_one_row_and_the_number_column_is_found()
    {
        var file = Tables.File("id\tcorpus\tsentence\ttoken\tcomplexity\n" + string.Concat(Enumerable.Range(0, 12).Select(i => $"x{i}\tbible\tHe said \"no to number {i}\triver\t0.{i + 10}\n")) + "y\tbible\tA text.\t \t0.5\n");
        var look = ExamineFile.See(NewImport("complexity.tsv"), file, TextTask.Regression, null);
        Assert.Equal("complexity", look.Mapping.Columns.Single(c => c.Role == ColumnRole.Label).Name);
        var mapping = look.Mapping with { Columns = [.. look.Mapping.Columns.Select(c => c.Name == "token" ? c with { Role = ColumnRole.Pair } : c)] };
        var taken = ReadTable.Rows(file, look.Format!, look.Columns).Select(r => ReadTable.Take(r, mapping.Columns, NumberAnswers.All)).ToList();
        Assert.Equal(("He said \"no to number 0 ¦¦ river", "0.1"), (taken[0].Row!.Text, taken[0].Row!.Label));
        Assert.Equal((14, 4, "The second text in “token” is empty."), (taken[^1].Rejection!.Line, taken[^1].Rejection!.Column, taken[^1].Rejection!.Reason));
    }

    [Fact]
    public void A_split_keeps_the_shares_of_the_rarest_label_and_of_ranges_of_values()
    {
        Assert.Equal(["b", "b", "a", "a", "none of the labels"], new MultiLabelAnswers().Strata(["""["a","b"]""", """["b"]""", """["a"]""", """["a"]""", "[]"]).Select(s => s));
        var strata = NumberAnswers.All.Strata([.. Enumerable.Range(0, 100).Select(i => (i % 50).ToString(System.Globalization.CultureInfo.InvariantCulture))]);
        Assert.Equal(10, strata.Distinct().Count());
        Assert.All(strata.CountBy(s => s), s => Assert.Equal(10, s.Value));
        Assert.Equal("01: 0 to 4", strata[3]);
        Assert.Equal(["01: 7 to 7"], NumberAnswers.All.Strata([.. Enumerable.Repeat("7", 30)]).Distinct());
    }

    private static Import NewImport(string name) => new() { ProjectId = "p", FileName = name, Size = 1, StoredAs = "x", CreatedById = "u", CreatedAt = DateTime.UnixEpoch };
}
