using System.Text.Json;

namespace FineTuneStudio.Datasets;

/// One entry of DatasetVersion.LabelsJson: names ordered ordinally; the position is the class index.
public sealed record LabelCount(string Name, int Count)
{
    public static string ToJson(IEnumerable<KeyValuePair<string, int>> counts) =>
        JsonSerializer.Serialize(counts.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => new LabelCount(c.Key, c.Value)), ReadableJson);

    public static IReadOnlyList<LabelCount> FromJson(string json) => JsonSerializer.Deserialize<List<LabelCount>>(json)!;

    private static readonly JsonSerializerOptions ReadableJson = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
