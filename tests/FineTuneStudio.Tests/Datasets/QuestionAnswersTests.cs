using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Tests.Datasets;

/// Questions, contexts and answers out of flat files and out of SQuAD's form.
public sealed class QuestionAnswersTests
{
    private static readonly Answers Task = Answers.Of(TextTask.QuestionAnswering);

    private static readonly string[] Flat = ["question", "context", "answer", "answer_start"];

    private static (ReadRow? Row, Rejection? Rejection) Take(string[] columns, params string[] cells) => ReadTable.Take(new RawRow(3, cells), Task.Guess(columns)!.Columns, Task);

    [Theory]
    [InlineData("id,title,context,question,answers", "Attribute,Attribute,Context,Text,Label")]
    [InlineData("question,context,answer,answer_start", "Text,Context,Label,Start")]
    [InlineData("Passage,Query,Answer_Text,Start", "Context,Text,Label,Start")]
    [InlineData("question,text", "Text,Context")]
    public void The_columns_of_the_usual_files_are_known_by_their_names(string columns, string roles) =>
        Assert.Equal(roles, string.Join(',', Task.Guess(columns.Split(','))!.Columns.Select(c => c.Role)));

    [Theory]
    [InlineData("Dover", "12", """{"text":["Dover"],"answer_start":[12]}""", false)]
    [InlineData("Dover", "", """{"text":["Dover"],"answer_start":[12]}""", false)]
    [InlineData(" Dover ", "11", """{"text":["Dover"],"answer_start":[12]}""", false)]
    [InlineData("a", "", """{"text":["a"],"answer_start":[3]}""", true)]
    [InlineData("a", "22", """{"text":["a"],"answer_start":[22]}""", false)]
    [InlineData("", "", """{"text":[],"answer_start":[]}""", false)]
    [InlineData("""{"text": ["Dover", "in  Dover"], "answer_start": [12, 8]}""", "", """{"text":["Dover","in  Dover"],"answer_start":[12,8]}""", false)]
    [InlineData("""{"text": ["Dover", "Dover"], "answer_start": [12, 12]}""", "", """{"text":["Dover"],"answer_start":[12]}""", false)]
    [InlineData("""{"text": [], "answer_start": []}""", "", """{"text":[],"answer_start":[]}""", false)]
    [InlineData("""[{"text": "Dover", "answer_start": 12}]""", "", """{"text":["Dover"],"answer_start":[12]}""", false)]
    [InlineData("[]", "", """{"text":[],"answer_start":[]}""", false)]
    [InlineData("""["Dover", "Anna"]""", "", """{"text":["Dover","Anna"],"answer_start":[12,0]}""", false)]
    public void An_answer_is_kept_with_its_place_in_the_context(string answer, string start, string stored, bool first)
    {
        var (row, rejection) = Take(Flat, "Where?", "Anna is in  Dover for a week", answer, start);
        Assert.Null(rejection);
        Assert.Equal(("Where? ¦¦ Anna is in  Dover for a week", stored, first), (row!.Text, row.Label, row.FirstOfSeveral));
        var example = (QuestionedText)Task.Example(1, row.Text, row.Label!, new Dictionary<string, int>());
        Assert.All(example.Answers, a => Assert.Equal(a.Text, example.Context[a.Start..a.End]));
    }

    [Fact]
    public void Starts_may_count_code_points_as_Python_does_or_UTF16_units()
    {
        Assert.Equal("""{"text":["Dover"],"answer_start":[6]}""", Take(Flat, "Where?", "🙂 in Dover", "Dover", "5").Row!.Label);
        Assert.Equal("""{"text":["Dover"],"answer_start":[6]}""", Take(Flat, "Where?", "🙂 in Dover", "Dover", "6").Row!.Label);
    }

