using FineTuneStudio.BaseModels;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Tests.Ui;

public sealed class MarkdownTests
{
    private static string Line(IEnumerable<MarkdownPiece> line) => string.Concat(line.Select(p => p.Kind switch
    {
        MarkdownKind.Strong => $"<b>{Line(p.Inside!)}</b>", MarkdownKind.Emphasis => $"<i>{Line(p.Inside!)}</i>", MarkdownKind.Code => $"<c>{p.Text}</c>", MarkdownKind.Link => $"<a {p.Href}>{Line(p.Inside!)}</a>",
        _ => p.Inside is { } inside ? Line(inside) : p.Text,
    }));

    private static string Paragraph(string text) => Line(Assert.IsType<MarkdownParagraph>(Assert.Single(Markdown.Read(text))).Line);

    [Fact]
    public void A_card_becomes_headings_paragraphs_lists_code_and_tables_without_its_front_matter()
    {
        var blocks = Markdown.Read("---\nlicense: mit\ntags:\n- x\n---\n\n# Title #\nTwo lines\nof one.\n\n- first\n  goes on\n- second\n1. not a list of its own\n\n```\nrun | this\n```\n\n| Step | Loss |\n|---:|:--|\n| 1 | `a \\| b` |\n| 2 |\nAfter.\n");
        Assert.Equal((1, "Title"), (Assert.IsType<MarkdownHeading>(blocks[0]).Level, Line(((MarkdownHeading)blocks[0]).Line)));
        Assert.Equal("Two lines of one.", Line(Assert.IsType<MarkdownParagraph>(blocks[1]).Line));
        Assert.Equal(["first goes on", "second", "not a list of its own"], Assert.IsType<MarkdownList>(blocks[2]).Items.Select(Line));
        Assert.Equal("run | this", Assert.IsType<MarkdownCode>(blocks[3]).Text);
        var table = Assert.IsType<MarkdownTable>(blocks[4]);
        Assert.Equal(["Step", "Loss"], table.Head.Select(Line));
        Assert.Equal(["1", "<c>a | b</c>", "2", ""], table.Rows.SelectMany(r => r.Select(Line)));
        Assert.Equal("After.", Line(Assert.IsType<MarkdownParagraph>(blocks[5]).Line));
        Assert.Equal(6, blocks.Count);
    }

    [Theory]
    [InlineData("**bold *and* more** and `co*d*e`", "<b>bold <i>and</i> more</b> and <c>co*d*e</c>")]
    [InlineData("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name")]
    [InlineData("[a **card**](https://example.test/x?y=1 \"title\"), <http://example.test/>", "<a https://example.test/x?y=1>a <b>card</b></a>, <a http://example.test/>http://example.test/</a>")]
    [InlineData("[bad](javascript:alert(1)) [near](other.md) ![a picture](https://example.test/p.png)", "bad) near a picture")]
    [InlineData("<script>alert(1)</script> <b>x</b><!-- a note -->", "<script>alert(1)</script> <b>x</b>")]
    [InlineData("\\*not\\* emphasis", "*not* emphasis")]
    public void A_line_keeps_its_marks_and_nothing_of_it_becomes_a_harmful_link(string text, string expected) => Assert.Equal(expected, Paragraph(text));

    [Theory]
    [InlineData("")]
    [InlineData("---")]
    [InlineData("```\nnever closed")]
    [InlineData("|\n|-")]
    [InlineData("- ")]
    public void Broken_text_is_no_error(string text) => Assert.NotNull(Markdown.Read(text));

    [Fact]
    public void A_large_card_of_a_stranger_takes_no_time()
    {
        foreach (var bad in new[] { "**", "[", "<!--", "*a", "`", "| ", "![](", "- - " })
            Assert.NotNull(Markdown.Read(string.Concat(Enumerable.Repeat(bad, 200_000 / bad.Length))));
    }

    [Fact]
    public void Losses_in_a_table_over_steps_are_a_curve()
    {
        MarkdownTable Table(string text) => Markdown.Read(text).OfType<MarkdownTable>().Single();
        var curve = Assert.Single(ShowBaseModel.Curves(Table("| Step | Held-out loss | Words right |\n|--|--|--|\n| 1,000 | 6.5 | 12 % |\n| 2,000 | 5.25 | 20 % |\n| later | 5 | |")));
        Assert.Equal("Held-out loss", curve.Name);
        Assert.Equal([(1000, 6.5), (2000, 5.25)], curve.Points);
        Assert.Empty(ShowBaseModel.Curves(Table("| Run | Loss |\n|--|--|\n| 1 | 6 |\n| 2 | 5 |")));
        Assert.Empty(ShowBaseModel.Curves(Table("| Step | Loss |\n|--|--|\n| 1 | 6 |")));
    }

    [Theory]
    [InlineData(5.1, 7.4, "5.5 6 6.5 7")]
    [InlineData(0, 5000, "0 1000 2000 3000 4000 5000")]
    [InlineData(0, 1, "0 0.2 0.4 0.6 0.8 1")]
    public void The_marks_of_an_axis_are_round_numbers(double from, double to, string expected) =>
        Assert.Equal(expected, string.Join(' ', LossCurve.Ticks(from, to).Select(t => Math.Round(t, 9).ToString(System.Globalization.CultureInfo.InvariantCulture))));
}
