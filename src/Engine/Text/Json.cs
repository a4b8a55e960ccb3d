using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>Reads entries of tokenizer files, which leave out what has its usual value.</summary>
static class Json
{
    /// <summary>Most levels of "Sequence" inside each other, and most steps of one; published files have two, and a dozen.</summary>
    const int MaxDepth = 8, MaxSteps = 64;

    public static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>A token, which is spelt as text or as an object with its content.</summary>
    public static string? TokenText(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Object ? Text(value, "content") : Text(element, name);

    public static bool? Flag(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) ? value.ValueKind switch { JsonValueKind.True => true, JsonValueKind.False => false, _ => null } : null;

    /// <summary>The entry of a name; "null" where it is missing.</summary>
    public static JsonElement Part(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement part) ? part : Null;

    static readonly JsonElement Null = JsonDocument.Parse("null").RootElement;

    public static IEnumerable<JsonElement> Sequence(JsonElement element, string name, int depth)
    {
        if (depth >= MaxDepth) throw new TokenizerFileException($"tokenizer.json nests {name} more than {MaxDepth} deep.");
        JsonElement steps = element.GetProperty(name);
        int count = steps.GetArrayLength();
        return count <= MaxSteps ? steps.EnumerateArray() : throw new TokenizerFileException($"tokenizer.json has a sequence of {count} {name}; more than {MaxSteps} are refused.");
    }

    /// <summary>The id of a token.</summary>
    /// <exception cref="TokenizerFileException">It is no whole number from 0 that an int can hold.</exception>
    public static int Id(JsonElement value, string? token) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) && id >= 0
        ? id
        : throw new TokenizerFileException($"The tokenizer gives the token \"{Shown(token)}\" the id {Shown(value.GetRawText())}; ids are whole numbers from 0 to {int.MaxValue}.");

    /// <summary>A token as a message shows it: a file can have very long ones.</summary>
    public static string Shown(string? token) => token is { Length: > 60 } ? token[..60] + "…" : token ?? "";
}
