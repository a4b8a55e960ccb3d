using System.Text.Json;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// Labelled spans of the text. A cell holds a JSON list of spans with offsets, or of one tag for each word of the text.
public sealed class SpanAnswers : Answers
{
    public static readonly SpanAnswers All = new();

    private static readonly string[] Starts = ["start", "start_offset", "startIndex", "begin"], Ends = ["end", "end_offset", "endIndex", "stop"],
        Labels = ["label", "type", "entity", "tag", "entity_group", "slot", "class"], Lists = ["entities", "spans", "labels"];

    public override string Role => "Spans";

    public override string Stratum => "rarest type in the text";

    /// A text may come as the list of its words.
    public override string Text(string cell)
    {
        if (!cell.StartsWith('[')) return cell;
        try
        {
            using var json = JsonDocument.Parse(cell);
            return json.RootElement.ValueKind == JsonValueKind.Array && json.RootElement.GetArrayLength() > 0 && json.RootElement.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String)
                ? string.Join(' ', json.RootElement.EnumerateArray().Select(e => e.GetString())) : cell;
        }
        catch (JsonException) { return cell; }
    }

    public override (string? Answer, string? Fault) Read(string cell, string column, string text)
    {
        if (string.IsNullOrWhiteSpace(cell)) return (null, null);
        try
        {
            using var json = JsonDocument.Parse(cell);
            var list = json.RootElement;
            if (list.ValueKind == JsonValueKind.Object) list = Lists.Select(name => list.TryGetProperty(name, out var inner) ? inner : default).FirstOrDefault(i => i.ValueKind == JsonValueKind.Array);
            if (list.ValueKind != JsonValueKind.Array) return (null, Expected(column));
            var items = list.EnumerateArray().ToList();
            return items.Count > 0 && items.All(i => i.ValueKind is JsonValueKind.String or JsonValueKind.Number && i.ValueKind == items[0].ValueKind) ? Tags(items, text) : Spans(items, column, text);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { return (null, Expected(column)); }
    }

    private static string Expected(string column) => $"“{column}” is no list of spans; expected JSON such as [{{\"start\": 0, \"end\": 5, \"label\": \"person\"}}] with offsets in characters, or one tag for each word such as [\"B-person\", \"O\"].";

    private static (string?, string?) Tags(List<JsonElement> tags, string text)
    {
        if (tags[0].ValueKind == JsonValueKind.Number) return (null, "The tags are numbers, and their names are not in the file; write the tags themselves, such as B-person.");
        var words = text.Split(' ');
        if (words.Length != tags.Count) return (null, $"There are {tags.Count} tags for {words.Length} words; each word of the text, cut at single blanks, needs one.");
        var read = new BioTags();
        for (var i = 0; i < words.Length; i++)
            if (read.Add(words[i], tags[i].GetString()!.Trim()) is { } fault) return (null, $"Word {i + 1}: {fault}");
        return (NamedSpan.ToJson(read.Spans), null);
    }

    private static (string?, string?) Spans(List<JsonElement> items, string column, string text)
    {
        var spans = new List<NamedSpan>();
        foreach (var item in items)
        {
            if (Span(item) is not { } span) return (null, Expected(column));
            if (span.Label.Trim() is not { Length: > 0 and <= DataLimits.LabelCharacters } label || label.Any(char.IsControl)) return (null, $"The span at {span.Start} has no usable label: it has {span.Label.Length} characters; expected 1 to {DataLimits.LabelCharacters} on one line.");
            spans.Add(span with { Label = label });
        }
        // Python counts code points, JavaScript UTF-16 units. They differ where a text holds an emoji or the like: code points it is, unless a span ends behind the last of them.
        var points = CodePoints(text);
        if (points is not null && spans.All(s => s.Start >= 0 && s.End < points.Length)) spans = [.. spans.Select(s => s with { Start = points[s.Start], End = points[Math.Max(s.End, 0)] })];
        for (var i = 0; i < spans.Count; i++)
        {
            var (start, end) = (spans[i].Start, spans[i].End);
            if (start < 0 || end > text.Length || end <= start) return (null, $"The span {start} to {end} (“{spans[i].Label}”) is not in the text, which has {text.Length} characters; offsets count characters from 0 and the end is the one after the last.");
            while (start < end && char.IsWhiteSpace(text[start])) start++;
            while (end > start && char.IsWhiteSpace(text[end - 1])) end--;
            if (start == end) return (null, $"The span {spans[i].Start} to {spans[i].End} (“{spans[i].Label}”) holds nothing but blanks.");
            spans[i] = spans[i] with { Start = start, End = end };
        }
        spans = [.. spans.Distinct().OrderBy(s => s.Start).ThenBy(s => s.End)];
        for (var i = 1; i < spans.Count; i++)
            if (spans[i].Start < spans[i - 1].End)
                return (null, $"The spans {spans[i - 1].Start} to {spans[i - 1].End} (“{spans[i - 1].Label}”) and {spans[i].Start} to {spans[i].End} (“{spans[i].Label}”) overlap; each character belongs to one span at most.");
        return (NamedSpan.ToJson(spans), null);
    }

    private static NamedSpan? Span(JsonElement item)
    {
        if (item.ValueKind == JsonValueKind.Array)
            return item.GetArrayLength() == 3 && item[0].TryGetInt32(out var from) && item[1].TryGetInt32(out var to) && item[2].ValueKind == JsonValueKind.String ? new(from, to, item[2].GetString()!) : null;
        if (item.ValueKind != JsonValueKind.Object) return null;
        var place = item.TryGetProperty("valueSpan", out var inner) && inner.ValueKind == JsonValueKind.Object ? inner : item;
        JsonElement? Find(JsonElement of, string[] names) => names.Select(n => of.TryGetProperty(n, out var found) ? found : (JsonElement?)null).FirstOrDefault(f => f is not null);
        // A format that leaves out what is zero leaves out the start of a span at the beginning of the text.
        var start = Find(place, Starts) is { ValueKind: JsonValueKind.Number } s ? s.GetInt32() : place.Equals(inner) ? 0 : (int?)null;
        return start is { } at && Find(place, Ends) is { ValueKind: JsonValueKind.Number } e && Find(item, Labels) is { ValueKind: JsonValueKind.String } label ? new(at, e.GetInt32(), label.GetString()!) : null;
    }

    /// The UTF-16 offset of each code point and of the end; null where they are the same.
    private static int[]? CodePoints(string text)
    {
        if (!text.Any(char.IsHighSurrogate)) return null;
        List<int> units = [];
        var at = 0;
        foreach (var rune in text.EnumerateRunes()) { units.Add(at); at += rune.Utf16SequenceLength; }
        return [.. units, at];
    }

    /// Each span counts.
    public override IEnumerable<string> Names(string answer) => NamedSpan.FromJson(answer).Select(s => s.Label);

    public override (string Text, bool IsWhole) Holding(string name) => (NamedSpan.LabelEnd(name), false);

    public override string Show(string answer) => NamedSpan.FromJson(answer) is { Count: > 0 } spans ? string.Join(", ", spans.CountBy(s => s.Label).Select(c => c.Value == 1 ? c.Key : $"{c.Value} {c.Key}")) : "no span";

    public override IReadOnlyList<string> Strata(IReadOnlyList<string> answers)
    {
        var types = answers.Select(a => Names(a).Distinct().ToList()).ToList();
        var rows = types.SelectMany(t => t).CountBy(t => t).ToDictionary();
        return [.. types.Select(t => t.Count == 0 ? "no span" : t.OrderBy(n => rows[n]).ThenBy(n => n, StringComparer.Ordinal).First())];
    }

    public override TrainingExample Example(long rowId, string text, string answer, IReadOnlyDictionary<string, int> labels) =>
        new SpannedText(rowId, text, [.. NamedSpan.FromJson(answer).Select(s => new TextSpan(s.Start, s.End, labels[s.Label]))]);
}
