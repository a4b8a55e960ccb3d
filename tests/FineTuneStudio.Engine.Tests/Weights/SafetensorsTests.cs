using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Tests.Weights;

public sealed class SafetensorsTests : IDisposable
{
    readonly TemporaryFolder folder = new();
    public void Dispose() => folder.Dispose();

    string Make(string header, int dataBytes, int? announced = null)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] file = new byte[8 + json.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(file, announced ?? json.Length);
        json.CopyTo(file, 8);
        return Save(file);
    }

    string Save(byte[] bytes)
    {
        string path = folder.File("model.safetensors");
        File.WriteAllBytes(path, bytes);
        return path;
    }

    static string Refusal(string path) => Assert.Throws<WeightFileException>(() => SafetensorsFile.Open(path).Dispose()).Message;

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""", 16,
        "model.safetensors: the name \"a\" is in the header twice.")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8,
        "model.safetensors: the name \"a.dtype\" is in the header twice.")]
    [InlineData("""{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}""", 8,
        "model.safetensors: the tensor \"a\" has the unknown dtype \"F33\"; known are BOOL, U8, I8, F8_E5M2, F8_E4M3, I16, U16, F16, BF16, I32, U32, F32, I64, U64, F64, C64.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8,
        "model.safetensors: the tensor \"a\" of F32 [3] needs 12 bytes, but its offsets give it 8.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0,
        "model.safetensors: the tensor \"a\" of F32 [4294967296, 4294967296] needs more than 2^63 bytes, but its offsets give it 0.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12,
        "model.safetensors: the tensor \"b\" begins at byte 4 and overlaps \"a\", which ends at byte 8.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}""", 20,
        "model.safetensors: bytes 8 to 12 before the tensor \"b\" belong to no tensor.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7,
        "model.safetensors: the tensor \"a\" ends at byte 8 of the data, but there are only 7; the file was probably cut off, so copy or download it again.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 9,
        "model.safetensors: 1 bytes after the last tensor belong to no tensor.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8,
        "model.safetensors: the tensor \"a\" ends at byte 0, before it begins at byte 8.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}""", 8,
        "model.safetensors: the header cannot be read: it is no valid JSON near byte 53.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8,
        "model.safetensors: the header cannot be read: shape of the tensor \"a\" holds something else than whole numbers from 0.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.5]}}""", 8,
        "model.safetensors: the header cannot be read: data_offsets of the tensor \"a\" holds something else than whole numbers from 0.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", 8,
        "model.safetensors: the header cannot be read: the tensor \"a\" needs a dtype, a shape and two data_offsets.")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}}""", 8,
        "model.safetensors: the header cannot be read: the tensor \"a\" has the unknown field \"more\".")]
    [InlineData("""{"a":[1]}""", 0,
        "model.safetensors: the header cannot be read: expected an object for the tensor \"a\".")]
    [InlineData("""{"__metadata__":{"format":1}}""", 0,
        "model.safetensors: the header cannot be read: expected text for the metadata \"format\".")]
    [InlineData("""["a"]""", 0,
        "model.safetensors is not a safetensors file: its header does not begin with an opening brace.")]
    public void A_broken_header_is_refused_with_a_sentence(string header, int dataBytes, string sentence) =>
        Assert.Equal(sentence, Refusal(Make(header, dataBytes)));

    [Fact]
    public void A_file_of_five_bytes_is_too_small() =>
        Assert.Equal("model.safetensors is 5 bytes long, too small for a safetensors file, which begins with 8 bytes for the length of its header.", Refusal(Save([1, 2, 3, 4, 5])));

    [Fact]
    public void An_empty_file_is_too_small() =>
        Assert.Equal("model.safetensors is 0 bytes long, too small for a safetensors file, which begins with 8 bytes for the length of its header.", Refusal(Save([])));

    [Fact]
    public void A_header_longer_than_the_file_is_refused() =>
        Assert.Equal("model.safetensors announces a header of 1000 bytes, but only 12 follow; the file was probably cut off, so copy or download it again.", Refusal(Make("{}", 10, announced: 1000)));

    [Fact]
    public void A_header_of_more_than_100_megabytes_is_refused() =>
        Assert.Equal("model.safetensors asks for a header of 100000001 bytes; more than 100000000 is refused, and the file is probably not a safetensors file.", Refusal(Make("{}", 10, announced: 100_000_001)));

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Equal("There is no file model.safetensors in this folder.", Refusal(folder.File("model.safetensors")));

    [Fact]
    public void A_pickle_with_another_name_is_recognised_and_refused() =>
        Assert.Equal(
            "model.safetensors is a Python pickle, not safetensors: a pickle can run any code when opened, so it is refused. Convert it where it came from with safetensors.torch.save_file and import the result.",
            Refusal(Save([0x80, 2, (byte)'}', (byte)'q', 0, .. "X\0\0\0weight"u8, (byte)'.'])));

    [Fact]
    public void A_torch_zip_with_another_name_is_recognised_and_refused()
    {
        using (ZipArchive zip = new(File.Create(folder.File("model.safetensors")), ZipArchiveMode.Create))
        using (Stream entry = zip.CreateEntry("archive/data.pkl").Open()) entry.Write([0x80, 2, (byte)'.']);
        Assert.Equal(
            "model.safetensors is a zip archive, as torch.save writes it, not safetensors. If it holds a state dict, give it its usual name, pytorch_model.bin: its tensors are read, and nothing else. Convert it where it came from with safetensors.torch.save_file and import the result.",
            Refusal(folder.File("model.safetensors")));
    }

    [Fact]
    public void A_git_lfs_pointer_is_recognised() =>
        Assert.Equal("model.safetensors is only a Git LFS pointer, not the weights themselves: fetch the real file with git lfs pull.",
            Refusal(Save([.. "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"u8])));

    [Fact]
    public void The_order_of_the_names_in_the_header_does_not_matter()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Make("""{"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"e":{"dtype":"F32","shape":[0,4],"data_offsets":[3,3]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}  """, 3));
        Assert.Equal(1, file.Bytes("a").Length);
        Assert.Equal(2, file.Bytes("b").Length);
        Assert.Equal(0, file.Bytes("e").Length);
        Assert.Equal("model.safetensors has no tensor \"c\".", Assert.Throws<WeightFileException>(() => file.Bytes("c")).Message);
    }

    static (string, string, long[], Func<ReadOnlyMemory<byte>>) Tensor(string name, string dtype, long[] shape, params byte[] data) => (name, dtype, shape, () => data);

    [Fact]
    public void What_is_written_is_read_back_and_the_same_tensors_give_the_same_bytes()
    {
        var tensors = new[] { Tensor("b", "U8", [3], 7, 8, 9), Tensor("a", "U8", [1], 5), Tensor("z", "F32", [1, 1], 1, 2, 3, 4) };
        string one = folder.File("one.safetensors"), two = folder.File("two.safetensors");
        SafetensorsWriter.Write(one, tensors, new Dictionary<string, string> { ["format"] = "pt", ["a"] = "é\n" });
        SafetensorsWriter.Write(two, tensors.Reverse(), new Dictionary<string, string> { ["a"] = "é\n", ["format"] = "pt" });
        Assert.Equal(File.ReadAllBytes(one), File.ReadAllBytes(two));
        using SafetensorsFile file = SafetensorsFile.Open(one);
        Assert.Equal([7, 8, 9], file.Bytes("b").ToArray());
        Assert.Equal([1, 2, 3, 4], file.Bytes("z").ToArray());
        Assert.Equal(0, file.Entries["z"].Begin);
        Assert.Equal("é\n", file.Metadata["a"]);
        Assert.Equal(0, (BinaryPrimitives.ReadInt64LittleEndian(File.ReadAllBytes(one)) + 8) % 8);
        Assert.Equal(["one.safetensors", "two.safetensors"], Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file_and_nothing_else()
    {
        string path = folder.File("model.safetensors");
        SafetensorsWriter.Write(path, [Tensor("a", "U8", [1], 5)]);
        byte[] before = File.ReadAllBytes(path);
        string message = Assert.Throws<WeightFileException>(() => SafetensorsWriter.Write(path, [Tensor("a", "F32", [2], 5)])).Message;
        Assert.Equal("model.safetensors cannot be written: the tensor \"a\" of F32 [2] needs 8 bytes, but got 1.", message);
        Assert.Equal("model.safetensors cannot be written: the name \"a\" is used twice.",
            Assert.Throws<WeightFileException>(() => SafetensorsWriter.Write(path, [Tensor("a", "U8", [1], 5), Tensor("a", "U8", [1], 6)])).Message);
        Assert.Equal("model.safetensors cannot be written: the tensor \"a\" has the unknown dtype \"float\"; known are BOOL, U8, I8, F8_E5M2, F8_E4M3, I16, U16, F16, BF16, I32, U32, F32, I64, U64, F64, C64.",
            Assert.Throws<WeightFileException>(() => SafetensorsWriter.Write(path, [Tensor("a", "float", [1], 5)])).Message);
        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void Mutated_files_give_weights_or_a_sentence_and_never_anything_else()
    {
        string path = folder.File("model.safetensors");
        SafetensorsWriter.Write(path, [Tensor("w", "F32", [2, 2], new byte[16]), Tensor("b", "F16", [2], new byte[4]), Tensor("n", "I64", [], new byte[8])],
            new Dictionary<string, string> { ["format"] = "pt" });
        byte[] sound = File.ReadAllBytes(path);
        int headerLength = (int)BinaryPrimitives.ReadInt64LittleEndian(sound);
        string[] snippets = ["0", "-1", "99999999999999999999", "1e3", "\"", "{", "}", "[", "]", ",", ":", "\\u0000", "\"F32\"", "null", "4294967296", "9223372036854775807", "\"w\":{", "é", "data_offsets", " "];
        Random random = new(20261125);
        int refused = 0;
        const int tries = 1500;
        for (int i = 0; i < tries; i++)
        {
            List<byte> bytes = [.. sound];
            for (int change = random.Next(1, 4); change > 0; change--)
            {
                int at = random.Next(random.Next(4) == 0 ? bytes.Count : Math.Min(bytes.Count, headerLength + 8));
                switch (random.Next(5))
                {
                    case 0: bytes[at] = (byte)random.Next(256); break;
                    case 1: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                    case 2: bytes.RemoveRange(at, random.Next(Math.Min(40, bytes.Count - at))); break;
                    case 3: bytes.InsertRange(at, Encoding.UTF8.GetBytes(snippets[random.Next(snippets.Length)])); break;
                    default:
                        // Keeps the announced length true, so that the JSON itself is reached.
                        byte[] snippet = Encoding.UTF8.GetBytes(snippets[random.Next(snippets.Length)]);
                        at = Math.Max(8, at);
                        if (at > bytes.Count) break;
                        bytes.InsertRange(at, snippet);
                        byte[] length = new byte[8];
                        BinaryPrimitives.WriteInt64LittleEndian(length, headerLength + snippet.Length);
                        for (int k = 0; k < 8 && k < bytes.Count; k++) bytes[k] = length[k];
                        break;
                }
                if (bytes.Count == 0) break;
            }
            File.WriteAllBytes(path, [.. bytes]);
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(path);
                long data = bytes.Count - 8 - BinaryPrimitives.ReadInt64LittleEndian([.. bytes.Take(8)]);
                long total = 0;
                foreach (TensorEntry entry in file.Entries.Values)
                {
                    Assert.InRange(entry.End, entry.Begin, data);
                    foreach (byte value in file.Bytes(entry.Name)) total += value;
                    total += entry.End - entry.Begin;
                }
            }
            catch (WeightFileException e)
            {
                refused++;
                Assert.StartsWith("model.safetensors", e.Message);
                Assert.DoesNotContain(e.Message, char.IsControl);
            }
        }
        Assert.InRange(refused, tries / 2, tries - 10);
    }
}