    [Theory]
    [InlineData("", "some context", "x", "", 1, "The question in “question” is empty.")]
    [InlineData("Who?", " ", "x", "", 2, "The context is empty.")]
    [InlineData("Who ¦¦ what?", "some context", "some", "", 1, "The question holds “¦¦”, which stands between question and context here; take it out.")]
    [InlineData("Who?", "Anna is in Dover", "anna", "", 3, "The answer “anna” does not stand in the context, letter for letter; answers are cut out of their context, so copy it from there.")]
    [InlineData("Who?", "Anna is in Dover", "Dover", "3", 3, "The answer “Dover” does not stand at its start 3; there stands “a is ”. It stands at 11. Starts count the characters before the answer, from 0.")]
    [InlineData("Who?", "Anna is in Dover", "Dover", "90", 3, "The answer “Dover” does not stand at its start 90; there is nothing: the context has 16 characters. It stands at 11. Starts count the characters before the answer, from 0.")]
    [InlineData("Who?", "Anna is in Dover", "Dover", "eleven", 3, "The start “eleven” is no place; expected the number of characters before the answer, from 0, or an empty cell.")]
    [InlineData("Who?", "Anna is in Dover", """{"text": ["Dover"], "answer_start": [1, 2]}""", "", 3, "The answers are JSON but not of the form that is read here; expected {\"text\": [\"…\"], \"answer_start\": [0]}, a list of such answers, or the answer itself.")]
    [InlineData("Who?", "Anna is in Dover", """{"text": ["\ud83d"], "answer_start": [1]}""", "", 3, "The answer holds half of a character, such as \\ud83d without the \\ude00 after it; write both halves, or the character itself.")]
    [InlineData("Who?", "Anna is in Dover", """{"answer": "Dover"}""", "", 3, "The answers are JSON but not of the form that is read here; expected {\"text\": [\"…\"], \"answer_start\": [0]}, a list of such answers, or the answer itself.")]
    public void A_row_that_teaches_nothing_is_rejected_with_its_column_and_the_reason(string question, string context, string answer, string start, int column, string reason)
    {
        var (row, rejection) = Take(Flat, question, context, answer, start);
        Assert.Null(row);
        Assert.Equal((3, column, reason), ((int)rejection!.Line, rejection.Column, rejection.Reason));
    }

    [Fact]
    public void Without_a_column_of_answers_rows_are_unanswered_and_without_a_context_they_are_rejected()
    {
        Assert.Null(Take(["question", "context"], "Who?", "Anna").Row!.Label);
        var (_, rejection) = ReadTable.Take(new RawRow(3, ["Who?", "Anna"]), [new("question", ColumnRole.Text), new("answer", ColumnRole.Label)], Task);
        Assert.Equal("The row has no context; mark the column whose text the answers are cut out of as the context.", rejection!.Reason);
        Assert.Equal(["2 columns are marked as the answer's start; leave one."], new ColumnMapping([new("q", ColumnRole.Text), new("a", ColumnRole.Start), new("b", ColumnRole.Start)]).Faults(["q", "a", "b"]));
    }

    [Fact]
    public void A_file_in_SQuADs_form_is_counted_with_what_has_to_be_known()
    {
        var file = Tables.File("""
            {"id": "1", "context": "Anna is in Dover.", "question": "Who?", "answers": {"text": ["Anna"], "answer_start": [0]}}
            {"id": "2", "context": "Anna is in Dover.", "question": "When?", "answers": {"text": [], "answer_start": []}}
            {"id": "3", "context": "Anna met Anna.", "question": "Whom?", "answers": {"text": ["Anna"]}}
            {"id": "4", "context": "Anna is in Dover.", "question": "Where?", "answers": {"text": ["Oslo"], "answer_start": [11]}}

            """);
        var look = Tables.See(file, "squad.jsonl", task: TextTask.QuestionAnswering);
        Assert.Equal([ColumnRole.Attribute, ColumnRole.Context, ColumnRole.Text, ColumnRole.Label], look.Mapping.Columns.Select(c => c.Role));
        var counts = ExamineFile.CountRows(file, look.Format!, look.Mapping, Task, null, default);
        Assert.Equal((3, 0, 1, 1), (counts.Rows, counts.Unlabeled, counts.Rejected, counts.SayNone));
        Assert.Equal(["In 1 row the answer stands in the context more than once and no start says where: its first place is taken."], counts.Warnings);
        Assert.Empty(counts.Labels);
    }

    [Fact]
    public void Questions_about_one_context_stay_together_and_answers_are_shown_in_words()
    {
        Assert.Equal(Task.Key(TextPair.Join("Who?", "Anna is in Dover.")), Task.Key(TextPair.Join("Where?", "Anna is in Dover.")));
        Assert.Single(Task.Strata([QuestionAnswers.None, """{"text":["x"],"answer_start":[0]}"""]).Distinct());
        Assert.Equal(("no answer", "x / y"), (Task.Show(QuestionAnswers.None), Task.Show("""{"text":["x","y","x"],"answer_start":[0,4,9]}""")));
        Assert.True(Task.SaysNone(QuestionAnswers.None));
    }
}
