using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Models;

[Collection("training")]
public sealed class LoadMaskedLMTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static Dictionary<string, float[]> Values(nn.Module model) => model.named_parameters().ToDictionary(p => p.name, p => p.parameter.data<float>().ToArray());

    [Fact]
    public void A_classifiers_backbone_gets_a_head_of_its_own_for_words_by_seed()
    {
        var (model, report) = LoadMaskedLM.From(Repository.PracticeModel, dropout: 0.1, seed: 3);
        using var owned = model;
        using var scope = NewDisposeScope();
        Assert.Equal(["cls.predictions.bias", "cls.predictions.transform.LayerNorm.bias", "cls.predictions.transform.LayerNorm.weight",
            "cls.predictions.transform.dense.bias", "cls.predictions.transform.dense.weight"], report.Missing.Order(StringComparer.Ordinal));
        Assert.Equal((1.0, 0), (report.BackboneShare, report.Reshaped.Count));
        var values = Values(model);
        Assert.All(values["cls.predictions.bias"], v => Assert.Equal(0, v));
        Assert.All(values["cls.predictions.transform.LayerNorm.weight"], v => Assert.Equal(1, v));
        Assert.InRange(Math.Sqrt(values["cls.predictions.transform.dense.weight"].Average(w => (double)w * w)), 0.019, 0.021);
        using var classifier = LoadClassifier.ForPrediction(Repository.PracticeModel).Model;
        var backbone = Values(classifier);
        Assert.All(values.Where(v => v.Key.StartsWith("bert.")), v => Assert.Equal(backbone[v.Key], v.Value));

        using var again = LoadMaskedLM.From(Repository.PracticeModel, dropout: 0.1, seed: 3).Model;
        using var other = LoadMaskedLM.From(Repository.PracticeModel, dropout: 0.1, seed: 4).Model;
        const string Dense = "cls.predictions.transform.dense.weight";
        Assert.Equal(values[Dense], Values(again)[Dense]);
        Assert.NotEqual(values[Dense], Values(other)[Dense]);
    }

    [Fact]
    public void New_weights_have_the_configs_spread_and_guess_each_word_alike()
    {
        var config = EncoderConfig.Read(Repository.PracticeModel);
        using var model = LoadMaskedLM.New(config, dropout: 0, seed: 1);
        using var scope = NewDisposeScope();
        var values = Values(model);
        Assert.Equal(Values(LoadMaskedLM.New(config, 0, seed: 1))["bert.embeddings.word_embeddings.weight"], values["bert.embeddings.word_embeddings.weight"]);
        Assert.All(values.Where(v => v.Key.EndsWith("LayerNorm.weight")), v => Assert.All(v.Value, w => Assert.Equal(1, w)));
        Assert.All(values.Where(v => v.Key.EndsWith(".bias")), v => Assert.All(v.Value, w => Assert.Equal(0, w)));
        Assert.All(values["bert.embeddings.word_embeddings.weight"].Take(config.HiddenSize), w => Assert.Equal(0, w));
        Assert.InRange(Math.Sqrt(values["bert.embeddings.position_embeddings.weight"].Average(w => (double)w * w)), 0.019, 0.021);

        var loss = nn.functional.cross_entropy(model.At(tensor(new long[] { 101, 7, 8, 102 }).view(1, 4), null, tensor(new long[] { 1, 2 })), tensor(new long[] { 7, 8 }));
        Assert.InRange(loss.item<float>(), Math.Log(config.VocabularySize) - 0.5, Math.Log(config.VocabularySize) + 0.5);
    }

    [Fact]
    public void A_second_word_table_in_the_file_must_be_the_first_one()
    {
        Copy(sameTable: true);
        var (model, report) = LoadMaskedLM.From(folder.Path, dropout: null, seed: 1);
        using (model) Assert.DoesNotContain(report.Unexpected, n => n.Contains("decoder"));
        Copy(sameTable: false);
        Assert.Equal("model.safetensors holds a cls.predictions.decoder.weight that differs from bert.embeddings.word_embeddings.weight; the two are one table here, so a model that was trained with two cannot be trained further.",
            Assert.Throws<WeightFileException>(() => LoadMaskedLM.From(folder.Path, dropout: null, seed: 1)).Message);
    }

    private void Copy(bool sameTable)
    {
        const string Table = "bert.embeddings.word_embeddings.weight";
        File.Copy(Path.Combine(Repository.PracticeModel, "config.json"), folder.File("config.json"), overwrite: true);
        using var read = SafetensorsFile.Open(Path.Combine(Repository.PracticeModel, "model.safetensors"));
        var tensors = read.Entries.Values.Select(e => (e.Name, e.Dtype, e.Shape, (Func<ReadOnlyMemory<byte>>)(() => read.Bytes(e.Name).ToArray()))).ToList();
        tensors.Add(("cls.predictions.decoder.weight", "F32", read.Entries[Table].Shape, () =>
        {
            var bytes = read.Bytes(Table).ToArray();
            if (!sameTable) bytes[^1] ^= 1;
            return bytes;
        }));
        SafetensorsWriter.Write(folder.File("model.safetensors"), tensors, read.Metadata);
    }

    [Fact]
    public void A_model_of_another_family_and_a_text_that_is_too_long_are_refused()
    {
        var config = EncoderConfig.Read(Repository.PracticeModel);
        Assert.Equal("config.json says the model is a RoBERTa; only BERT can be pretrained on masked words so far.",
            Assert.Throws<WeightFileException>(() => LoadMaskedLM.New(config with { ModelType = "roberta" }, null, 1)).Message);
        using var model = LoadMaskedLM.New(config, null, 1);
        using var scope = NewDisposeScope();
        Assert.StartsWith($"The texts have {config.MaxPositions + 1} tokens but the model has {config.MaxPositions} positions; cut them first.",
            Assert.Throws<ArgumentException>(() => model.call(ones(1, config.MaxPositions + 1, dtype: int64), null)).Message);
    }

    public void Dispose() => folder.Dispose();
}
