using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace FineTuneStudio.Datasets;

/// A labelled stretch of a text: UTF-16 offsets, the end exclusive.
public sealed record NamedSpan(int Start, int End, string Label)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// As it stands in the label column of a version: [{"start":0,"end":5,"label":"person"}], by start.
    public static string ToJson(IEnumerable<NamedSpan> spans) => JsonSerializer.Serialize(spans.OrderBy(s => s.Start), Json);

    /// How the JSON of a span with this label ends.
    public static string LabelEnd(string label) => $"\"label\":{JsonSerializer.Serialize(label, Json)}}}";

    public static IReadOnlyList<NamedSpan> FromJson(string json) => JsonSerializer.Deserialize<List<NamedSpan>>(json, Json)!;
}

/// Tags of words to spans of the text that the words make when they are joined by single blanks. BIO, IOB1, BIOES and BILOU are told
/// apart by their letters; an I- without a B- begins a span, as conlleval reads it; a tag without a letter marks its own word alone.
internal sealed class BioTags
{
    private readonly StringBuilder text = new();
    private readonly List<NamedSpan> spans = [];
    private bool open;

    public string Text => text.ToString();

    public int Length => text.Length;

    public IReadOnlyList<NamedSpan> Spans => spans;

    /// Why the tag cannot be read, or null.
    public string? Add(string word, string tag)
    {
        if (text.Length > 0) text.Append(' ');
        var start = text.Length;
        text.Append(word);
        if (tag.Length == 0) return "The tag is empty; a word outside every entity has the tag O.";
        if (tag is "O" or "_") { open = false; return null; }
        var (letter, type) = tag.Length > 1 && tag[1] == '-' && "BIELSUM".Contains(tag[0], StringComparison.Ordinal) ? (tag[0], tag[2..]) : ('S', tag);
        if (type.Length == 0) return $"The tag “{tag}” names no entity type; expected something like {letter}-person.";
        if (type.Length > DataLimits.LabelCharacters) return $"The entity type has {type.Length} characters; it has at most {DataLimits.LabelCharacters}. Is this the column of the tags?";
        if (letter is 'I' or 'E' or 'L' or 'M' && open && spans[^1].Label == type) spans[^1] = spans[^1] with { End = text.Length };
        else spans.Add(new(start, text.Length, type));
        open = letter is 'B' or 'I' or 'M';
        return null;
    }
}
