using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Generation;

/// <summary>
/// Writes prompts and answers as token ids, the same way for training, evaluation and generation. A mark such as im_start is one
/// token where the tokenizer has it, else it is spelt out. Templates are never run: those that are known are recognised by their text.
/// </summary>
public sealed partial class PromptTemplate
{
    private readonly Tokenizer tokenizer;
    private readonly string? defaultSystem;

    private PromptTemplate(Tokenizer tokenizer, PromptFormat format, string? defaultSystem, string said)
    {
        (this.tokenizer, Format, this.defaultSystem, Said) = (tokenizer, format, defaultSystem, said);
        var turnEnd = format switch { PromptFormat.ChatMl => tokenizer.IdOf("<|im_end|>"), PromptFormat.Llama3 => tokenizer.IdOf("<|eot_id|>"), _ => null };
        AnswerEnd = turnEnd ?? tokenizer.EndId;
        EndTokenIds = [.. new[] { turnEnd, tokenizer.EndId }.OfType<int>().Distinct()];
    }

    /// <summary>The format in use; never <see cref="PromptFormat.Model"/>.</summary>
    public PromptFormat Format { get; }

    /// <summary>A sentence on which format it is and why.</summary>
    public string Said { get; }

    /// <summary>The token that ends every answer; null where the tokenizer has none.</summary>
    public int? AnswerEnd { get; }

    /// <summary>Tokens at which generation stops.</summary>
    public IReadOnlyList<int> EndTokenIds { get; }

    /// <param name="folder">A Hugging Face model folder, for its chat template.</param>
    /// <param name="tokenizer">The tokenizer of the folder.</param>
    public static PromptTemplate For(string folder, Tokenizer tokenizer, PromptFormat format)
    {
        var template = ChatTemplate(folder);
        if (format != PromptFormat.Model) return new(tokenizer, format, null, $"Prompts are written as {Name(format)}.");
        if (template is null) return new(tokenizer, PromptFormat.Plain, null, "The base model has no chat template, so prompts are written as plain text.");
        if (template.Contains("<|start_header_id|>"))
            return new(tokenizer, PromptFormat.Llama3, null, $"Prompts are written as {Name(PromptFormat.Llama3)}, whose marks the base model's chat template has"
                // Templates since Llama 3.1 open every conversation with a message of their own, whatever the row says.
                + (template.Contains("<|start_header_id|>system") ? ", but without the system header that the template puts first, such as its cutting knowledge date." : "."));
        if (!template.Contains("<|im_start|>")) return new(tokenizer, PromptFormat.Plain, null, "The base model's chat template is none of the known ones (ChatML, Llama 3) and templates are not run, so prompts are written as plain text.");
        var system = SystemOfTemplate().Match(template) is { Success: true } match ? match.Groups[1].Value : null;
        return new(tokenizer, PromptFormat.ChatMl, system, $"Prompts are written as ChatML, whose marks the base model's chat template has{(system is null ? "" : $", with its system message \"{system}\" where a row has none")}.");
    }

    /// <summary>A prompt in tokens, with the model's beginning-of-text token where its tokenizer sets one.</summary>
    /// <param name="text">A prompt, or a conversation as <see cref="ChatTurns"/> writes it.</param>
    public int[] Prompt(string text)
    {
        var ids = tokenizer.EncodeIds(Render(ChatTurns.Read(text)));
        // A tokenizer that closes every text would end the text before the answer.
        while (ids.Length > 0 && ids[^1] == tokenizer.EndId) ids = ids[..^1];
        return ids.Length > 0 ? ids : [tokenizer.EndId ?? tokenizer.PadId];
    }

    /// <summary>An answer in tokens, ended where the tokenizer can say so.</summary>
    public int[] Answer(string text)
    {
        var ids = tokenizer.Encode(text, null, new EncodingOptions { AddSpecialTokens = false }).Ids;
        return AnswerEnd is { } end ? [.. ids, end] : [.. ids];
    }

    /// <summary>What tokens say.</summary>
    public string Text(IEnumerable<int> ids) => tokenizer.Decode(ids);

    /// <summary>The words before the answer, as the model meets them.</summary>
    public string Render(IReadOnlyList<ChatTurn> turns)
    {
        var text = new StringBuilder();
        switch (Format)
        {
            case PromptFormat.ChatMl:
                if (defaultSystem is not null && turns[0].Role != ChatTurns.System) text.Append($"<|im_start|>system\n{defaultSystem}<|im_end|>\n");
                foreach (var turn in turns) text.Append($"<|im_start|>{turn.Role}\n{turn.Content}<|im_end|>\n");
                return text.Append("<|im_start|>assistant\n").ToString();
            case PromptFormat.Llama3:
                foreach (var turn in turns) text.Append($"<|start_header_id|>{turn.Role}<|end_header_id|>\n\n{turn.Content.Trim()}<|eot_id|>");
                return text.Append("<|start_header_id|>assistant<|end_header_id|>\n\n").ToString();
            case PromptFormat.Instruction:
                foreach (var turn in turns)
                    text.Append(turn.Role switch { ChatTurns.System => "", ChatTurns.Assistant => "### Response:\n", _ => "### Instruction:\n" }).Append(turn.Content).Append("\n\n");
                return text.Append("### Response:\n").ToString();
            default:
                if (turns is [{ Role: ChatTurns.User } only]) return only.Content + "\n";
                foreach (var turn in turns) text.Append($"{turn.Role}: {turn.Content}\n");
                return text.Append("assistant:\n").ToString();
        }
    }

    private static string Name(PromptFormat format) => format switch
    {
        PromptFormat.ChatMl => "ChatML",
        PromptFormat.Llama3 => "Llama 3's chat format",
        PromptFormat.Instruction => "instruction and response under headings",
        _ => "plain text",
    };

    private static string? ChatTemplate(string folder)
    {
        var own = Path.Combine(folder, "chat_template.jinja");
        if (File.Exists(own)) return File.ReadAllText(own);
        var path = Path.Combine(folder, "tokenizer_config.json");
        if (!File.Exists(path)) return null;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("chat_template", out var template)) return null;
            if (template.ValueKind == JsonValueKind.String) return template.GetString();
            // Several templates, each with its name; the one for conversation is called default.
            return template.ValueKind == JsonValueKind.Array
                ? template.EnumerateArray().Where(t => t.ValueKind == JsonValueKind.Object && t.TryGetProperty("name", out var name) && name.ValueKind == JsonValueKind.String && name.GetString() == "default"
                    && t.TryGetProperty("template", out var text) && text.ValueKind == JsonValueKind.String).Select(t => t.GetProperty("template").GetString()).FirstOrDefault() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    [GeneratedRegex(@"<\|im_start\|>system(?:\\n|\n)([^{}<']+)<\|im_end\|>")]
    private static partial Regex SystemOfTemplate();
}
