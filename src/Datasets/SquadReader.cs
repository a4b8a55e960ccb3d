using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text;

namespace FineTuneStudio.Datasets;

/// Reads SQuAD's published layout, one JSON object whose data holds articles with paragraphs and their questions, a paragraph at a time.
/// A row is a question, and its line is its number in the file, from 1; a paragraph that has no list of questions counts as one.
/// Each row has the context of its question and the title of its article, so a file may become many times as long: to a limit, because a small one could fill the disk.
internal sealed class SquadReader(Stream file, string encoding)
{
    private const int MostParagraph = DataLimits.RowCharacters, MostTimes = 64, MostAnyway = 1 << 26;
    private static readonly string[] Known = ["title", "id", "question", "context", "answers"];

    private byte[] buffer = new byte[1 << 16];
    private int from, to;
    private bool ended;
    private JsonReaderState state;
    private string? under, within, title;
    private long paragraphs;

    /// Whether the beginning of a file is of this layout: its data come first but for texts such as the version.
    public static bool Detect(string head)
    {
        var data = head.IndexOf("\"data\"", StringComparison.Ordinal);
        return head.TrimStart() is ['{', ..] && data > 0 && head.AsSpan(0, data).Count('{') == 1 && !head.AsSpan(0, data).Contains('[')
            && head.AsSpan(data + 6).TrimStart() is [':', .. var list] && list.TrimStart() is ['[', ..];
    }

    /// Without the answers where none of the first questions says anything of one, as in a file to be answered.
    public static IReadOnlyList<string> Columns(Stream file, string encoding)
    {
        var reader = new SquadReader(file, encoding);
        var (seen, fault) = (0, (string?)null);
        while (seen < 200 && reader.Next(out fault) is { } paragraph)
            using (paragraph)
                foreach (var question in Parts(paragraph.RootElement).Questions?.EnumerateArray().Take(200 - seen) ?? [])
                {
                    seen++;
                    if (question.ValueKind != JsonValueKind.Object || SaysOfAnswers(question)) return Known;
                }
        if (seen > 0) return Known[..^1];
        throw new DataFileException(fault ?? "The file has “data” as SQuAD’s files do, but no question in it; expected {\"data\": [{\"title\": \"…\", \"paragraphs\": [{\"context\": \"…\", \"qas\": [{\"question\": \"…\", \"answers\": [{\"text\": \"…\", \"answer_start\": 0}]}]}]}]}, or one object a line (JSON lines).");
    }

    public IEnumerable<RawRow> Rows(IReadOnlyList<string> columns)
    {
        // A large file gets less room for each of its bytes: SQuAD itself becomes about three times as long.
        var (number, length, most) = (0L, 0L, Math.Max(MostAnyway, Math.Min(MostTimes * file.Length, (1L << 32) + 2 * file.Length)));
        while (true)
        {
            var paragraph = Next(out var fault);
            if (fault is not null) yield return new(number + 1, [], fault);
            if (paragraph is null) yield break;
            using (paragraph)
            {
                var (context, questions, broken) = Parts(paragraph.RootElement);
                var repeated = (context is { } text ? JsonMarshal.GetRawUtf8Value(text).Length : 0) + Encoding.UTF8.GetByteCount(title ?? "");
                foreach (var question in questions?.EnumerateArray() ?? [])
                {
                    if ((length += repeated) > most)
                        throw new DataFileException(string.Create(CultureInfo.InvariantCulture, $"Each question is a row with its whole context and the title of its article, and by question {number + 1:N0} these are more than {most:N0} bytes, which is the most for a file of {file.Length:N0}. Divide long contexts, so that each question stands with the part it asks about."));
                    yield return Row(++number, context, question, columns);
                }
                if (questions is null) yield return new(++number, [], broken ? DataLimits.HalfCharacter("The paragraph") : string.Create(CultureInfo.InvariantCulture, $"Paragraph {paragraphs:N0} of the file has no list of questions under “qas”."), 0, DataLimits.Clip(paragraph.RootElement.GetRawText()));
            }
        }
    }

    /// Each looked up once, because the parser goes through all names of an object to find one; broken where a name holds half of a character.
    private static (JsonElement? Context, JsonElement? Questions, bool Broken) Parts(JsonElement paragraph)
    {
        try
        {
            return (paragraph.TryGetProperty("context", out var context) && context.ValueKind == JsonValueKind.String ? context : null,
                paragraph.TryGetProperty("qas", out var questions) && questions.ValueKind == JsonValueKind.Array ? questions : null, false);
        }
        catch (InvalidOperationException) { return (null, null, true); }
    }

    private static bool SaysOfAnswers(JsonElement question)
    {
        try { return question.TryGetProperty("answers", out _) || question.TryGetProperty("is_impossible", out _); }
        catch (InvalidOperationException) { return true; }
    }

