using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// A question, its context and the stretches of the context that answer it. The text of a row is question and context as a TextPair; the answer
/// is JSON of SQuAD's form, {"text": […], "answer_start": […]}, with starts in UTF-16 units and no text where the context has no answer.
public sealed class QuestionAnswers : Answers
{
    public static readonly QuestionAnswers All = new();

    private static readonly string[] Questions = ["question", "query"], Contexts = ["context", "passage", "paragraph", "document", "article", "text"],
        Given = ["answers", "answer", "answer_text", "text_answer"], Starts = ["answer_start", "answer start", "start", "answer_offset", "answer_begin"];

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// As a row without an answer stores it.
    public static readonly string None = ToJson([]);

    public override bool HasOneRight => false;

    public override string Role => "Answer";

    public override string One => "an answer";
    public override string Many => "answers";
    public override bool IsLabel => false;
    public override string? NamesTitle => null;

    public override string TextRole => "Question";

    public override string? ContextRole => "Context";

    public override bool HasStart => true;

    public override string Missing => "unanswered";

    public override string Stratum => "question";

    public override string Together => "context";

    /// Rows about one context stay in one part of a split, or a test would ask about what was learned by heart.
    public override string Key(string text) => TextPair.Split(text).Second ?? text;

    public override ColumnMapping? Guess(IReadOnlyList<string> columns)
    {
        string? Of(string[] names, params string?[] taken) => names.Select(n => columns.FirstOrDefault(c => string.Equals(c.Trim(), n, StringComparison.OrdinalIgnoreCase))).FirstOrDefault(c => c is not null && !taken.Contains(c));
        if (Of(Questions) is not { } question || Of(Contexts) is not { } context) return null;
        var answer = Of(Given, question, context);
        var start = Of(Starts, question, context, answer);
        return new([.. columns.Select(c => new ColumnUse(c, c == question ? ColumnRole.Text : c == context ? ColumnRole.Context : c == answer ? ColumnRole.Label : c == start ? ColumnRole.Start : ColumnRole.Attribute))]);
    }

    /// An empty cell says that the context has no answer; what else there is can be told only beside the context.
    public override (string? Answer, string? Fault) Read(string cell, string column, string text) => (cell, null);

    public override SettledRow Settle(RowCells cells)
    {
        if (string.IsNullOrWhiteSpace(cells.Context)) return new("", null, cells.Context is null ? "The row has no context; mark the column whose text the answers are cut out of as the context." : "The context is empty.", ColumnRole.Context);
        if (cells.Text.Contains(TextPair.Sign, StringComparison.Ordinal)) return new("", null, $"The question holds “{TextPair.Sign.Trim()}”, which stands between question and context here; take it out.");
        var text = TextPair.Join(cells.Text.Trim(), cells.Context);
        if (!cells.HasAnswer) return new(text, null);
        var (given, fault) = Found(cells.Answer ?? "", cells.Start);
        if (fault is not null) return new(text, null, fault, ColumnRole.Label);
        var (answers, several) = (new List<GoldAnswer>(), false);
        foreach (var (answer, start) in given)
        {
            if (answer.Trim() is not { Length: > 0 } bare) continue;
            var (at, first, unfit) = Place(bare, start is { } begin ? begin + (answer.Length - answer.TrimStart().Length) : null, cells.Context);
            if (unfit is not null) return new(text, null, unfit, ColumnRole.Label);
            several |= first;
            if (!answers.Contains(new(bare, at))) answers.Add(new(bare, at));
        }
        return new(text, ToJson(answers)) { FirstOfSeveral = several };
    }

    /// The answers of a cell with their starts, null where none is given.
    private static (IReadOnlyList<(string Text, int? Start)> Answers, string? Fault) Found(string cell, string? start)
    {
        if (cell.AsSpan().TrimStart() is ['{' or '[', ..])
        {
            try
            {
                using var json = JsonDocument.Parse(cell);
                return Squad(json.RootElement) is { } read ? (read, null)
                    : ([], "The answers are JSON but not of the form that is read here; expected {\"text\": [\"…\"], \"answer_start\": [0]}, a list of such answers, or the answer itself.");
            }
            // An answer may begin with a bracket.
            catch (JsonException) { }
            catch (InvalidOperationException) { return ([], DataLimits.HalfCharacter("The answer")); }
        }
        if (cell.Trim().Length == 0) return ([], null);
        if (string.IsNullOrWhiteSpace(start)) return ([(cell, null)], null);
        return int.TryParse(start.Trim(), out var at) && at >= 0 ? ([(cell, at)], null)
            : ([], $"The start “{DataLimits.Clip(start, 40)}” is no place; expected the number of characters before the answer, from 0, or an empty cell.");
    }

