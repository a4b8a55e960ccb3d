using System.Text.Json;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Models;

/// <summary>The fields of a model folder's config.json, or of another such file, each read with a sentence that says what is wrong with it.</summary>
internal sealed class ConfigJson
{
    private const string Usual = "config.json";
    private readonly JsonElement root;
    private readonly string file;

    private ConfigJson(JsonElement root, string file) => (this.root, this.file) = (root, file);

    /// <exception cref="WeightFileException">There is no config.json or it is no JSON object.</exception>
    public static ConfigJson Read(string folder, string file = Usual)
    {
        var path = Path.Combine(folder, file);
        if (!File.Exists(path)) throw new WeightFileException(file == Usual ? "The model folder has no config.json; choose a complete Hugging Face model folder." : $"The folder has no {file}; choose a complete folder.");
        if (new FileInfo(path).Length is > 10_000_000 and var length) throw new WeightFileException($"{file} has {length} bytes; more than 10000000 is refused.");
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw new WeightFileException($"{file} is not a JSON object; copy or download it again.");
            return new(document.RootElement.Clone(), file);
        }
        catch (JsonException broken)
        {
            throw new WeightFileException($"{file} is not valid JSON (line {broken.LineNumber + 1}); copy or download it again.");
        }
    }

    /// <summary>A field that is there and not null.</summary>
    public JsonElement? Find(string name) => root.TryGetProperty(name, out var found) && found.ValueKind != JsonValueKind.Null ? found : null;

    public string Text(string name, string otherwise) => Find(name) is { ValueKind: JsonValueKind.String } found ? found.GetString()! : otherwise;

    public bool Flag(string name, bool otherwise) => Find(name) is { ValueKind: JsonValueKind.True or JsonValueKind.False } found ? found.GetBoolean() : otherwise;

    public double Number(string name, double? otherwise = null) => Find(name) is { ValueKind: JsonValueKind.Number } found ? found.GetDouble()
        : otherwise ?? throw new WeightFileException($"{file} has no number {name}, which this model needs.");

    /// <summary>A number above 0, such as an epsilon.</summary>
    public double Positive(string name, double otherwise) => Find(name) is { ValueKind: JsonValueKind.Number } found ? Positive(name, found) : otherwise;

    /// <summary>The same for a number of an inner object.</summary>
    public double Positive(string name, JsonElement number) => number.ValueKind == JsonValueKind.Number && number.GetDouble() is > 0 and var size && double.IsFinite(size) ? size
        : throw new WeightFileException($"{file} says {name} is {number}; expected a number above 0.");

    public int Size(string name, int? otherwise = null, int most = 1 << 24) => Number(name, otherwise) is var size && size == Math.Floor(size) && size >= 1 && size <= most ? (int)size
        : throw new WeightFileException($"{file} says {name} is {Find(name)}; expected a whole number from 1 to {most}.");

    public double Probability(string name, double otherwise) => Number(name, otherwise) is >= 0 and < 1 and var share ? share
        : throw new WeightFileException($"{file} says {name} is {Find(name)}; expected a number from 0 to below 1.");

    /// <summary>Refuses any other text than the wanted one; <paramref name="optional"/> where its absence means the wanted one.</summary>
    public void Expect(string name, string wanted, bool optional = false)
    {
        if (Text(name, optional ? wanted : "nothing") is var found && found != wanted) throw new WeightFileException($"{file} says {name} is {found}; expected {wanted}.");
    }
}
