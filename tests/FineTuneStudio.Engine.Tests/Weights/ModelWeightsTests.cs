using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Weights;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Weights;

public sealed class ModelWeightsTests(ITestOutputHelper output) : IDisposable
{
    private const string Index = "model.safetensors.index.json";
    private readonly TemporaryFolder folder = new();

    internal static string Shard(int number, int of) => $"model-{number:00000}-of-{of:00000}.safetensors";

    /// <summary>The tensors dealt out to several files, with their index.</summary>
    internal static void WriteShards(string to, int shards, IEnumerable<(string Name, string Dtype, long[] Shape, Func<ReadOnlyMemory<byte>> Data)> tensors)
    {
        var dealt = tensors.Select((t, i) => (Tensor: t, Shard: i % shards + 1)).ToList();
        foreach (var shard in dealt.GroupBy(d => d.Shard))
            SafetensorsWriter.Write(Path.Combine(to, Shard(shard.Key, shards)), shard.Select(d => d.Tensor), new Dictionary<string, string> { ["format"] = "pt" });
        File.WriteAllText(Path.Combine(to, Index), new JsonObject
        {
            ["metadata"] = new JsonObject { ["total_size"] = 0 },
            ["weight_map"] = new JsonObject(dealt.Select(d => KeyValuePair.Create(d.Tensor.Name, (JsonNode?)Shard(d.Shard, shards)))),
        }.ToJsonString());
    }

    /// <summary>Four tensors a, b, c, d of one number each in two shards: a and c, b and d.</summary>
    private void Make() => WriteShards(folder.Path, 2, "abcd".Select(n => (n.ToString(), "F32", (long[])[1], (Func<ReadOnlyMemory<byte>>)(() => BitConverter.GetBytes((float)n)))));

    private string Refusal(string? map = null)
    {
        if (map is not null) File.WriteAllText(folder.File(Index), map);
        return Assert.Throws<WeightFileException>(() => ModelWeights.Open(folder.Path)).Message;
    }

    private static string Map(string tensor, string file) => JsonSerializer.Serialize(new { weight_map = new Dictionary<string, string> { [tensor] = file } });

    [Fact]
    public void Shards_are_one_set_of_tensors_and_the_single_file_comes_first()
    {
        Make();
        File.WriteAllText(folder.File("expected.safetensors"), "not looked at");
        using (var weights = ModelWeights.Open(folder.Path))
        {
            Assert.Equal((Index, 4), (weights.Name, weights.Entries.Count));
            Assert.All("abcd", n => Assert.Equal(n, BitConverter.ToSingle(weights.Bytes(n.ToString()))));
            Assert.Equal([Shard(1, 2), Shard(2, 2)], ModelWeights.FilesOf(folder.Path));
        }
        SafetensorsWriter.Write(folder.File("model.safetensors"), [("whole", "F32", [1], () => new byte[4])]);
        using (var weights = ModelWeights.Open(folder.Path)) Assert.Equal(["whole"], weights.Entries.Keys);
        Assert.Equal(["model.safetensors"], ModelWeights.FilesOf(folder.Path));
    }