    private static List<(string, int?)>? Squad(JsonElement json)
    {
        if (json.ValueKind == JsonValueKind.Array)
        {
            if (json.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String)) return [.. json.EnumerateArray().Select(e => (e.GetString()!, (int?)null))];
            var each = json.EnumerateArray().Select(e => e.ValueKind == JsonValueKind.Object ? Squad(e) : null).ToList();
            return each.Contains(null) ? null : [.. each.SelectMany(e => e!)];
        }
        if (json.ValueKind != JsonValueKind.Object || !json.TryGetProperty("text", out var text)) return null;
        List<JsonElement> Items(JsonElement of) => of.ValueKind == JsonValueKind.Array ? [.. of.EnumerateArray()] : [of];
        var texts = Items(text);
        var starts = json.TryGetProperty("answer_start", out var given) || json.TryGetProperty("start", out given) ? Items(given) : null;
        if (texts.Any(t => t.ValueKind != JsonValueKind.String) || starts is not null && (starts.Count != texts.Count || starts.Any(s => s.ValueKind != JsonValueKind.Number || !s.TryGetInt32(out _)))) return null;
        return [.. texts.Select((t, i) => (t.GetString()!, starts?[i].GetInt32()))];
    }

    /// Where an answer stands: at its start, counted in UTF-16 units or, as Python counts, in code points; without one at its first place.
    private static (int At, bool FirstOfSeveral, string? Fault) Place(string answer, int? start, string context)
    {
        var first = context.IndexOf(answer, StringComparison.Ordinal);
        if (first < 0) return (0, false, $"The answer “{DataLimits.Clip(answer, 80)}” does not stand in the context, letter for letter; answers are cut out of their context, so copy it from there.");
        if (start is not { } given) return (first, context.IndexOf(answer, first + 1, StringComparison.Ordinal) >= 0, null);
        foreach (var at in new[] { given, Units(context, given) })
            if (at >= 0 && at <= context.Length && context.AsSpan(at).StartsWith(answer, StringComparison.Ordinal)) return (at, false, null);
        var there = given >= 0 && given < context.Length ? $"stands “{DataLimits.Clip(context[given..Math.Min(context.Length, given + answer.Length)], 80)}”" : $"is nothing: the context has {context.Length} characters";
        return (0, false, $"The answer “{DataLimits.Clip(answer, 80)}” does not stand at its start {given}; there {there}. It stands at {first}. Starts count the characters before the answer, from 0.");
    }

    /// The UTF-16 offset of a code point; -1 behind the last one.
    private static int Units(string text, int point)
    {
        var at = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            if (point-- == 0) return at;
            at += rune.Utf16SequenceLength;
        }
        return -1;
    }

    private static string ToJson(IReadOnlyList<GoldAnswer> answers) => JsonSerializer.Serialize(new Stored([.. answers.Select(a => a.Text)], [.. answers.Select(a => a.Start)]), Readable);

    /// The answers of a stored row.
    public static IReadOnlyList<GoldAnswer> FromJson(string answer) => JsonSerializer.Deserialize<Stored>(answer)! is var stored ? [.. stored.text.Zip(stored.answer_start, (text, start) => new GoldAnswer(text, start))] : [];

    private sealed record Stored(string[] text, int[] answer_start);

    public override bool SaysNone(string answer) => answer == None;

    public override IEnumerable<string> Names(string answer) => [];

    public override string Show(string answer) => FromJson(answer) is { Count: > 0 } answers ? string.Join(" / ", answers.Select(a => a.Text).Distinct()) : "no answer";

    /// Questions have no kinds whose shares could be kept: the division is by context and seed alone.
    public override IReadOnlyList<string> Strata(IReadOnlyList<string> answers) => [.. answers.Select(_ => "questions")];

    public override TrainingExample Example(long rowId, string text, string answer, IReadOnlyDictionary<string, int> labels) => new QuestionedText(rowId, text, FromJson(answer));
}
