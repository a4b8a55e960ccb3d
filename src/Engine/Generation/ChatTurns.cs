using System.Text.Encodings.Web;
using System.Text.Json;

namespace FineTuneStudio.Engine.Generation;

/// <summary>One message of a conversation.</summary>
/// <param name="Role">Who speaks: system, user, assistant, or another name that the data has.</param>
public sealed record ChatTurn(string Role, string Content);

/// <summary>
/// A conversation as the text of a row. A single message of a user is its content and nothing more, so that a plain prompt
/// stays plain; anything else is the JSON list of messages that chat files have.
/// </summary>
public static class ChatTurns
{
    public const string System = "system", User = "user", Assistant = "assistant";

    private static readonly JsonWriterOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The text from which <see cref="Read"/> gives the same turns.</summary>
    public static string Write(IReadOnlyList<ChatTurn> turns)
    {
        // A prompt that looks like a list of messages itself must not be taken for one.
        if (turns is [{ Role: User, Content: var content }] && Parsed(content) is null) return content;
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, Plain))
        {
            writer.WriteStartArray();
            foreach (var turn in turns)
            {
                writer.WriteStartObject();
                writer.WriteString("role", turn.Role);
                writer.WriteString("content", turn.Content);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
        }
        return global::System.Text.Encoding.UTF8.GetString(buffer.ToArray());
    }

    /// <summary>The turns of a row's text; a text that is no list of messages is one message of a user.</summary>
    public static IReadOnlyList<ChatTurn> Read(string text) => Parsed(text) ?? [new(User, text)];

    /// <summary>Splits a conversation into the prompt, which is every turn before the last, and the answer, which is the last.</summary>
    /// <param name="messages">A JSON list of objects with role and content.</param>
    /// <exception cref="FormatException">It is no such list, or its last turn is not the assistant's; the sentence says which.</exception>
    public static (string Prompt, string Answer) SplitAnswer(JsonElement messages)
    {
        if (messages.ValueKind != JsonValueKind.Array) throw new FormatException($"\"messages\" is a JSON {messages.ValueKind.ToString().ToLowerInvariant()}; expected a list of objects with a role and a content.");
        ChatTurn? Spoken(JsonElement message, int number)
        {
            try { return Turn(message); }
            // JSON can write half of a surrogate pair, of which no text can be made.
            catch (InvalidOperationException) { throw new FormatException($"Message {number} holds half of a character, such as \\ud83d without the \\ude00 after it; write both halves, or the character itself."); }
        }
        var turns = messages.EnumerateArray().Select((message, i) => Spoken(message, i + 1)
            ?? throw new FormatException($"Message {i + 1} has no text under \"role\" and \"content\"; expected an object such as {{\"role\": \"user\", \"content\": \"…\"}}.")).ToList();
        if (turns.Count < 2 || turns[^1].Role != Assistant)
            throw new FormatException(turns.Count == 0 ? "The list of messages is empty; expected a user's message and the assistant's answer."
                : turns[^1].Role == Assistant ? "The only message is the assistant's; expected a prompt before it."
                : $"The last message is of the role {turns[^1].Role}; expected the assistant's answer, which the model is to learn.");
        return (Write(turns[..^1]), turns[^1].Content);
    }

    private static List<ChatTurn>? Parsed(string text)
    {
        var trimmed = text.AsSpan().Trim();
        if (trimmed is not ['[', .., ']']) return null;
        try
        {
            using var document = JsonDocument.Parse(text);
            List<ChatTurn> turns = [];
            foreach (var message in document.RootElement.EnumerateArray())
            {
                if (message.ValueKind != JsonValueKind.Object || message.EnumerateObject().Count() != 2 || Turn(message) is not { } turn) return null;
                turns.Add(turn);
            }
            return turns.Count > 0 ? turns : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static ChatTurn? Turn(JsonElement message) =>
        message.ValueKind == JsonValueKind.Object && message.TryGetProperty("role", out var role) && role.ValueKind == JsonValueKind.String
            && message.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String ? new(role.GetString()!, content.GetString()!) : null;
}
