using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// A prompt and the answer to it. The text of a row is the prompt, or a whole conversation as ChatTurns writes it; a column of chat
/// messages holds both, and then no other column has to.
public sealed class GenerationAnswers : Answers
{
    public static readonly GenerationAnswers All = new();

    private static readonly string[] Prompts = ["messages", "conversation", "prompt", "instruction", "question", "text", "input", "query"], Given = ["answer", "output", "response", "completion", "target", "chosen"], Contexts = ["input", "context"];

    public override bool HasOneRight => false;

    public override string Role => "Answer";

    public override string One => "an answer";
    public override string Many => "answers";
    public override bool IsLabel => false;
    public override string? NamesTitle => null;

    public override string TextRole => "Prompt";

    public override string? ContextRole => "Added to the prompt";

    public override string Missing => "unanswered";

    public override string Stratum => "answer";

    public override (string? Answer, string? Fault) Read(string cell, string column, string text) => (string.IsNullOrWhiteSpace(cell) ? null : cell.Trim(), null);

    /// A list of chat messages is taken apart: its last turn is the answer, all before it the prompt.
    public override SettledRow Settle(RowCells cells)
    {
        var text = cells.Text;
        if (!cells.HasAnswer && IsChat(text))
        {
            try
            {
                using var messages = JsonDocument.Parse(text);
                (text, var last) = ChatTurns.SplitAnswer(messages.RootElement);
                return string.IsNullOrWhiteSpace(text) ? new("", null, "The user's message is empty.") : new(text, string.IsNullOrWhiteSpace(last) ? null : last.Trim());
            }
            catch (JsonException) { return new(text, null, "The cell begins like a list of chat messages but is not valid JSON; expected a list such as [{\"role\": \"user\", \"content\": \"…\"}, {\"role\": \"assistant\", \"content\": \"…\"}]."); }
            catch (FormatException fault) { return new(text, null, fault.Message); }
        }
        return new(string.IsNullOrWhiteSpace(cells.Context) ? text : $"{text}\n\n{cells.Context.Trim()}", cells.Answer);
    }

    /// Of a chat every message is cut short, so that the preview can take it apart as the import does.
    public override string Shorten(string cell)
    {
        if (cell.Length <= DataLimits.FoundCharacters || !IsChat(cell)) return DataLimits.Clip(cell);
        try
        {
            using var messages = JsonDocument.Parse(cell);
            var turns = messages.RootElement.EnumerateArray().Select(m => new { role = m.GetProperty("role").GetString(), content = DataLimits.Clip(m.GetProperty("content").GetString()!) });
            return JsonSerializer.Serialize(turns, Readable) is { Length: <= LongestPreview } chat ? chat : DataLimits.Clip(cell);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or NullReferenceException) { return DataLimits.Clip(cell); }
    }

    /// What the import makes of a chat in the column of the prompt: what the user says last, how many messages stand before it, and the answer; or why it
    /// takes none of it. Null where the cell is no chat, or another column holds the answer.
    public static (string Prompt, int Before, string Answer, string? Fault)? Preview(string cell, ColumnMapping mapping)
    {
        if (!IsChat(cell) || mapping.PlaceOf(ColumnRole.Label) >= 0) return null;
        var row = All.Settle(new(cell, null, null, null, false));
        // A chat that is too long for a preview was cut amid it.
        if (row.Fault is not null) return cell.EndsWith('…') ? null : ("", 0, "", row.Fault);
        var turns = ChatTurns.Read(row.Text);
        var last = turns.ToList().FindLastIndex(t => t.Role == ChatTurns.User);
        return (turns[Math.Max(0, last)].Content, Math.Max(0, last), row.Answer ?? "", null);
    }

    private static bool IsChat(string cell) => cell.AsSpan().TrimStart() is ['[', ..];

    private const int LongestPreview = 1 << 15;

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public override ColumnMapping? Guess(IReadOnlyList<string> columns)
    {
        string? Of(string[] names, params string?[] taken) => names.Select(n => columns.FirstOrDefault(c => string.Equals(c, n, StringComparison.OrdinalIgnoreCase))).FirstOrDefault(c => c is not null && !taken.Contains(c));
        if (Of(Prompts) is not { } prompt) return null;
        var chat = prompt.ToLowerInvariant() is "messages" or "conversation";
        var answer = chat ? null : Of(Given, prompt);
        var context = chat ? null : Of(Contexts, prompt, answer);
        return new([.. columns.Select(c => new ColumnUse(c, c == prompt ? ColumnRole.Text : c == answer ? ColumnRole.Label : c == context ? ColumnRole.Context : ColumnRole.Attribute))]);
    }

    public override IEnumerable<string> Names(string answer) => [];

    /// Answers have no kinds whose shares could be kept: the division is by the seed alone.
    public override IReadOnlyList<string> Strata(IReadOnlyList<string> answers) => [.. answers.Select(_ => "answered prompts")];

    public override TrainingExample Example(long rowId, string text, string answer, IReadOnlyDictionary<string, int> labels) => new AnsweredPrompt(rowId, text, answer);
}
