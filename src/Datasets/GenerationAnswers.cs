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
        if (!cells.HasAnswer && text.AsSpan().TrimStart() is ['[', ..])
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
