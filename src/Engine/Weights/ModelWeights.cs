using System.Security.Cryptography;
using System.Text.Json;
using TorchSharp;

namespace FineTuneStudio.Engine.Weights;

/// <summary>
/// The weights of a model folder: <c>model.safetensors</c>, or else the files that <c>model.safetensors.index.json</c> names (shards), or
/// else, from PyTorch's own checkpoints, <c>pytorch_model.bin</c> or the files that <c>pytorch_model.bin.index.json</c> names. No other file of the folder is ever taken for weights. The files are mapped, not read into memory.
/// </summary>
public sealed class ModelWeights : IDisposable
{
    /// <summary>The usual names in a Hugging Face folder.</summary>
    public const string SingleFile = "model.safetensors", IndexFile = "model.safetensors.index.json",
        TorchFile = "pytorch_model.bin", TorchIndexFile = "pytorch_model.bin.index.json";

    private const int MaxShards = 1000;
    private const long MaxIndexBytes = 50_000_000;

    private readonly Dictionary<string, (TensorFile File, TensorEntry Entry)> tensors = new(StringComparer.Ordinal);
    private readonly List<TensorFile> open = [];

    private ModelWeights(string name) => Name = name;

    /// <summary>What a person calls these weights: the single file's name or the index's.</summary>
    public string Name { get; }

    /// <summary>All tensors by their name in the file.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries { get; private set; } = new Dictionary<string, TensorEntry>();

    /// <summary>The "__metadata__" of the first file.</summary>
    public IReadOnlyDictionary<string, string> Metadata => open[0].Metadata;

    /// <summary>Whether the folder has weights under one of the usual names.</summary>
    public static bool Exist(string folder) => Found(folder) is not null;

    private static string? Found(string folder) =>
        new[] { SingleFile, IndexFile, TorchFile, TorchIndexFile }.FirstOrDefault(name => File.Exists(Path.Combine(folder, name)));

    /// <summary>The names of the files with the weights, shards in the order in which the index first names them.</summary>
    /// <exception cref="WeightFileException">The index is broken, or names a file that is not in the folder or not of it.</exception>
    public static IReadOnlyList<string> FilesOf(string folder) =>
        Found(folder) is (IndexFile or TorchIndexFile) and var index ? [.. Checked(folder, index, ReadIndex(folder, index)).Values.Distinct()] : [Found(folder) ?? SingleFile];