    [Fact]
    public void The_hash_of_shards_is_over_the_files_in_the_order_of_the_index()
    {
        Make();
        string Of(params int[] order) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData([.. order.SelectMany(n => File.ReadAllBytes(folder.File(Shard(n, 2))))]));
        Assert.Equal(Of(1, 2), ModelWeights.Sha256(folder.Path));
        var map = new JsonObject("dcba".Select(n => KeyValuePair.Create(n.ToString(), (JsonNode?)Shard(n is 'a' or 'c' ? 1 : 2, 2))));
        File.WriteAllText(folder.File(Index), new JsonObject { ["weight_map"] = map }.ToJsonString());
        Assert.Equal(Of(2, 1), ModelWeights.Sha256(folder.Path));
    }

    [Theory]
    [InlineData("../model-00001-of-00002.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("sub/model.safetensors")]
    [InlineData("..\\model.safetensors")]
    [InlineData("C:model.safetensors")]
    [InlineData("..")]
    [InlineData(".hidden.safetensors")]
    [InlineData("")]
    public void An_index_that_names_anything_but_a_file_of_the_folder_is_refused(string file)
    {
        Make();
        Assert.Equal($"{Index} puts the tensor \"a\" into \"{file}\", which is not the name of a file in the model folder; nothing outside of it is read.", Refusal(Map("a", file)));
    }

    [Fact]
    public void An_index_that_names_itself_another_index_or_a_pickle_is_refused()
    {
        Make();
        Assert.Equal($"{Index} puts the tensor \"a\" into itself; an index names the files with the weights.", Refusal(Map("a", Index)));
        File.Copy(folder.File(Index), folder.File("other.safetensors.index.json"));
        Assert.Equal($"{Index} puts the tensor \"a\" into \"other.safetensors.index.json\", which is no safetensors file; no other is read.", Refusal(Map("a", "other.safetensors.index.json")));
        Assert.Equal($"{Index} puts the tensor \"a\" into \"pytorch_model-00001-of-00002.bin\", which is no safetensors file; no other is read.", Refusal(Map("a", "pytorch_model-00001-of-00002.bin")));
        // An index under a shard's name is what it is.
        File.Copy(folder.File(Index), folder.File("loop.safetensors"));
        Assert.StartsWith("loop.safetensors ", Refusal(Map("a", "loop.safetensors")));
    }

    [Fact]
    public void Missing_shards_are_counted_and_the_first_is_named()
    {
        Make();
        File.Delete(folder.File(Shard(2, 2)));
        Assert.Equal($"{Index} names 2 files, but 1 of them is not in the folder, first {Shard(2, 2)}; copy or download the whole folder again.", Refusal());
        File.Delete(folder.File(Shard(1, 2)));
        Assert.Equal($"{Index} names 2 files, but 2 of them are not in the folder, first {Shard(1, 2)}; copy or download the whole folder again.", Refusal());
    }

    [Fact]
    public void Index_and_shards_that_disagree_are_refused()
    {
        Make();
        Assert.Equal($"{Shard(1, 2)} lacks the tensor \"e\", which {Index} puts there; the files are not of the same model.", Refusal(Map("e", Shard(1, 2))));
        Assert.Equal($"{Shard(1, 2)} lacks the tensor \"b\", which {Index} puts there; the files are not of the same model.",
            Refusal(JsonSerializer.Serialize(new { weight_map = new Dictionary<string, string> { ["a"] = Shard(1, 2), ["b"] = Shard(1, 2), ["d"] = Shard(2, 2) } })));
        Make();
        File.Copy(folder.File(Shard(1, 2)), folder.File("copy.safetensors"));
        Assert.Equal($"The tensor \"a\" is in {Shard(1, 2)} and again in copy.safetensors; the files are not of the same model.",
            Refusal(JsonSerializer.Serialize(new { weight_map = new Dictionary<string, string> { ["a"] = Shard(1, 2), ["c"] = "copy.safetensors" } })));
    }

    [Theory]
    [InlineData("{ broken", Index + " is not valid JSON (line 1); copy or download it again.")]
    [InlineData("[]", Index + " has no weight_map, which says in which file each tensor is; copy or download it again.")]
    [InlineData("""{"weight_map":[]}""", Index + " has no weight_map, which says in which file each tensor is; copy or download it again.")]
    [InlineData("""{"weight_map":{}}""", "The weight_map of " + Index + " names no tensor; copy or download it again.")]
    [InlineData("""{"weight_map":{"a":1}}""", Index + " names no file for the tensor \"a\"; copy or download it again.")]
    [InlineData("""{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}""", Index + " names the tensor \"a\" twice.")]
    public void A_broken_index_is_refused(string text, string sentence)
    {
        Make();
        Assert.Equal(sentence, Refusal(text));
    }

    [Fact]
    public void An_index_of_a_thousand_files_or_of_fifty_megabytes_is_refused()
    {
        var many = new JsonObject(Enumerable.Range(0, 1001).Select(i => KeyValuePair.Create($"t{i}", (JsonNode?)$"s{i}.safetensors")));
        Assert.Equal($"{Index} names 1001 files; more than 1000 are refused.", Refusal(new JsonObject { ["weight_map"] = many }.ToJsonString()));
        using (var large = File.Create(folder.File(Index))) large.SetLength(50_000_001);
        Assert.Equal($"{Index} has 50000001 bytes; more than 50000000 is refused.", Refusal());
    }

    [Fact]
    public void Thousands_of_damaged_indexes_are_read_or_refused_with_a_sentence_and_nothing_else()
    {
        Make();
        var good = File.ReadAllBytes(folder.File(Index));
        var random = new Random(5);
        var (tries, refused) = (0, 0);
        // A longer hunt on request: FTS_FUZZ_SECONDS=600.
        var seconds = double.Parse(Environment.GetEnvironmentVariable("FTS_FUZZ_SECONDS") ?? "0", System.Globalization.CultureInfo.InvariantCulture);
        for (var start = Stopwatch.GetTimestamp(); tries < 3000 || Stopwatch.GetElapsedTime(start).TotalSeconds < seconds; tries++)
        {
            var bytes = good.ToArray();
            for (var change = random.Next(1, 6); change > 0; change--)
            {
                var at = random.Next(bytes.Length);
                bytes[at] = random.Next(3) == 0 ? (byte)random.Next(256) : good[random.Next(good.Length)];
            }
            File.WriteAllBytes(folder.File(Index), random.Next(10) == 0 ? bytes[..random.Next(bytes.Length)] : bytes);
            try { ModelWeights.Open(folder.Path).Dispose(); }
            catch (WeightFileException e)
            {
                refused++;
                Assert.True(e.Message.Length is > 20 and < 400, e.Message);
            }
        }
        Assert.InRange(refused, tries / 2, tries);
        output.WriteLine($"{tries} indexes, {refused} refused");
    }

    [SkippableFact]
    public void The_sharded_reference_folder_holds_what_its_index_says_and_not_the_expected_numbers()
    {
        var path = Shared.Find("goldens/llama-tiny-sharded-bf16");
        using var weights = ModelWeights.Open(path);
        Assert.Equal(21, weights.Entries.Count);
        Assert.All(weights.Entries.Values, e => Assert.Equal("BF16", e.Dtype));
        Assert.DoesNotContain("logits", weights.Entries.Keys);
    }

    public void Dispose() => folder.Dispose();
}
