using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Tests.Datasets;

public sealed class GenerationAnswersTests
{
    private static readonly Answers Task = Answers.Of(TextTask.Generation);

    private static (ReadRow? Row, Rejection? Rejection) Take(string[] columns, params string[] cells) => ReadTable.Take(new RawRow(3, cells), Task.Guess(columns)!.Columns, Task);

    [Theory]
    [InlineData("messages", "Text")]
    [InlineData("question,answer", "Text,Label")]
    [InlineData("instruction,input,output", "Text,Context,Label")]
    [InlineData("id,Prompt,Completion", "Attribute,Text,Label")]
    [InlineData("context,question,response", "Context,Text,Label")]
    public void The_columns_of_the_usual_files_are_known_by_their_names(string columns, string roles) =>
        Assert.Equal(roles, string.Join(',', Task.Guess(columns.Split(','))!.Columns.Select(c => c.Role)));

    [Fact]
    public void A_column_of_chat_messages_gives_prompt_and_answer()
    {
        var (row, _) = Take(["messages"], """[{"role":"user","content":"How many?"},{"role":"assistant","content":" Two \n"}]""");
        Assert.Equal(("How many?", "Two"), (row!.Text, row.Label));
        (row, _) = Take(["messages"], """[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]""");
        Assert.Equal(("""[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]""", "Hello"), (row!.Text, row.Label));
    }

    [Fact]
    public void A_long_chat_is_shown_before_the_import_as_it_will_be_read()
    {
        var (asked, said) = (new string('q', 900), new string('a', 2000));
        using var file = Tables.File($$"""
            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{asked}}"}, {"role": "assistant", "content": "{{said}}"}]}
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
            {"messages": [{"role": "user", "content": "Nobody answers"}]}

            """);
        var look = Tables.See(file, "chats.jsonl", null, TextTask.Generation);
        var shown = look.Rows.Select(r => GenerationAnswers.Preview(r.Cells[0], look.Mapping)).ToList();
        Assert.Equal((asked[..500] + "…", 1, said[..500] + "…", null), shown[0]);
        Assert.Equal(("Hi", 0, "Hello", null), shown[1]);
        Assert.Equal("The last message is of the role user; expected the assistant's answer, which the model is to learn.", shown[2]!.Value.Fault);
        Assert.Null(GenerationAnswers.Preview("a prompt", look.Mapping));
        Assert.Null(GenerationAnswers.Preview(look.Rows[1].Cells[0], new([new("messages", ColumnRole.Text), new("answer", ColumnRole.Label)])));
    }

    [Fact]
    public void An_instruction_takes_its_input_with_it_and_a_row_without_an_answer_comes_in_without_one()
    {
        string[] columns = ["instruction", "input", "output"];
        Assert.Equal("Translate.\n\nGuten Tag", Take(columns, "Translate.", "Guten Tag", "Good day").Row!.Text);
        Assert.Equal("Name a colour.", Take(columns, "Name a colour.", "", "Red").Row!.Text);
        Assert.Null(Take(columns, "Name a colour.", "", "  ").Row!.Label);
    }

    [Theory]
    [InlineData("""[{"role":"user","content":"How many?"}]""", "The last message is of the role user; expected the assistant's answer, which the model is to learn.")]
    [InlineData("""[{"role":"user","content":"Hi"},{"role":"assistant","content":"\ud83d"}]""", "Message 2 holds half of a character, such as \\ud83d without the \\ude00 after it; write both halves, or the character itself.")]
    [InlineData("[not json", "The cell begins like a list of chat messages but is not valid JSON; expected a list such as [{\"role\": \"user\", \"content\": \"…\"}, {\"role\": \"assistant\", \"content\": \"…\"}].")]
    [InlineData("""[{"role":"user","content":" "},{"role":"assistant","content":"x"}]""", "The user's message is empty.")]
    public void A_chat_that_teaches_nothing_is_rejected_with_the_reason(string cell, string reason)
    {
        var (row, rejection) = Take(["messages"], cell);
        Assert.Null(row);
        Assert.Equal((3, 1, reason), ((int)rejection!.Line, rejection.Column, rejection.Reason));
    }
}