    /// <summary>Maps all files and checks their headers, and that index and shards agree.</summary>
    /// <exception cref="WeightFileException">A file is missing, broken, or not what the index says; the sentence says which and how.</exception>
    public static ModelWeights Open(string folder)
    {
        var weights = new ModelWeights(Found(folder) ?? SingleFile);
        try
        {
            if (weights.Name is IndexFile or TorchIndexFile) weights.AddShards(folder, Checked(folder, weights.Name, ReadIndex(folder, weights.Name)));
            else weights.Add(folder, weights.Name, []);
            weights.Entries = weights.tensors.ToDictionary(t => t.Key, t => t.Value.Entry, StringComparer.Ordinal);
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>
    /// SHA-256 in lower-case hex: of the single file, or of the shards one after the other, in the order in which the index first
    /// names them. The index itself does not count.
    /// </summary>
    public static string Sha256(string folder)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 20];
        foreach (var file in FilesOf(folder))
        {
            using var stream = new FileStream(Path.Combine(folder, file), FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            for (int read; (read = stream.Read(buffer)) > 0;) hash.AppendData(buffer, 0, read);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The bytes of a tensor, valid until this is disposed. Little-endian, row-major.</summary>
    public ReadOnlySpan<byte> Bytes(string name) => tensors[name].File.Bytes(name);

    /// <summary>Copies a tensor of any floating-point type into <paramref name="target"/>, which has its shape.</summary>
    /// <exception cref="WeightFileException">It is stored as something else than floating-point numbers.</exception>
    public void CopyTo(string name, torch.Tensor target) => StoredTensor.CopyTo(tensors[name].File, tensors[name].Entry, target);

    public void Dispose()
    {
        foreach (var file in open) file.Dispose();
    }

    private void AddShards(string folder, OrderedDictionary<string, string> map)
    {
        var shardOf = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var shard in map.Values.Distinct()) Add(folder, shard, shardOf);
        foreach (var (tensor, shard) in map)
            if (!shardOf.TryGetValue(tensor, out var found) || found != shard)
                throw new WeightFileException($"{shard} lacks the tensor \"{SafetensorsHeader.Shown(tensor)}\", which {Name} puts there; the files are not of the same model.");
    }

    private void Add(string folder, string name, Dictionary<string, string> shardOf)
    {
        var file = TensorFile.Open(Path.Combine(folder, name));
        open.Add(file);
        foreach (var entry in file.Entries.Values)
        {
            if (!shardOf.TryAdd(entry.Name, name))
                throw new WeightFileException($"The tensor \"{SafetensorsHeader.Shown(entry.Name)}\" is in {shardOf[entry.Name]} and again in {name}; the files are not of the same model.");
            tensors.Add(entry.Name, (file, entry));
        }
    }

    /// <summary>Tensor to file, in the order of the index.</summary>
    private static OrderedDictionary<string, string> ReadIndex(string folder, string index)
    {
        var path = Path.Combine(folder, index);
        if (new FileInfo(path).Length is > MaxIndexBytes and var length) throw new WeightFileException($"{index} has {length} bytes; more than {MaxIndexBytes} is refused.");
        var map = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("weight_map", out var list) || list.ValueKind != JsonValueKind.Object)
                throw new WeightFileException($"{index} has no weight_map, which says in which file each tensor is; copy or download it again.");
            foreach (var tensor in list.EnumerateObject())
            {
                var shown = SafetensorsHeader.Shown(tensor.Name);
                if (tensor.Value.ValueKind != JsonValueKind.String) throw new WeightFileException($"{index} names no file for the tensor \"{shown}\"; copy or download it again.");
                if (!map.TryAdd(tensor.Name, tensor.Value.GetString()!)) throw new WeightFileException($"{index} names the tensor \"{shown}\" twice.");
            }
        }
        catch (JsonException broken)
        {
            throw new WeightFileException($"{index} is not valid JSON (line {broken.LineNumber + 1}); copy or download it again.");
        }
        catch (InvalidOperationException)
        {
            throw new WeightFileException($"A name in {index} is not valid text; copy or download it again.");
        }
        return map.Count > 0 ? map : throw new WeightFileException($"The weight_map of {index} names no tensor; copy or download it again.");
    }

    /// <summary>Only plain names of weight files beside the index pass, and only where all of them are there.</summary>
    private static OrderedDictionary<string, string> Checked(string folder, string index, OrderedDictionary<string, string> map)
    {
        foreach (var (tensor, file) in map)
        {
            var says = $"{index} puts the tensor \"{SafetensorsHeader.Shown(tensor)}\" into ";
            if (file == index) throw new WeightFileException($"{says}itself; an index names the files with the weights.");
            if (file.Length == 0 || file.Any(c => c is '/' or '\\' or ':' || char.IsControl(c)) || file.StartsWith('.'))
                throw new WeightFileException($"{says}\"{SafetensorsHeader.Shown(file)}\", which is not the name of a file in the model folder; nothing outside of it is read.");
            if (!file.EndsWith(index == TorchIndexFile ? ".bin" : ".safetensors", StringComparison.Ordinal))
                throw new WeightFileException($"{says}\"{SafetensorsHeader.Shown(file)}\", which is no {(index == TorchIndexFile ? ".bin" : "safetensors")} file; no other is read.");
        }
        var shards = map.Values.Distinct().ToList();
        if (shards.Count > MaxShards) throw new WeightFileException($"{index} names {shards.Count} files; more than {MaxShards} are refused.");
        var missing = shards.Where(s => !File.Exists(Path.Combine(folder, s))).ToList();
        return missing.Count == 0 ? map : throw new WeightFileException(
            $"{index} names {shards.Count} {(shards.Count == 1 ? "file" : "files")}, but {missing.Count} of them {(missing.Count == 1 ? "is" : "are")} not in the folder, first {SafetensorsHeader.Shown(missing[0])}; copy or download the whole folder again.");
    }
}
