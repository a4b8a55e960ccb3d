using System.Text;
using FineTuneStudio.Datasets;

namespace FineTuneStudio.Tests.Datasets;

public sealed class ReadTableTests
{
    [Fact]
    public void A_row_without_a_label_is_read_as_unlabelled_and_one_without_text_is_rejected()
    {
        var (rows, rejected, _) = Tables.Read("text,label\nhello there,a\nno label,\n   ,b\nbye,a\n");
        Assert.Equal(["a", null, "a"], rows.Select(r => r.Label));
        var only = Assert.Single(rejected);
        Assert.Equal((4, 1, "The text in “text” is empty."), (only.Line, only.Column, only.Reason));
    }

    [Fact]
    public void A_quote_that_is_never_closed_costs_its_own_row_only()
    {
        var (rows, rejected, _) = Tables.Read("text,label\nfirst,a\n\"second,b\nthird,a\nfourth,b\n");
        Assert.Equal(["first", "third", "fourth"], rows.Select(r => r.Text));
        var only = Assert.Single(rejected);
        Assert.Equal((3, 1, "A quote is opened here and never closed; close it, or double the quotes inside the cell."), (only.Line, only.Column, only.Reason));
        Assert.Equal("\"second,b", only.Found);
    }

    [Fact]
    public void A_quote_inside_a_quoted_cell_must_be_doubled()
    {
        var (rows, rejected, _) = Tables.Read("text,label\n\"She said \"no\" twice\",a\n\"She said \"\"yes\"\"\",b\n5\" pipe,a\n");
        Assert.Equal(["She said \"yes\"", "5\" pipe"], rows.Select(r => r.Text));
        Assert.Equal((2, 1, "A quoted cell goes on after its closing quote; double the quotes inside the cell."), (rejected[0].Line, rejected[0].Column, rejected[0].Reason));
    }

    [Fact]
    public void Line_numbers_count_the_lines_inside_quoted_cells()
    {
        var (rows, rejected, _) = Tables.Read("text,label\r\n\"two\r\nlines\",a\r\n\r\n,b\r\nlast,b\r\n");
        Assert.Equal("two\r\nlines", rows[0].Text);
        Assert.Equal(6, rows[1].Line);
        Assert.Equal(5, Assert.Single(rejected).Line);
    }

    [Fact]
    public void A_cell_of_ten_megabytes_is_rejected_and_the_next_row_is_read()
    {
        foreach (var quote in new[] { "", "\"" })
        {
            var (rows, rejected, _) = Tables.Read($"text,label\n{quote}{new string('x', 10 << 20)}{quote},a\nshort,b\n");
            Assert.Equal("short", Assert.Single(rows).Text);
            var only = Assert.Single(rejected);
            Assert.Equal((2, 1, "The cell has 10,485,760 characters; at most 1,048,576 are taken."), (only.Line, only.Column, only.Reason));
            Assert.InRange(only.Found.Length, 1, 501);
        }
    }

    [Fact]
    public void A_row_with_too_few_or_too_many_cells_is_rejected_and_empty_cells_at_the_end_are_not_counted()
    {
        var (rows, rejected, _) = Tables.Read("text,label\none,a,,\ntwo\nthree,b,c\n");
        Assert.Equal("one", Assert.Single(rows).Text);
        Assert.Equal(["The row has 1 cell; the file has 2 columns. A quote or a delimiter may be missing.", "The row has 3 cells; the file has 2 columns. A quote or a delimiter may be missing."], rejected.Select(r => r.Reason));
    }

