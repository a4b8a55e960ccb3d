using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Tests.Parity;

public sealed class SafetensorsParityTests
{
    [SkippableTheory]
    [InlineData("bert-tiny/model.safetensors", 41)]
    [InlineData("bert-tiny-oldnames/model.safetensors", 47)]
    [InlineData("gpt2-tiny-prefixless/model.safetensors", 30)]
    public void A_reference_file_survives_reading_and_writing_unchanged(string file, int tensors)
    {
        var path = Shared.Find($"goldens/{file}");
        using TemporaryFolder folder = new();
        using SafetensorsFile read = SafetensorsFile.Open(path);
        Assert.Equal(tensors, read.Entries.Count);
        Assert.Equal("pt", read.Metadata["format"]);
        string copy = folder.File("copy.safetensors");
        SafetensorsWriter.Write(copy, read.Entries.Values.Select(e => (e.Name, e.Dtype, e.Shape, (Func<ReadOnlyMemory<byte>>)(() => read.Bytes(e.Name).ToArray()))), read.Metadata);
        using SafetensorsFile again = SafetensorsFile.Open(copy);
        Assert.Equal(read.Entries.Keys.Order(), again.Entries.Keys.Order());
        foreach (TensorEntry entry in read.Entries.Values)
        {
            Assert.Equal(entry.Dtype, again.Entries[entry.Name].Dtype);
            Assert.Equal(entry.Shape, again.Entries[entry.Name].Shape);
            Assert.True(read.Bytes(entry.Name).SequenceEqual(again.Bytes(entry.Name)), entry.Name);
        }
    }

    [SkippableFact]
    public void The_old_pytorch_file_is_refused_as_a_zip()
    {
        var path = Shared.Find("goldens/bert-tiny-oldnames/pytorch_model.bin");
        Assert.StartsWith("pytorch_model.bin is a zip archive, as torch.save writes it", Assert.Throws<WeightFileException>(() => SafetensorsFile.Open(path)).Message);
    }
}
