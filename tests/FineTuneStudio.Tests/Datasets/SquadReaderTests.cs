using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Tests.Datasets;

/// SQuAD's own files: one JSON object, nested.
public sealed class SquadReaderTests
{
    private static readonly Answers Task = Answers.Of(TextTask.QuestionAnswering);

    private const string Nested = """
        {
          "version": "v2.0",
          "data": [
            {
              "title": "Ports",
              "paragraphs": [
                {
                  "qas": [
                    {"question": "Who?", "id": "1", "answers": [{"text": "Anna", "answer_start": 0}, {"text": "Anna", "answer_start": 0}], "is_impossible": false},
                    {"plausible_answers": [{"text": "Dover", "answer_start": 11}], "question": "When?", "id": "2", "answers": [], "is_impossible": true},
                    {"question": "Where?", "id": "3", "answers": [{"text": "Oslo", "answer_start": 11}]},
                    {"question": "How?", "id": "4", "answers": [], "is_impossible": false},
                    {"id": "5", "answers": []},
                    {"question": "Why?", "id": "6"}
                  ],
                  "context": "Anna is in Dover."
                },
                {"context": "Nobody asks."}
              ]
            },
            {"paragraphs": [{"context": "Été à Zürich 🙂.", "qas": [{"question": "Quoi?", "id": "8", "answers": [{"text": "🙂", "answer_start": 13}]}]}], "title": "Late"}
          ]
        }
        """;

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Each_question_is_a_row_with_its_context_and_what_cannot_be_taken_says_why_and_where(bool onOneLine, bool utf16)
    {
        var text = onOneLine ? Nested.ReplaceLineEndings("") : Nested;
        using var file = utf16 ? new MemoryStream([.. Encoding.Unicode.Preamble, .. Encoding.Unicode.GetBytes(text)]) : new MemoryStream([.. onOneLine ? Encoding.UTF8.Preamble.ToArray() : [], .. Encoding.UTF8.GetBytes(text)]);
        var look = Tables.See(file, "train.json", null, TextTask.QuestionAnswering);
        Assert.Null(look.Problem);
        Assert.Equal(FileKind.Squad, look.Format!.Kind);
        Assert.Equal(["title:Attribute", "id:Attribute", "question:Text", "context:Context", "answers:Label"], look.Mapping.Columns.Select(c => $"{c.Name}:{c.Role}"));
        var read = ReadTable.Rows(file, look.Format, look.Columns).Select(r => ReadTable.Take(r, look.Mapping.Columns, Task)).ToList();
        Assert.Equal(
        [
            (1, TextPair.Join("Who?", "Anna is in Dover."), """{"text":["Anna"],"answer_start":[0]}""", """{"title":"Ports","id":"1"}"""),
            (2, TextPair.Join("When?", "Anna is in Dover."), QuestionAnswers.None, """{"title":"Ports","id":"2"}"""),
            (8, TextPair.Join("Quoi?", "Été à Zürich 🙂."), """{"text":["\uD83D\uDE42"],"answer_start":[13]}""", """{"id":"8"}"""),
        ], read.Where(r => r.Row is not null).Select(r => ((int)r.Row!.Line, r.Row.Text, r.Row.Label!, r.Row.Attributes!)));
        Assert.Equal(
        [
            (3, "The answer “Oslo” does not stand in the context, letter for letter; answers are cut out of their context, so copy it from there."),
            (4, "“is_impossible” is false, and yet there is no answer; add one, or set it to true."),
            (5, "There is no text under “question”."),
            (6, "The question has no “answers”, which others of the file have; an empty list says that the context has none."),
            (7, "Paragraph 2 of the file has no list of questions under “qas”."),
        ], read.Where(r => r.Row is null).Select(r => ((int)r.Rejection!.Line, r.Rejection.Reason)));
        Assert.Equal((3, 5, 1), ExamineFile.CountRows(file, look.Format, look.Mapping, Task, null, default) is var counts ? (counts.Rows, counts.Rejected, counts.SayNone) : default);
    }

    [Fact]
    public void Paragraphs_larger_than_what_is_read_at_once_come_in_whole()
    {
        var context = string.Concat(Enumerable.Range(0, 40_000).Select(i => $"word{i} "));
        var text = $$"""{"data": [{"title": "Long", "paragraphs": [{{string.Join(',', Enumerable.Repeat($$"""{"context": "{{context}}end", "qas": [{"question": "What?", "id": "x", "answers": [{"text": "word39999", "answer_start": {{context.Length - 10}}}]}]}""", 3))}}]}], "version": "1.1"}""";
        using var file = Tables.File(text);
        var look = Tables.See(file, "train.json", null, TextTask.QuestionAnswering);
        Assert.Equal((3, 0), ExamineFile.CountRows(file, look.Format!, look.Mapping, Task, null, default) is var counts ? (counts.Rows, counts.Rejected) : default);
    }

