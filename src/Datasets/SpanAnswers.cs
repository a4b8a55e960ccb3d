using System.Globalization;
using System.Text.Json;
using FineTuneStudio.Engine.Quality;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// Labelled spans of the text. A cell holds a JSON list of spans with offsets, or of one tag for each word of the text.
public sealed class SpanAnswers(SpanOffsets offsets = SpanOffsets.CodePoints) : Answers
{
    public static readonly SpanAnswers All = new();

    public static readonly IReadOnlyList<(SpanOffsets Offsets, string Name, string Says)> Countings =
        [(SpanOffsets.CodePoints, "code points", "Code points, where 😀 is one: Python"), (SpanOffsets.Utf16, "UTF-16 units", "UTF-16 units, where 😀 is two: JavaScript, Java, C#")];

    private static readonly string[] Starts = ["start", "start_offset", "startIndex", "begin"], Ends = ["end", "end_offset", "endIndex", "stop"],
        Labels = ["label", "type", "entity", "tag", "entity_group", "slot", "class"], Lists = ["entities", "spans", "labels"];

    public override string Role => "Spans";

    public override string One => "spans";
    public override string Many => "spans";
    public override string NamesTitle => "Types of spans";

    public override string Stratum => "rarest type in the text";

    public override string Spread => "Types of spans are spread over the three parts by these shares, as well as whole texts allow: a text with several types counts for its rarest one.";