    private RawRow Row(long number, JsonElement? context, JsonElement question, IReadOnlyList<string> columns)
    {
        RawRow Refuse(string reason) => new(number, [], reason, 0, DataLimits.Clip(question.GetRawText()));
        string? Text(JsonElement of, string name) => of.TryGetProperty(name, out var value) ? value.ValueKind == JsonValueKind.String ? value.GetString() : value.GetRawText() : null;
        try
        {
            if (question.ValueKind != JsonValueKind.Object) return Refuse("The question is no object; expected {\"question\": \"…\", \"answers\": […]}.");
            if (context is null) return Refuse("The paragraph of the question has no text under “context”.");
            if (!question.TryGetProperty("question", out var asked) || asked.ValueKind != JsonValueKind.String) return Refuse("There is no text under “question”.");
            bool? impossible = question.TryGetProperty("is_impossible", out var says) ? says.ValueKind switch { JsonValueKind.True => true, JsonValueKind.False => false, _ => null } : null;
            var answers = question.TryGetProperty("answers", out var given) ? given : (JsonElement?)null;
            if (columns.Contains("answers"))
            {
                if (answers is null && impossible != true) return Refuse("The question has no “answers”, which others of the file have; an empty list says that the context has none.");
                if (answers is { ValueKind: not JsonValueKind.Array }) return Refuse("The “answers” are no list; expected [{\"text\": \"…\", \"answer_start\": 0}].");
                var count = answers?.GetArrayLength() ?? 0;
                if (impossible == true && count > 0) return Refuse("“is_impossible” is true, and yet there are answers; take out the one or the other.");
                if (impossible == false && count == 0) return Refuse("“is_impossible” is false, and yet there is no answer; add one, or set it to true.");
            }
            return new(number, [.. columns.Select(column => column switch
            {
                "title" => title ?? "",
                "context" => context.Value.GetString()!,
                "answers" => answers?.GetRawText() ?? "[]",
                _ => Text(question, column) ?? "",
            })]);
        }
        catch (InvalidOperationException) { return Refuse(DataLimits.HalfCharacter("The question or its context")); }
    }

    /// The next paragraph, null behind the last one; a fault says why nothing more can be read.
    private JsonDocument? Next(out string? fault)
    {
        fault = null;
        try
        {
            if (paragraphs == 0 && from == to && !ended) Open();
            while (true)
            {
                var reader = new Utf8JsonReader(buffer.AsSpan(from, to - from), ended, state);
                while (true)
                {
                    var before = reader;
                    if (!reader.Read()) { Consume(reader); break; }
                    switch (reader.TokenType, reader.CurrentDepth)
                    {
                        case (JsonTokenType.PropertyName, 1): under = Said(ref reader); break;
                        case (JsonTokenType.StartObject, 2): (title, within) = (null, null); break;
                        case (JsonTokenType.PropertyName, 3): within = Said(ref reader); break;
                        case (JsonTokenType.String, 3) when within == "title": title = Said(ref reader); break;
                        case (JsonTokenType.StartObject, 4) when under == "data" && within == "paragraphs":
                            if (!JsonDocument.TryParseValue(ref reader, out var paragraph)) { Consume(before); goto more; }
                            Consume(reader);
                            paragraphs++;
                            return paragraph;
                    }
                }
                if (ended) return null;
            more:
                More();
            }
        }
        catch (JsonException e)
        {
            fault = $"The file is not valid JSON{(e.LineNumber is { } line ? string.Create(CultureInfo.InvariantCulture, $" in line {line + 1:N0}") : "")}; nothing from there on can be read.";
            return null;
        }
    }

    /// Null where it holds half of a character.
    private static string? Said(ref Utf8JsonReader reader)
    {
        try { return reader.GetString(); }
        catch (InvalidOperationException) { return null; }
    }

    private Stream input = Stream.Null;

    private void Open()
    {
        file.Position = 0;
        input = Encoding.CreateTranscodingStream(file, ReadTable.EncodingOf(encoding), new UTF8Encoding(false), leaveOpen: true);
        More();
        if (buffer.AsSpan(0, to).StartsWith(Encoding.UTF8.Preamble)) from = Encoding.UTF8.Preamble.Length;
    }

    private void Consume(Utf8JsonReader reader)
    {
        from += (int)reader.BytesConsumed;
        state = reader.CurrentState;
    }

    private void More()
    {
        buffer.AsSpan(from, to - from).CopyTo(buffer);
        (from, to) = (0, to - from);
        if (to == buffer.Length)
        {
            if (buffer.Length >= MostParagraph) throw new DataFileException(string.Create(CultureInfo.InvariantCulture, $"Paragraph {paragraphs + 1:N0} of the file is longer than {MostParagraph:N0} bytes with its questions; divide it."));
            Array.Resize(ref buffer, buffer.Length * 2);
        }
        // Until it is full: what is parsed anew with each more would else be parsed once for every few kilobytes.
        var free = buffer.Length - to;
        var read = input.ReadAtLeast(buffer.AsSpan(to), free, throwOnEndOfStream: false);
        ended = read < free;
        to += read;
    }
}
