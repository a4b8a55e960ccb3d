using FineTuneStudio.Ui;

namespace FineTuneStudio.Tests.Ui;

public sealed class SnippetTests
{
    [Theory]
    [InlineData(0, 4)]
    [InlineData(230, 245)]
    [InlineData(480, 490)]
    public void A_snippet_holds_the_place_it_is_cut_around_and_marks_it_there(int start, int end)
    {
        var text = string.Concat(Enumerable.Range(0, 49).Select(i => $"word{i:00} 🙂 "));
        var snippet = Snippet.Around(text, start, end, 120);
        Assert.InRange(snippet.Text.Length, 100, 126);
        var mark = snippet.Mark(start, end, "answer")!;
        Assert.Equal(text[start..end], snippet.Text[mark.Start..mark.End]);
        Assert.Equal(start > 100, snippet.Text.StartsWith('…'));
        Assert.Null(snippet.Mark(start == 0 ? 400 : 0, start == 0 ? 404 : 4, "answer"));
        Assert.Equal(new Snippet("short", 0, 5), Snippet.Around("short", 1, 3, 120));
    }
}