    /// A text may come as the list of its words.
    public override (string Text, string? Fault) Text(string cell)
    {
        if (!cell.StartsWith('[')) return (cell, null);
        try
        {
            using var json = JsonDocument.Parse(cell);
            return (json.RootElement.ValueKind == JsonValueKind.Array && json.RootElement.GetArrayLength() > 0 && json.RootElement.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String)
                ? string.Join(' ', json.RootElement.EnumerateArray().Select(e => e.GetString())) : cell, null);
        }
        catch (InvalidOperationException) { return (cell, DataLimits.HalfCharacter("The list of words")); }
        catch (JsonException) { return (cell, null); }
    }

    public override Answers With(ColumnMapping mapping) => new SpanAnswers(mapping.Offsets ?? offsets);

    /// Code points and UTF-16 units differ where a text holds an emoji or the like. One counting holds for the whole file: the chosen one,
    /// else the one by which spans are what they say they are, else the one that alone fits, else code points.
    public override (Answers Answers, string? Decided) Survey(FileFormat format, ColumnMapping mapping, IEnumerable<RawRow> rows)
    {
        if (format.Kind == FileKind.TaggedWords) return (new SpanAnswers(SpanOffsets.Utf16), null);
        var (textAt, spansAt) = (mapping.PlaceOf(ColumnRole.Text), mapping.PlaceOf(ColumnRole.Label));
        if (textAt < 0 || spansAt < 0) return (With(mapping), null);
        var (texts, said) = (0, 0);
        var (found, fit) = (new int[2], new int[2]);
        foreach (var row in rows)
        {
            if (row.Fault is not null || Text(row.Cells[textAt]) is not { Fault: null } read || CodePoints(read.Text) is not { } points) continue;
            if (Given(row.Cells[spansAt]) is not { Count: > 0 } spans) continue;
            texts++;
            foreach (var span in spans)
            {
                (int, int)? byPoints = Place(span, read.Text, points, SpanOffsets.CodePoints), byUnits = Place(span, read.Text, points, SpanOffsets.Utf16);
                if (byPoints is null != byUnits is null) fit[byPoints is null ? 1 : 0]++;
                if (span.Text is null) continue;
                said++;
                var (isPoints, isUnits) = (Says(span, read.Text, byPoints), Says(span, read.Text, byUnits));
                if (isPoints != isUnits) found[isPoints ? 0 : 1]++;
            }
        }
        var (way, why) = mapping.Offsets is { } chosen ? (chosen, "as chosen")
            : found[0] + found[1] > 0 ? (found[1] > found[0] ? SpanOffsets.Utf16 : SpanOffsets.CodePoints, $"by which {Math.Max(found[0], found[1]):N0} of the {said:N0} spans there that carry their text are found")
            : fit[0] == 0 && fit[1] > 0 ? (SpanOffsets.Utf16, "because only so all their spans lie in their texts")
            : (SpanOffsets.CodePoints, "as Python writes them, because nothing in the file tells; choose UTF-16 units if the file comes from JavaScript, Java or C#");
        return (new SpanAnswers(way), texts == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"{(texts == 1 ? "1 text with spans holds" : $"{texts:N0} texts with spans hold")} characters such as 😀, and the offsets count {Name(way)}, {why}."));
    }

    public override (string? Answer, string? Fault) Read(string cell, string column, string text)
    {
        if (string.IsNullOrWhiteSpace(cell)) return (null, null);
        try
        {
            using var json = JsonDocument.Parse(cell);
            if (Items(json.RootElement) is not { } items) return (null, Expected(column));
            return items.Count > 0 && items.All(i => i.ValueKind is JsonValueKind.String or JsonValueKind.Number && i.ValueKind == items[0].ValueKind) ? Tags(items, text) : Spans(items, column, text);
        }
        catch (InvalidOperationException) { return (null, DataLimits.HalfCharacter($"“{column}”")); }
        catch (JsonException) { return (null, Expected(column)); }
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

    private (string?, string?) Spans(List<JsonElement> items, string column, string text)
    {
        var spans = new List<NamedSpan>();
        var points = CodePoints(text);
        foreach (var item in items)
        {
            if (Span(item) is not { } span) return (null, Expected(column));
            if (span.Label.Trim() is not { Length: > 0 and <= DataLimits.LabelCharacters } label || label.Any(char.IsControl)) return (null, $"The span at {span.Start} has no usable label: it has {span.Label.Length} characters; expected 1 to {DataLimits.LabelCharacters} on one line.");
            var count = points is null ? "characters" : Name(offsets);
            if (Place(span, text, points, offsets) is not var (start, end))
                return (null, span.Start >= 0 && span.Start < span.End && span.End <= text.Length && offsets == SpanOffsets.Utf16 ? $"The span {span.Start} to {span.End} (“{label}”) begins or ends inside a character such as 😀, which is two UTF-16 units."
                    : $"The span {span.Start} to {span.End} (“{label}”) is not in the text, which has {(points is null || offsets == SpanOffsets.Utf16 ? text.Length : points.Length - 1)} {count}; offsets count {count} from 0 and the end is the one after the last.");
            if (!Says(span, text, (start, end))) return (null, $"The span {span.Start} to {span.End} (“{label}”) says that it is “{DataLimits.Clip(span.Text!, 60)}”, but there the text has “{DataLimits.Clip(text[start..end], 60)}”; offsets count {count} from 0 and the end is the one after the last.");
            while (start < end && char.IsWhiteSpace(text[start])) start++;
            while (end > start && char.IsWhiteSpace(text[end - 1])) end--;
            if (start == end) return (null, $"The span {span.Start} to {span.End} (“{label}”) holds nothing but blanks.");
            spans.Add(new(start, end, label));
        }
        spans = [.. spans.Distinct().OrderBy(s => s.Start).ThenBy(s => s.End)];
        for (var i = 1; i < spans.Count; i++)
            if (spans[i].Start < spans[i - 1].End)
                return (null, $"The spans {spans[i - 1].Start} to {spans[i - 1].End} (“{spans[i - 1].Label}”) and {spans[i].Start} to {spans[i].End} (“{spans[i].Label}”) overlap; each character belongs to one span at most.");
        return (NamedSpan.ToJson(spans), null);
    }

    /// Text is what the file says that the span is, where it says so.
    private sealed record GivenSpan(int Start, int End, string Label, string? Text);

    /// The spans with offsets in a cell; null where it holds none that can be read.
    private static List<GivenSpan>? Given(string cell)
    {
        if (string.IsNullOrWhiteSpace(cell)) return null;
        try
        {
            using var json = JsonDocument.Parse(cell);
            return Items(json.RootElement)?.Select(Span).OfType<GivenSpan>().ToList();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { return null; }
    }

    private static List<JsonElement>? Items(JsonElement list)
    {
        if (list.ValueKind == JsonValueKind.Object) list = Lists.Select(name => list.TryGetProperty(name, out var inner) ? inner : default).FirstOrDefault(i => i.ValueKind == JsonValueKind.Array);
        return list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray()] : null;
    }

    private static GivenSpan? Span(JsonElement item)
    {
        if (item.ValueKind == JsonValueKind.Array)
            return item.GetArrayLength() == 3 && Whole(item[0]) is { } from && Whole(item[1]) is { } to && item[2].ValueKind == JsonValueKind.String ? new(from, to, item[2].GetString()!, null) : null;
        if (item.ValueKind != JsonValueKind.Object) return null;
        var place = item.TryGetProperty("valueSpan", out var inner) && inner.ValueKind == JsonValueKind.Object ? inner : item;
        JsonElement? Find(JsonElement of, string[] names) => names.Select(n => of.TryGetProperty(n, out var found) ? found : (JsonElement?)null).FirstOrDefault(f => f is not null);
        // A format that leaves out what is zero leaves out the start of a span at the beginning of the text.
        var start = Find(place, Starts) is { } s ? Whole(s) : place.Equals(inner) ? 0 : null;
        var said = Find(item, ["text"]) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;
        return start is { } at && Find(place, Ends) is { } e && Whole(e) is { } end && Find(item, Labels) is { ValueKind: JsonValueKind.String } label ? new(at, end, label.GetString()!, said) : null;
    }

    private static int? Whole(JsonElement number) => number.ValueKind == JsonValueKind.Number && number.TryGetInt32(out var whole) ? whole : null;

    /// Where a span stands in UTF-16 units; null where that is not in the text or is inside a character.
    private static (int Start, int End)? Place(GivenSpan span, string text, int[]? points, SpanOffsets offsets)
    {
        var place = At(span, text, points, offsets);
        // A scored file has an apostrophe before what a spreadsheet would run, and its spans are of the text without it.
        return text is ['\'', ..] && !Says(span, text, place) && At(span with { Start = span.Start + 1, End = span.End + 1 }, text, points, offsets) is { } moved && Says(span, text, moved) ? moved : place;
    }

    private static (int Start, int End)? At(GivenSpan span, string text, int[]? points, SpanOffsets offsets)
    {
        if (span.Start < 0 || span.End <= span.Start) return null;
        if (points is null) return span.End > text.Length ? null : (span.Start, span.End);
        if (offsets == SpanOffsets.CodePoints) return span.End >= points.Length ? null : (points[span.Start], points[span.End]);
        return Array.BinarySearch(points, span.Start) < 0 || Array.BinarySearch(points, span.End) < 0 ? null : (span.Start, span.End);
    }

    private static bool Says(GivenSpan span, string text, (int Start, int End)? place) => span.Text is null || place is var (start, end) && text.AsSpan(start, end - start).Trim().SequenceEqual(span.Text.AsSpan().Trim());

    private static string Name(SpanOffsets offsets) => Countings.First(c => c.Offsets == offsets).Name;

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

    public override string Spell(string answer, string text) =>
        NamedSpan.FromJson(answer) is { Count: > 0 } spans ? string.Join(", ", spans.Select(s => string.Create(CultureInfo.InvariantCulture, $"{s.Label} “{text[s.Start..s.End]}” from {s.Start}"))) : Show(answer);

    /// Blanks and capitals, which do not make two texts different, move spans.
    public override string Meaning(string answer, string text) =>
        string.Join('\0', NamedSpan.FromJson(answer).OrderBy(s => s.Start).Select(s => $"{TextNormalization.Key(text[..s.Start]).Replace(" ", "").Length}\0{TextNormalization.Key(text[s.Start..s.End])}\0{s.Label}"));

    public override IReadOnlyList<string> Strata(IReadOnlyList<string> answers)
    {
        var types = answers.Select(a => Names(a).Distinct().ToList()).ToList();
        var rows = types.SelectMany(t => t).CountBy(t => t).ToDictionary();
        return [.. types.Select(t => t.Count == 0 ? "no span" : t.OrderBy(n => rows[n]).ThenBy(n => n, StringComparer.Ordinal).First())];
    }

    public override TrainingExample Example(long rowId, string text, string answer, IReadOnlyDictionary<string, int> labels) =>
        new SpannedText(rowId, text, [.. NamedSpan.FromJson(answer).Select(s => new TextSpan(s.Start, s.End, labels[s.Label]))]);
}