    [Fact]
    public void A_file_to_be_answered_comes_in_without_answers_and_a_broken_or_other_one_is_refused_with_the_layout()
    {
        using var asked = Tables.File("""{"data": [{"paragraphs": [{"context": "Anna is in Dover.", "qas": [{"question": "Who?", "id": "1"}]}]}]}""");
        var look = Tables.See(asked, "test.json", null, TextTask.QuestionAnswering);
        Assert.Equal(["title", "id", "question", "context"], look.Columns);
        Assert.Null(ReadTable.Take(look.Rows[0], look.Mapping.Columns, Task).Row!.Label);

        using var flat = Tables.File("""{"data": [{"question": "Who?", "context": "Anna"}]}""");
        Assert.StartsWith("The file has “data” as SQuAD’s files do, but no question in it; expected {\"data\": [{\"title\": ", Tables.See(flat, "flat.json", null, TextTask.QuestionAnswering).Problem);

        using var cut = Tables.File(Nested[..Nested.IndexOf("Nobody", StringComparison.Ordinal)]);
        look = Tables.See(cut, "cut.json", null, TextTask.QuestionAnswering);
        Assert.Equal("The file is not valid JSON in line 18; nothing from there on can be read.", look.Rows[^1].Fault);
        Assert.Equal(7, look.Rows.Count);
    }

    [Fact]
    public void A_first_question_without_an_answer_in_the_context_does_not_take_the_answers_of_the_others()
    {
        using var file = Tables.File("""{"data": [{"title": "\ud83d", "paragraphs": [{"context": "Anna is in Dover.", "qas": [{"question": "When?", "is_impossible": true}, {"question": "Who?", "answers": [{"text": "Anna", "answer_start": 0}]}]}, {"context": "Nobody asks.", "qas": []}]}]}""");
        var look = Tables.See(file, "train.json", null, TextTask.QuestionAnswering);
        Assert.Contains("answers", look.Columns);
        var rows = ReadTable.Rows(file, look.Format!, look.Columns).Select(r => ReadTable.Take(r, look.Mapping.Columns, Task)).ToList();
        Assert.Equal([QuestionAnswers.None, """{"text":["Anna"],"answer_start":[0]}"""], rows.Select(r => r.Row?.Label ?? r.Rejection!.Reason));
    }

    [Fact]
    public void A_small_file_whose_questions_would_fill_the_disk_is_refused()
    {
        using var file = Tables.File($$"""{"data": [{"paragraphs": [{"context": "{{new string('x', 1_000_000)}}", "qas": [{{string.Join(',', Enumerable.Repeat("""{"question":"a","answers":[]}""", 500))}}]}]}]}""");
        Assert.Equal("Each question is a row with its whole context and the title of its article, and by question 68 these are more than 67,108,864 bytes, which is the most for a file of 1,015,055. Divide long contexts, so that each question stands with the part it asks about.", Assert.Throws<DataFileException>(() => ReadTable.Rows(file, new(FileKind.Squad, "utf-8"), ["question", "context", "answers"]).Count()).Message);
    }

    [Fact]
    public void A_long_title_counts_as_a_long_context_does()
    {
        using var file = Tables.File($$"""{"data": [{"title": "{{new string('x', 1_000_000)}}", "paragraphs": [{"context": "a", "qas": [{{string.Join(',', Enumerable.Repeat("""{"question":"a","answers":[]}""", 500))}}]}]}]}""");
        Assert.StartsWith("Each question is a row with its whole context and the title of its article, and by question 68 these", Assert.Throws<DataFileException>(() => ReadTable.Rows(file, new(FileKind.Squad, "utf-8"), ["title", "question", "context", "answers"]).Count()).Message);
    }

    [Fact]
    public void Names_with_half_a_character_cost_their_row_or_paragraph_alone()
    {
        using var file = Tables.File("""{"data": [{"paragraphs": [{"context": "Anna is in Dover.", "\ud83d": 1, "qas": [{"question": "Who?", "answers": []}], "\ud83d": 1}, {"context": "Anna is in Dover.", "qas": [{"\ud83d": 1, "question": "Who?", "\ud83d": 1}, {"question": "Who?", "answers": []}]}]}]}""");
        var look = Tables.See(file, "train.json", null, TextTask.QuestionAnswering);
        Assert.Equal([true, true, false], ReadTable.Rows(file, look.Format!, look.Columns).Select(r => r.Fault is not null));
    }
}
