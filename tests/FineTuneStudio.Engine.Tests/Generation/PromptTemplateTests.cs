using System.Text.Json;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Tests.Generation;

public sealed class PromptTemplateTests
{
    private static (string Prompt, string Answer) Split(string messages) => ChatTurns.SplitAnswer(JsonSerializer.Deserialize<JsonElement>(messages));

    [Fact]
    public void A_question_and_its_answer_stay_plain_and_a_longer_chat_keeps_its_turns()
    {
        Assert.Equal(("How many?", "Two"), Split("""[{"role":"user","content":"How many?"},{"role":"assistant","content":"Two"}]"""));
        var (prompt, answer) = Split("""[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi \"you\" ä\n"},{"role":"assistant","content":"Hello"},{"role":"user","content":"Bye"},{"role":"assistant","content":"So long"}]""");
        Assert.Equal("So long", answer);
        Assert.Equal("""[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi \"you\" ä\n"},{"role":"assistant","content":"Hello"},{"role":"user","content":"Bye"}]""", prompt);
        Assert.Equal([new("system", "Be brief."), new("user", "Hi \"you\" ä\n"), new("assistant", "Hello"), new ChatTurn("user", "Bye")], ChatTurns.Read(prompt));
    }

    [Theory]
    [InlineData("[1, 2, 3]")]
    [InlineData("[]")]
    [InlineData("[{\"role\":\"user\",\"content\":\"x\"}]")]
    [InlineData("[not json]")]
    [InlineData("[{\"role\":\"user\",\"content\":\"\\ud83d\"}]")]
    [InlineData("")]
    public void Whatever_a_user_writes_is_read_back_as_it_was(string content) =>
        Assert.Equal([new ChatTurn("user", content)], ChatTurns.Read(ChatTurns.Write([new("user", content)])));

    [Theory]
    [InlineData("[]", "The list of messages is empty; expected a user's message and the assistant's answer.")]
    [InlineData("""[{"role":"user","content":"x"}]""", "The last message is of the role user; expected the assistant's answer, which the model is to learn.")]
    [InlineData("""[{"role":"assistant","content":"x"}]""", "The only message is the assistant's; expected a prompt before it.")]
    [InlineData("""[{"role":"user"}]""", "Message 1 has no text under \"role\" and \"content\"; expected an object such as {\"role\": \"user\", \"content\": \"…\"}.")]
    [InlineData("""[{"role":"user","content":"\ud83d"},{"role":"assistant","content":"x"}]""", "Message 1 holds half of a character, such as \\ud83d without the \\ude00 after it; write both halves, or the character itself.")]
    [InlineData("{}", "\"messages\" is a JSON object; expected a list of objects with a role and a content.")]
    public void A_chat_without_an_answer_is_refused_with_a_sentence(string messages, string sentence) => Assert.Equal(sentence, Assert.Throws<FormatException>(() => Split(messages)).Message);

    [SkippableFact]
    public void Plain_prompts_end_with_a_line_break_and_answers_with_end_of_text()
    {
        var folder = Shared.Find("goldens/llama-tiny");
        var tokenizer = Tokenizer.Load(folder);
        var template = PromptTemplate.For(folder, tokenizer, PromptFormat.Model);
        Assert.Equal((PromptFormat.Plain, "The base model has no chat template, so prompts are written as plain text."), (template.Format, template.Said));
        Assert.Equal(tokenizer.EncodeIds("the word\n"), template.Prompt("the word"));
        Assert.Equal(1, template.Prompt("the word")[0]);
        var answer = template.Answer("the answer");
        Assert.Equal(2, answer[^1]);
        Assert.NotEqual(1, answer[0]);
        Assert.Equal("the answer", template.Text(answer));
        Assert.Equal([2], template.EndTokenIds);
    }

    [SkippableFact]
    public void A_chat_template_is_recognised_by_its_text_and_its_marks_are_single_tokens()
    {
        var golden = Shared.Find("goldens/qwen2-tiny");
        using var folder = new TemporaryFolder();
        foreach (var file in Directory.GetFiles(golden, "*.json").Append(Path.Combine(golden, "merges.txt"))) File.WriteAllBytes(Path.Combine(folder.Path, Path.GetFileName(file)), File.ReadAllBytes(file));
        var tokenizer = Tokenizer.Load(folder.Path);
        File.WriteAllText(Path.Combine(folder.Path, "chat_template.jinja"),
            "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe of help.<|im_end|>\\n' }}{% endif %}{{ '<|im_start|>' + message['role'] }}{% endfor %}");
        var template = PromptTemplate.For(folder.Path, tokenizer, PromptFormat.Model);
        Assert.Equal(PromptFormat.ChatMl, template.Format);
        Assert.Equal("<|im_start|>system\nBe of help.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", template.Render(ChatTurns.Read("Hi")));
        Assert.Equal(957, template.Prompt("Hi")[0]);
        Assert.Equal(958, template.Answer("Hi")[^1]);
        Assert.Equal([958, 956], template.EndTokenIds);
        Assert.Equal("Prompts are written as ChatML, whose marks the base model's chat template has, with its system message \"Be of help.\" where a row has none.", template.Said);

        string Said(string written)
        {
            File.WriteAllText(Path.Combine(folder.Path, "chat_template.jinja"), written);
            return PromptTemplate.For(folder.Path, tokenizer, PromptFormat.Model).Said;
        }
        const string turns = "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}";
        Assert.Equal("Prompts are written as Llama 3's chat format, whose marks the base model's chat template has.", Said(turns));
        Assert.Equal("Prompts are written as Llama 3's chat format, whose marks the base model's chat template has, but without the system header that the template puts first, such as its cutting knowledge date.",
            Said("{{- \"<|start_header_id|>system<|end_header_id|>\n\n\" }}{{- \"Cutting Knowledge Date: December 2023\n\" }}" + turns));

        File.WriteAllText(Path.Combine(folder.Path, "chat_template.jinja"), "{{ 'another' }}");
        Assert.Equal("The base model's chat template is none of the known ones (ChatML, Llama 3) and templates are not run, so prompts are written as plain text.",
            PromptTemplate.For(folder.Path, tokenizer, PromptFormat.Model).Said);
        Assert.Equal("### Instruction:\nHi\n\n### Response:\n", PromptTemplate.For(folder.Path, tokenizer, PromptFormat.Instruction).Render(ChatTurns.Read("Hi")));
        Assert.Equal("<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", PromptTemplate.For(folder.Path, tokenizer, PromptFormat.Llama3).Render(ChatTurns.Read("Hi")));
    }
}
