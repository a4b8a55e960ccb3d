using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneStudio.Bench;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Tests.Weights;

public sealed class TorchCheckpointTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static string Saved(string file) => Path.Combine(Repository.Root, "tests", "FineTuneStudio.Engine.Tests", "Weights", "TorchSave", file);

    private static string Refusal(string path) => Assert.Throws<WeightFileException>(() => TorchCheckpoint.Open(path).Dispose()).Message;

    private string Refusal(byte[] file)
    {
        File.WriteAllBytes(folder.File("pytorch_model.bin"), file);
        return Refusal(folder.File("pytorch_model.bin"));
    }

    private string OfPickle(params byte[] pickle) => Refusal(TorchCheckpointWriter.Archive(pickle, []));

    private static CheckpointTensor One(string name = "a", params float[] values) => new(name, "FloatStorage", [values.Length], [.. values.SelectMany(BitConverter.GetBytes)]);

    private static double[] Values(TensorFile file, string name)
    {
        var (entry, bytes) = (file.Entries[name], file.Bytes(name).ToArray());
        return [.. Enumerable.Range(0, (int)entry.Elements).Select(i => entry.Dtype switch
        {
            "F64" => BitConverter.ToDouble(bytes, 8 * i), "F32" => BitConverter.ToSingle(bytes, 4 * i), "F16" => (double)BitConverter.ToHalf(bytes, 2 * i),
            "BF16" => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(bytes, 2 * i) << 16), "I64" => BitConverter.ToInt64(bytes, 8 * i), "BOOL" => bytes[i],
            _ => throw new InvalidOperationException(entry.Dtype),
        })];
    }

    [Fact]
    public void What_PyTorch_saved_is_read_exactly_tied_transposed_and_cut_tensors_too()
    {
        using var file = TorchCheckpoint.Open(Saved("pytorch_model.bin"));
        var expected = Repository.Json(Saved("expected.json")).EnumerateObject().ToList();
        Assert.Equal(expected.Select(e => e.Name), file.Entries.Keys);
        foreach (var tensor in expected)
        {
            Assert.Equal(tensor.Value.GetProperty("shape").EnumerateArray().Select(s => s.GetInt64()), file.Entries[tensor.Name].Shape);
            Assert.Equal(tensor.Value.GetProperty("values").EnumerateArray().Select(v => v.GetDouble()), Values(file, tensor.Name));
        }
    }

    [Theory]
    [InlineData("older.pt", "older.pt is a bare Python pickle, as torch.save wrote it before PyTorch 1.6; only the newer zip format is read. Load it with a recent PyTorch where you trust it, and save it again, best as safetensors.")]
    [InlineData("nested.pt", "nested.pt holds a number under \"epoch\", where a tensor was expected; save model.state_dict() alone, without anything around it.")]
    [InlineData("mixed.pt", "mixed.pt holds a list under \"metrics\", where a tensor was expected; save model.state_dict() alone, without anything around it.")]
    [InlineData("module.pt", "module.pt asks for torch.nn.modules.linear.Linear, which no state dict needs. Only tensors are read from such a file and no code in it is ever run, so it was refused; bring the weights as safetensors, or save model.state_dict() alone.")]
    [InlineData("expanded.pt", "expanded.pt: the tensor \"a\" of F32 [10] reaches beyond its record of 1 numbers.")]
    [InlineData("script.pt", "script.pt is a TorchScript program, not a state dict; programs are never run here. Save model.state_dict() instead, best as safetensors.")]
    public void What_else_PyTorch_saves_is_refused_with_the_reason(string file, string sentence) => Assert.Equal(sentence, Refusal(Saved(file)));

    [SkippableFact]
    public void Real_checkpoints_of_others_are_read()
    {
        var old = Shared.Find("goldens/bert-tiny-oldnames");
        using (var torch = TorchCheckpoint.Open(Path.Combine(old, "pytorch_model.bin")))
        using (var safe = SafetensorsFile.Open(Path.Combine(old, "model.safetensors")))
        {
            Assert.Equal(safe.Entries.Keys.Order(), torch.Entries.Keys.Order());
            foreach (var (name, entry) in safe.Entries)
            {
                Assert.Equal((entry.Dtype, string.Join(',', entry.Shape)), (torch.Entries[name].Dtype, string.Join(',', torch.Entries[name].Shape)));
                Assert.True(safe.Bytes(name).SequenceEqual(torch.Bytes(name)), name);
            }
        }
    }

    [SkippableFact]
    public void A_model_folder_with_only_a_checkpoint_loads_hashes_and_exports_safetensors()
    {
        var old = Shared.Find("goldens/bert-tiny-oldnames");
        foreach (var file in new[] { "config.json", "vocab.txt", "tokenizer_config.json", "pytorch_model.bin" }) File.Copy(Path.Combine(old, file), folder.File(file));
        var (facts, same) = (ModelFolder.Inspect(folder.Path), ModelFolder.Inspect(old));
        Assert.Equal((same.Parameters, same.CanTrain, same.WhyNot), (facts.Parameters, facts.CanTrain, facts.WhyNot));
        Assert.Equal(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(folder.File("pytorch_model.bin")))), facts.Sha256);
        using var weights = ModelWeights.Open(folder.Path);
        Assert.Equal("pytorch_model.bin", weights.Name);
    }

    [Fact]
    public void Safetensors_come_before_a_checkpoint_and_shards_of_checkpoints_are_one_set()
    {
        TorchCheckpointWriter.Write(folder.File("pytorch_model-00001-of-00002.bin"), One("a", 1));
        TorchCheckpointWriter.Write(folder.File("pytorch_model-00002-of-00002.bin"), One("b", 2));
        File.WriteAllText(folder.File(ModelWeights.TorchIndexFile), """{"weight_map":{"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}}""");
        using (var weights = ModelWeights.Open(folder.Path))
        {
            Assert.Equal((ModelWeights.TorchIndexFile, 2), (weights.Name, weights.Entries.Count));
            Assert.Equal(2, BitConverter.ToSingle(weights.Bytes("b")));
        }
        TorchCheckpointWriter.Write(folder.File(ModelWeights.TorchFile), One("c", 3));
        using (var weights = ModelWeights.Open(folder.Path)) Assert.Equal(["c"], weights.Entries.Keys);
        SafetensorsWriter.Write(folder.File(ModelWeights.SingleFile), [("d", "F32", [1], () => new byte[4])]);
        using (var weights = ModelWeights.Open(folder.Path)) Assert.Equal(["d"], weights.Entries.Keys);
    }

    [Fact]
    public void A_cyclic_index_of_checkpoints_is_refused()
    {
        string Of(string file)
        {
            File.WriteAllText(folder.File(ModelWeights.TorchIndexFile), JsonSerializer.Serialize(new { weight_map = new Dictionary<string, string> { ["a"] = file } }));
            return Assert.Throws<WeightFileException>(() => ModelWeights.Open(folder.Path)).Message;
        }
        Assert.Equal("pytorch_model.bin.index.json puts the tensor \"a\" into itself; an index names the files with the weights.", Of(ModelWeights.TorchIndexFile));
        Assert.Equal("pytorch_model.bin.index.json puts the tensor \"a\" into \"other.bin.index.json\", which is no .bin file; no other is read.", Of("other.bin.index.json"));
        Assert.Equal("pytorch_model.bin.index.json puts the tensor \"a\" into \"model.safetensors\", which is no .bin file; no other is read.", Of("model.safetensors"));
        File.Copy(folder.File(ModelWeights.TorchIndexFile), folder.File("loop.bin"));
        Assert.Equal("loop.bin is not a file of torch.save: it does not begin as a zip archive does. Copy or download it again, or bring the weights as safetensors.", Of("loop.bin"));
    }

    [Theory]
    [InlineData("posix", "system")]
    [InlineData("os", "system")]
    [InlineData("builtins", "eval")]
    [InlineData("torch", "load")]
    [InlineData("torch._utils", "_rebuild_tensor")]
    public void A_pickle_that_calls_something_is_refused_and_runs_nothing(string module, string function)
    {
        // As pickle.dumps writes an object whose __reduce__ returns (os.system, ("touch ...",)): c posix system, X command, tuple of one, R, stop.
        var proof = folder.File("proof");
        var command = Encoding.UTF8.GetBytes($"touch {proof}");
        Assert.Equal($"pytorch_model.bin asks for {module}.{function}, which no state dict needs. Only tensors are read from such a file and no code in it is ever run, so it was refused; bring the weights as safetensors, or save model.state_dict() alone.",
            OfPickle([0x80, 2, (byte)'c', .. Encoding.UTF8.GetBytes($"{module}\n{function}\n"), (byte)'X', .. BitConverter.GetBytes(command.Length), .. command, 0x85, (byte)'R', (byte)'.']));
        Assert.False(File.Exists(proof));
    }

    [Theory]
    [InlineData(new byte[] { 0x80, 2, 0x81, 46 }, " asks for the pickle instruction NEWOBJ, which no state dict needs.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'i', 46 }, " asks for the pickle instruction INST, which no state dict needs.")]
    [InlineData(new byte[] { 0x80, 2, 0x93, 46 }, " asks for the pickle instruction STACK_GLOBAL, which no state dict needs.")]
    [InlineData(new byte[] { 0x80, 2, 0xff, 46 }, " asks for the pickle instruction 0xff, which no state dict needs.")]
    [InlineData(new byte[] { 0x80, 4, 46 }, ": the pickle with its list of tensors cannot be read: it is written in protocol 4, and torch.save writes a state dict in protocol 2.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'}' }, ": the pickle with its list of tensors cannot be read: it stops too early; the file was probably cut off, so copy or download it again.")]
    [InlineData(new byte[] { 0x80, 2, 46 }, ": the pickle with its list of tensors cannot be read: an instruction finds nothing to work on.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'t', 46 }, ": the pickle with its list of tensors cannot be read: it ends a list that it never began.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'h', 9, 46 }, ": the pickle with its list of tensors cannot be read: it recalls number 9, which it never kept.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'}', (byte)'}', (byte)'R', 46 }, ": the pickle with its list of tensors cannot be read: it calls something without a tuple of arguments.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'}', (byte)')', (byte)'R', 46 }, ": the pickle with its list of tensors cannot be read: it calls something that has no name.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'}', (byte)'}', (byte)'Q', 46 }, ": the pickle with its list of tensors cannot be read: it names a storage in an unknown way.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'N', 46 }, " holds nothing where a state dict, tensors by their names, was expected; save model.state_dict() instead.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'X', 0xff, 0xff, 0xff, 0x7f, 46 }, ": the pickle with its list of tensors cannot be read: it holds a text of 2147483647 bytes; names have at most 10000.")]
    [InlineData(new byte[] { 0x80, 2, 0x8a, 9, 46 }, ": the pickle with its list of tensors cannot be read: it holds a number of 9 bytes; sizes have at most 8.")]
    public void Other_instructions_and_broken_pickles_are_refused(byte[] pickle, string sentence) => Assert.StartsWith("pytorch_model.bin" + sentence, OfPickle(pickle));

    [Fact]
    public void A_pickle_that_only_piles_up_is_stopped()
    {
        var watch = Stopwatch.StartNew();
        Assert.Equal("pytorch_model.bin: the pickle with its list of tensors cannot be read: it has more than 1000000 instructions.", OfPickle([0x80, 2, .. Enumerable.Repeat((byte)'}', 2_000_000)]));
        Assert.Equal("pytorch_model.bin has a list of tensors of 16000001 bytes; more than 16000000 is refused.", OfPickle(new byte[16_000_001]));
        // A list in a list in a list, and one that holds itself: nothing walks through them.
        Assert.StartsWith("pytorch_model.bin: ", OfPickle([0x80, 2, .. Enumerable.Repeat((byte)']', 400_000), .. Enumerable.Repeat((byte)'a', 500_000)]));
        Assert.Equal("pytorch_model.bin holds a list where a state dict, tensors by their names, was expected; save model.state_dict() instead.", OfPickle(0x80, 2, (byte)']', (byte)'q', 0, (byte)'h', 0, (byte)'a', (byte)'.'));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"{watch.Elapsed.TotalSeconds:0.0} s");
    }

    [Fact]
    public void Tensors_that_do_not_fit_their_record_are_refused()
    {
        string Of(CheckpointTensor tensor) => Refusal(TorchCheckpointWriter.Archive(TorchCheckpointWriter.Pickle([tensor]), [tensor]));
        var one = One("a", 1, 2, 3, 4);
        Assert.Equal("pytorch_model.bin: the tensor \"a\" of F32 [5] reaches beyond its record of 4 numbers.", Of(one with { Shape = [5] }));
        Assert.Equal("pytorch_model.bin: the tensor \"a\" of F32 [4] reaches beyond its record of 4 numbers.", Of(one with { Offset = 1 }));
        Assert.Equal("pytorch_model.bin: the tensor \"a\" of F32 [2] reaches beyond its record of 4 numbers.", Of(one with { Shape = [2], Strides = [4] }));
        Assert.Equal("pytorch_model.bin: the tensor \"a\" of F32 [4611686018427387904, 4611686018427387904] reaches beyond its record of 4 numbers.", Of(one with { Shape = [1L << 62, 1L << 62], Strides = [0, 0] }));
        Assert.Equal("pytorch_model.bin: the tensor \"a\" is in a record of 1000 numbers of F32, which needs 4000 bytes, but has 16.", Of(one with { Elements = 1000 }));
        Assert.Equal("pytorch_model.bin: the tensor \"a\" is in a record of 9223372036854775807 numbers of F32, which needs 36893488147419103228 bytes, but has 16.", Of(one with { Elements = long.MaxValue }));
        Assert.Equal("pytorch_model.bin asks for torch.QInt8Storage, which no state dict needs. Only tensors are read from such a file and no code in it is ever run, so it was refused; bring the weights as safetensors, or save model.state_dict() alone.", Of(one with { Storage = "QInt8Storage" }));
        Assert.Equal("pytorch_model.bin: the name \"a\" is in the list twice.", Refusal(TorchCheckpointWriter.Archive(TorchCheckpointWriter.Pickle([one, one]), [one, one])));
        Assert.Equal("pytorch_model.bin: the tensor \"a\" is in the record data/0, which the archive does not have.", Refusal(TorchCheckpointWriter.Archive(TorchCheckpointWriter.Pickle([one]), [])));
    }

    [Fact]
    public void A_zip64_archive_is_read_and_a_broken_one_is_refused()
    {
        var one = One("a", 7);
        var pickle = TorchCheckpointWriter.Pickle([one]);
        File.WriteAllBytes(folder.File("x.bin"), TorchCheckpointWriter.Archive(pickle, [one], zip64: true));
        using (var file = TorchCheckpoint.Open(folder.File("x.bin"))) Assert.Equal(7, BitConverter.ToSingle(file.Bytes("a")));

        var sound = TorchCheckpointWriter.Archive(pickle, [one]);
        const string Bad = "pytorch_model.bin is not a sound zip archive as torch.save writes it: ";
        Assert.Equal(Bad + "its end is missing; the file was probably cut off, so copy or download it again.", Refusal(sound[..^30]));
        int list = sound.AsSpan().IndexOf("PK\x01\x02"u8);
        string With(int at, params byte[] bytes)
        {
            var changed = sound.ToArray();
            bytes.CopyTo(changed, at);
            return Refusal(changed);
        }
        Assert.Equal(Bad + "its entry \"archive/data.pkl\" is compressed, which torch.save never does; what unpacks is not read.", With(list + 10, 8));
        Assert.Equal(Bad + "its entry \"archive/data.pkl\" is encrypted.", With(list + 8, 1));
        Assert.Equal(Bad + "its entry \"archive/data.pkl\" ends outside of the file; the file was probably cut off, so copy or download it again.", With(list + 20, 255, 255, 255, 0, 255, 255, 255, 0));
        Assert.Equal(Bad + "its entry \"archive/data.pkl\" does not begin where the list says.", With(list + 42, 1));
        Assert.Equal(Bad + "its list of 4 entries breaks off at number 4.", With(sound.Length - 12, 4));
        Assert.Equal(Bad + "its list of entries lies outside of the file.", With(sound.Length - 6, 255, 255, 255, 0));
        int second = list + 46 + "archive/data.pkl".Length;
        Assert.Equal(Bad + "its entries \"archive/data/0\" and \"archive/data.pkl\" overlap.", With(second + 42, 0, 0, 0, 0));
        Assert.Equal(Bad + "it has two entries named \"archive/data.pkl\".", Refusal(TorchCheckpointWriter.Zip([("archive/data.pkl", pickle), ("archive/data.pkl", pickle)])));
        Assert.Equal("pytorch_model.bin is a zip archive with 0 lists of tensors (data.pkl); a file of torch.save has one. Bring the weights as safetensors.", Refusal(TorchCheckpointWriter.Zip([("a.txt", [1])])));
        Assert.Equal("pytorch_model.bin is empty; copy or download it again.", Refusal((byte[])[]));
        Assert.Equal("pytorch_model.bin was written on a big-endian machine; only little-endian numbers are read. Save it again as safetensors.",
            Refusal(TorchCheckpointWriter.Zip([("archive/data.pkl", pickle), ("archive/byteorder", "big"u8.ToArray())])));
    }

    public void Dispose() => folder.Dispose();
}
