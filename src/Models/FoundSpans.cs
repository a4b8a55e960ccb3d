using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Models;

/// Spans as a scored file has them.
internal static class FoundSpans
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private sealed record Row(int Start, int End, string Label, string Text, double Probability);

    internal static string ToJson(string text, IReadOnlyList<FoundSpan> found, IReadOnlyList<string> types) =>
        JsonSerializer.Serialize(found.Select(f => new Row(f.Span.Start, f.Span.End, types[f.Span.Label], text[f.Span.Start..f.Span.End], Math.Round(f.Probability, 6))), Json);
}