    [Fact]
    public void More_than_a_thousand_columns_are_refused_at_once()
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal("Line 1 has 80,001 columns; at most 1,000 are taken. Choose another delimiter, or remove the columns that say nothing.",
            Tables.See(Tables.File(new string(',', 80_000) + "\n"), format: new(FileKind.Delimited, "utf-8")).Problem);
        Assert.Equal("The objects up to line 2 have more than 1,000 different names; each name is a column, and at most 1,000 are taken. Keep the text, the label and what describes them.",
            Tables.See(Tables.File("{\"text\": \"a\"}\n{" + string.Join(",", Enumerable.Range(0, 40_000).Select(i => $"\"k{i}\": 1")) + "}\n"), "many.jsonl").Problem);
        Assert.Equal(1000, Tables.See(Tables.File(string.Join(",", Enumerable.Repeat("same", 1000)) + "\n"), format: new(FileKind.Delimited, "utf-8")).Columns.Count);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"It took {watch.Elapsed}.");
    }

    [Fact]
    public void Long_rows_are_held_a_few_at_a_time_and_shown_cut_short()
    {
        // Sixteen rows of 2 M characters each, in two cells.
        var cell = new string('x', 1 << 20);
        var file = Tables.File("text,more\n" + string.Concat(Enumerable.Repeat($"{cell},{cell}\n", 16)));
        FileFormat format = new(FileKind.Delimited, "utf-8");
        Assert.Equal([4, 4, 4, 4], ReadTable.Batches(ReadTable.Rows(file, format, ["text", "more"]), 2000).Select(b => b.Count));
        Assert.Equal([3, 3, 1], ReadTable.Batches(Enumerable.Repeat(new RawRow(1, ["short"]), 7), 3).Select(b => b.Count));
        var look = Tables.See(file, format: format);
        Assert.Equal(ExamineFile.PreviewRows, look.Rows.Count);
        Assert.All(look.Rows, r => Assert.All(r.Cells, c => Assert.Equal(DataLimits.FoundCharacters + 1, c.Length)));
    }

    [Fact]
    public void A_label_of_two_lines_or_too_many_characters_is_rejected()
    {
        var (rows, rejected, _) = Tables.Read($"text,label\none,\"a\nb\"\ntwo,{new string('l', 201)}\nthree,{new string('l', 200)}\nfour,\" a \n\"\n");
        Assert.Equal([new string('l', 200), "a"], rows.Select(r => r.Label));
        Assert.Equal(["The label holds a line break or another control character; a label stands on one line. Is “label” the right column?",
            "The label has 201 characters; a label has at most 200. Is “label” the right column?"], rejected.Select(r => r.Reason));
    }

    [Fact]
    public void A_name_that_stands_twice_in_the_header_is_told_apart()
    {
        var look = Tables.See(Tables.File("text,label,label,\nx,a,b,c\n"));
        Assert.Equal(["text", "label", "label (2)", "column 4"], look.Columns);
        Assert.Equal(["The name “label” stands twice in the header; column 3 is called “label (2)” here.", "Column 4 has no name in the header; it is called “column 4” here."], look.Notices);
    }

    [Theory]
    [InlineData("", "The file is empty: it has no byte at all.")]
    [InlineData("  \n\n ", "The file holds nothing but white space.")]
    [InlineData("text,label\n", "The file has a header and no row below it; there is nothing to import.")]
    [InlineData("[{\"text\": \"a\"}]", "This is one JSON array. Write one object a line instead (JSON lines), without the brackets around the whole.")]
    [InlineData("a\0b\0\0\0c", "This is a binary file, not text: it holds zero bytes. Export the table as CSV, TSV or JSON lines and upload that.")]
    [InlineData("PK\u0003\u0004 and more", "This is a zip archive or an Excel workbook, not a text file. Save the table as CSV (in a spreadsheet: “Save as”, CSV UTF-8) and upload that.")]
    public void A_file_that_is_no_table_is_refused_with_a_sentence(string text, string sentence) =>
        Assert.Equal(sentence, Tables.See(Tables.File(text)).Problem);

    [Fact]
    public void Encodings_are_told_by_their_mark_or_their_bytes()
    {
        const string text = "text,label\nCafé “Zürich” – naïve,a\nplain,b\n";
        foreach (var (encoding, name) in new (Encoding, string)[] { (new UTF8Encoding(false), "utf-8"), (new UTF8Encoding(true), "utf-8"), (Encoding.Unicode, "utf-16"), (Encoding.BigEndianUnicode, "utf-16BE"), (new UnicodeEncoding(false, false), "utf-16"), (ReadTable.EncodingOf("windows-1252"), "windows-1252") })
        {
            var (rows, _, look) = Tables.Read(new MemoryStream([.. encoding.GetPreamble(), .. encoding.GetBytes(text)]));
            Assert.Equal(name, look.Format!.Encoding);
            Assert.Equal("Café “Zürich” – naïve", rows[0].Text);
            Assert.Equal("text", look.Columns[0]);
        }
    }

    [Fact]
    public void A_file_whose_encoding_cannot_be_told_is_refused_until_one_is_chosen()
    {
        byte[] bytes = [.. "text,label\nfine,a\n"u8, 0x81, 0x8D, .. "x,b\n"u8];
        Assert.Equal("The file is not UTF-8 (line 3 has a byte that UTF-8 does not allow), and its encoding cannot be told from its bytes. Choose the encoding in which it was saved.", Tables.See(new MemoryStream(bytes)).Problem);
        var (rows, rejected, _) = Tables.Read(new MemoryStream(bytes), format: new(FileKind.Delimited, "utf-8"));
        Assert.Equal("fine", Assert.Single(rows).Text);
        Assert.Equal((3, 1, "“text” holds bytes that the chosen encoding does not know; choose the encoding in which the file was saved."), (rejected[0].Line, rejected[0].Column, rejected[0].Reason));
    }

    [Fact]
    public void Delimiters_quotes_and_headers_are_detected()
    {
        Assert.Equal(new(FileKind.Delimited, "utf-8", ';', '"', 1), Tables.See(Tables.File("sentence;label\nI would, if I could;a\nwell, no;b\n")).Format);
        Assert.Equal(new(FileKind.Delimited, "utf-8", '\t', '"', 0), Tables.See(Tables.File("I like it\t27\teebbqej\nI do, not\t3\ted00q6i\n")).Format);
        Assert.Equal('\'', Tables.See(Tables.File("text,label\n'well, yes',a\n'no, never',b\n'a, b, c',a\n")).Format!.Quote);
        Assert.Null(Tables.See(Tables.File("\"Then he went . \tone\nHe \" said\ttwo\n\"Next \" one\tthree\n\"Not closed\tfour\n"), "x.tsv").Format!.Quote);
    }

    [Fact]
    public void Each_line_of_json_is_one_row_and_a_broken_line_is_rejected()
    {
        var (rows, rejected, look) = Tables.Read("{\"text\": \"hi\\nyou\", \"label\": \"a\", \"id\": 7}\n{\"text\": \"no label\", \"label\": null}\n{broken\n[1]\n\n{\"text\": \"\"}\n", "file.jsonl");
        Assert.Equal(["text", "label", "id"], look.Columns);
        Assert.Equal([("hi\nyou", "a", "{\"id\":\"7\"}"), ("no label", null, null)], rows.Select(r => (r.Text, r.Label, r.Attributes)));
        Assert.Equal([3, 4, 6], rejected.Select(r => r.Line));
        Assert.Equal("The line is not valid JSON (at byte 2); each line must be one object like {\"text\": \"…\", \"label\": \"…\"}.", rejected[0].Reason);
        Assert.Equal("The line is JSON but not an object; each line must be one object like {\"text\": \"…\", \"label\": \"…\"}.", rejected[1].Reason);
    }

    [Fact]
    public void A_mapping_without_text_with_two_labels_or_with_a_missing_column_says_what_to_mend()
    {
        IReadOnlyList<string> columns = ["a", "b", "c"];
        ColumnMapping Map(params ColumnRole[] roles) => new([.. columns.Zip(roles, (c, r) => new ColumnUse(c, r))]);
        Assert.Equal(["No column is marked as the text; choose the column that the model shall read."], Map(ColumnRole.Label, ColumnRole.Ignored, ColumnRole.Ignored).Faults(columns));
        Assert.Equal(["2 columns are marked as the label (“b”, “c”); a row has one label, leave one."], Map(ColumnRole.Text, ColumnRole.Label, ColumnRole.Label).Faults(columns));
        Assert.Equal("The file has no column “category”; its columns are “a”, “b”, “c”.", Assert.Throws<DataFileException>(() => ColumnMapping.ByName(columns, "a", "category")).Message);
    }

    [Fact]
    public void One_label_only_is_allowed_and_warned_of()
    {
        var file = Tables.File("text,label\nx,a\ny,a\n");
        var look = Tables.See(file);
        var counts = ExamineFile.CountRows(file, look.Format!, look.Mapping, SingleLabelAnswers.All, null, default);
        Assert.Null(counts.Problem);
        Assert.Equal(["All labelled rows carry the one label “a”; a model needs at least two to learn a difference."], counts.Warnings);
    }
}
