using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Tests.Weights;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Models;

[Collection("training")]
public sealed class LoadClassifierTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    /// <summary>The practice model with its tensors or its config.json changed.</summary>
    private string Changed(Func<TensorEntry, (string Name, string Dtype, long[] Shape)?>? tensors = null, Action<JsonObject>? config = null)
    {
        var target = folder.File("model");
        Directory.CreateDirectory(target);
        foreach (var file in Directory.GetFiles(Repository.PracticeModel)) File.Copy(file, Path.Combine(target, Path.GetFileName(file)), overwrite: true);
        using (var read = SafetensorsFile.Open(Path.Combine(Repository.PracticeModel, "model.safetensors")))
            SafetensorsWriter.Write(Path.Combine(target, "model.safetensors"), read.Entries.Values.Select(e => (Entry: e, To: tensors is null ? (e.Name, e.Dtype, e.Shape) : tensors(e)))
                .Where(t => t.To is not null).Select(t => (t.To!.Value.Name, t.To.Value.Dtype, t.To.Value.Shape, (Func<ReadOnlyMemory<byte>>)(() =>
                {
                    var bytes = read.Bytes(t.Entry.Name);
                    if (t.To.Value.Dtype == "F32") return bytes[..(int)(t.To.Value.Shape.Aggregate(1L, (a, b) => a * b) * 4)].ToArray();
                    var half = new byte[bytes.Length / 2];
                    for (var i = 0; i < half.Length / 2; i++) BitConverter.TryWriteBytes(half.AsSpan(2 * i), (Half)BitConverter.ToSingle(bytes[(4 * i)..]));
                    return half;
                }))), read.Metadata);
        if (config is not null)
        {
            var path = Path.Combine(target, "config.json");
            var json = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
            config(json);
            File.WriteAllText(path, json.ToJsonString());
        }
        return target;
    }

    private static (float[] Weight, float[] Bias, WeightReport Report, bool NewHead) Head(string path, string[] labels, int seed)
    {
        var (model, report, newHead) = LoadClassifier.ForTraining(path, labels, dropout: 0.1, seed);
        using (model) return (model.Classifier.weight.data<float>().ToArray(), model.Classifier.bias!.data<float>().ToArray(), report, newHead);
    }

    [Fact]
    public void New_labels_get_a_new_head_of_the_configs_spread_by_seed()
    {
        var labels = Enumerable.Range(0, 77).Select(i => $"label {i}").ToArray();
        var (weight, bias, report, newHead) = Head(Repository.PracticeModel, labels, seed: 3);
        Assert.True(newHead);
        Assert.Equal(["classifier.bias", "classifier.weight"], report.Reshaped.Order());
        Assert.Equal((1.0, report.BackboneElements), (report.BackboneShare, report.MatchedBackboneElements));
        Assert.All(bias, b => Assert.Equal(0, b));
        Assert.InRange(Math.Sqrt(weight.Average(w => (double)w * w)), 0.019, 0.021);
        Assert.InRange(weight.Average(), -0.001, 0.001);
        Assert.Equal(weight, Head(Repository.PracticeModel, labels, seed: 3).Weight);
        Assert.NotEqual(weight, Head(Repository.PracticeModel, labels, seed: 4).Weight);
    }

    [Fact]
    public void The_same_labels_in_the_same_order_keep_the_head_and_another_order_does_not()
    {
        using var file = SafetensorsFile.Open(Path.Combine(Repository.PracticeModel, "model.safetensors"));
        var stored = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(file.Bytes("classifier.weight")).ToArray();
        var kept = Head(Repository.PracticeModel, ["negative", "neutral", "positive"], seed: 3);
        Assert.False(kept.NewHead);
        Assert.Equal(stored, kept.Weight);
        var other = Head(Repository.PracticeModel, ["positive", "neutral", "negative"], seed: 3);
        Assert.True(other.NewHead);
        Assert.NotEqual(stored, other.Weight);
    }

    [Fact]
    public void A_file_without_the_prefix_loads_whole_and_a_missing_pooler_is_drawn_anew()
    {
        var bare = Changed(e => e.Name.StartsWith("bert.pooler") || e.Name.StartsWith("classifier") ? null : (e.Name["bert.".Length..], e.Dtype, e.Shape));
        var (_, _, report, newHead) = Head(bare, ["negative", "neutral", "positive"], seed: 1);
        Assert.True(newHead);
        Assert.Equal(["bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias", "classifier.weight"], report.Missing.Order());
        Assert.Equal(report.BackboneElements - 64 * 65, report.MatchedBackboneElements);
        Assert.Empty(report.Unexpected);
        Assert.StartsWith("The weights have no fitting bert.pooler.dense.weight and bert.pooler.dense.bias and classifier.weight and classifier.bias for the 3 labels of config.json;", Assert.Throws<WeightFileException>(() => LoadClassifier.ForPrediction(bare)).Message);
    }

    /// <summary>A config.json of each family, small enough to make the model.</summary>
    private static EncoderConfig Small(string type) => EncoderConfig.Read(System.Text.Json.JsonDocument.Parse(type == "distilbert"
        ? """{"model_type":"distilbert","vocab_size":30,"dim":8,"n_layers":2,"n_heads":2,"hidden_dim":12,"max_position_embeddings":20}"""
        : $$"""{"model_type":"{{type}}","vocab_size":30,"hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":12,"max_position_embeddings":20,"type_vocab_size":1}""").RootElement);

    [Theory]
    [InlineData("bert", 20)]
    [InlineData("distilbert", 20)]
    [InlineData("roberta", 18)]
    [InlineData("xlm-roberta", 18)]
    public void The_tensors_by_which_a_folder_is_judged_are_those_of_the_model(string type, int longestText)
    {
        var config = Small(type);
        Assert.Equal(longestText, config.MaxPositions);
        using var model = SequenceClassifier.For(config, 3);
        var backbone = model.named_parameters().Where(p => p.name.StartsWith(config.Prefix) && !p.name.Contains(".pooler.")).Select(p => (p.name, string.Join(',', p.parameter.shape)));
        Assert.Equal(backbone.Order(), EncoderTensors.Needed(config).Select(t => (t.Name, string.Join(',', t.Shape))).Order());
        using var scope = torch.NewDisposeScope();
        Assert.Equal([1L, 3], model.call(torch.zeros(1, longestText, dtype: torch.int64), null, null).shape);
        Assert.Equal($"The texts have {longestText + 1} tokens but the model has {longestText} positions; cut them first.",
            Assert.Throws<ArgumentException>(() => model.call(torch.zeros(1, longestText + 1, dtype: torch.int64), null, null)).Message);
    }

    [Theory]
    [InlineData("bert", new[] { "classifier." }, new[] { "classifier.", "bert.pooler.", "bert.encoder.layer.1." })]
    [InlineData("distilbert", new[] { "classifier.", "pre_classifier." }, new[] { "classifier.", "pre_classifier.", "distilbert.transformer.layer.1." })]
    [InlineData("roberta", new[] { "classifier." }, new[] { "classifier.", "roberta.encoder.layer.1." })]
    public void Head_only_and_the_last_block_train_what_they_say(string type, string[] head, string[] lastBlock)
    {
        using var model = SequenceClassifier.For(Small(type), 3);
        string[] Trained() => [.. model.named_parameters().Where(p => p.parameter.requires_grad).Select(p => p.name).Order()];
        string[] Named(string[] prefixes) => [.. model.named_parameters().Select(p => p.name).Where(n => prefixes.Any(n.StartsWith)).Order()];
        model.TrainOnlyHeadAnd(0);
        Assert.Equal(Named(head), Trained());
        model.TrainOnlyHeadAnd(1);
        Assert.Equal(Named(lastBlock), Trained());
    }

    [Fact]
    public void Positions_of_sines_are_never_trained()
    {
        using var model = SequenceClassifier.For(Small("distilbert") with { FixedPositions = true }, 2);
        Assert.Equal(["distilbert.embeddings.position_embeddings.weight"], model.named_parameters().Where(p => !p.parameter.requires_grad).Select(p => p.name));
    }

    /// <summary>A reference folder with other weight files, whose tensors a test chooses; config.json and tokenizer stay.</summary>
    private string Rewritten(string golden, Action<SafetensorsFile, string> write)
    {
        var target = folder.File("rewritten");
        Directory.CreateDirectory(target);
        // Not copied as files: the shared ones may be read-only.
        foreach (var file in Directory.GetFiles(golden).Where(f => !Path.GetFileName(f).StartsWith("expected"))) File.WriteAllBytes(Path.Combine(target, Path.GetFileName(file)), File.ReadAllBytes(file));
        using var read = SafetensorsFile.Open(Path.Combine(golden, "model.safetensors"));
        write(read, target);
        return target;
    }

    private static (string, string, long[], Func<ReadOnlyMemory<byte>>) Tensor(SafetensorsFile file, TensorEntry entry, string name) => (name, entry.Dtype, entry.Shape, () => file.Bytes(entry.Name).ToArray());

    private static float[] Values(SafetensorsFile file, string name)
    {
        using var values = torch.empty(file.Entries[name].Shape);
        StoredTensor.CopyTo(file, file.Entries[name], values);
        return values.data<float>().ToArray();
    }

    private static float[] Logits(SequenceClassifier model)
    {
        model.eval();
        using var scope = torch.NewDisposeScope();
        return model.call(torch.tensor(new long[] { 5, 9, 17, 33, 21, 8 }, [2, 3]), null, null).data<float>().ToArray();
    }

    [SkippableTheory]
    [InlineData("bert-tiny")]
    [InlineData("distilbert-tiny")]
    [InlineData("roberta-tiny")]
    public void Every_family_loads_from_shards_without_its_prefix_and_with_old_norm_names_to_the_same_logits(string golden)
    {
        var original = Shared.Find($"goldens/{golden}");
        var (whole, report) = LoadClassifier.ForPrediction(original);
        using var owned = whole;
        Assert.Equal((1.0, 0, 0), (report.BackboneShare, report.Missing.Count, report.Unexpected.Count));
        var shards = Rewritten(original, (file, to) =>
        {
            string Old(string name) => (name.StartsWith(whole.Config.Prefix) ? name[whole.Config.Prefix.Length..] : name).Replace("LayerNorm.weight", "LayerNorm.gamma").Replace("LayerNorm.bias", "LayerNorm.beta");
            ModelWeightsTests.WriteShards(to, 3, file.Entries.Values.Select(e => Tensor(file, e, Old(e.Name))).Append(("lm_head.decoder.weight", "F32", [1], () => new byte[4])));
            File.Delete(Path.Combine(to, "model.safetensors"));
            File.WriteAllText(Path.Combine(to, "expected.safetensors"), "no weights at all");
        });
        var (model, again) = LoadClassifier.ForPrediction(shards);
        using (model) Assert.Equal(Logits(whole), Logits(model));
        Assert.Equal((1.0, 0), (again.BackboneShare, again.Missing.Count));
        Assert.Equal(["lm_head.decoder.weight"], again.Unexpected);
    }

    [SkippableTheory]
    [InlineData("bert-tiny", "F16")]
    [InlineData("distilbert-tiny", "BF16")]
    [InlineData("roberta-tiny", "F16")]
    [InlineData("roberta-tiny", "F32")]
    public void Every_family_is_exported_with_the_names_keys_shapes_and_fields_it_came_with_in_single_precision(string golden, string dtype)
    {
        var original = Shared.Find($"goldens/{golden}");
        var stored = Rewritten(original, (file, to) =>
        {
            var config = JsonNode.Parse(File.ReadAllText(Path.Combine(to, "config.json")))!;
            config["torch_dtype"] = dtype switch { "BF16" => "bfloat16", "F16" => "float16", _ => "float32" };
            File.WriteAllText(Path.Combine(to, "config.json"), config.ToJsonString());
            SafetensorsWriter.Write(Path.Combine(to, "model.safetensors"), file.Entries.Values.Select(e =>
            {
                var values = torch.empty(e.Shape);
                StoredTensor.CopyTo(file, e, values);
                return (e.Name, dtype, e.Shape, (Func<ReadOnlyMemory<byte>>)(() => { using (values) return StoredTensor.Bytes(values, dtype); }));
            }), file.Metadata);
        });
        string[] labels = ["bad", "good"];
        var (model, _, newHead) = LoadClassifier.ForTraining(stored, labels, dropout: 0, seed: 1);
        var saved = folder.File("saved");
        using (model) SaveModelFolder.Write(model, labels, stored, saved);
        Assert.True(newHead);
        Assert.Equal(Directory.GetFiles(original).Select(Path.GetFileName).Where(f => !f!.Contains("expected") && f != "inputs.json").Order(), Directory.GetFiles(saved).Select(Path.GetFileName).Order());

        using var before = SafetensorsFile.Open(Path.Combine(stored, "model.safetensors"));
        using var after = SafetensorsFile.Open(Path.Combine(saved, "model.safetensors"));
        Assert.Equal(before.Entries.Keys.Order(), after.Entries.Keys.Order());
        Assert.All(before.Entries.Values, e =>
        {
            var shape = e.Name.StartsWith(model.ClassifierName) ? [2, .. e.Shape[1..]] : e.Shape;
            Assert.Equal(("F32", string.Join(',', shape)), (after.Entries[e.Name].Dtype, string.Join(',', after.Entries[e.Name].Shape)));
            if (!e.Name.StartsWith(model.ClassifierName)) Assert.Equal(Values(before, e.Name), Values(after, e.Name));
        });
        JsonObject Config(string path) => JsonNode.Parse(File.ReadAllText(Path.Combine(path, "config.json")))!.AsObject();
        var (mine, theirs) = (Config(saved), Config(original));
        Assert.Equal(theirs.Select(p => p.Key), mine.Select(p => p.Key));
        Assert.All(theirs.Where(p => p.Key is not ("id2label" or "label2id")), p => Assert.Equal(p.Value?.ToJsonString(), mine[p.Key]?.ToJsonString()));
        var (loaded, _) = LoadClassifier.ForPrediction(saved);
        using (loaded) Assert.Equal(labels, loaded.Config.Labels);
    }

    [Fact]
    public void Weights_that_do_not_fit_the_config_are_refused_by_name()
    {
        string Message(string path) => Assert.Throws<WeightFileException>(() => LoadClassifier.ForTraining(path, ["a", "b"], 0, 1)).Message;
        Assert.Equal("model.safetensors lacks 1 of the 39 backbone tensors that config.json calls for, first bert.encoder.layer.1.output.dense.weight; the file and config.json are not of the same model.",
            Message(Changed(e => e.Name == "bert.encoder.layer.1.output.dense.weight" ? null : (e.Name, e.Dtype, e.Shape))));
        Assert.Equal("model.safetensors holds bert.embeddings.position_embeddings.weight with shape [64, 64], but config.json calls for [128, 64]; the file and config.json are not of the same model.",
            Message(Changed(e => (e.Name, e.Dtype, e.Name.Contains("position") ? [64, 64] : e.Shape))));
    }

    [Fact]
    public void Missing_broken_and_foreign_files_of_a_model_are_refused_with_a_sentence_and_leave_no_tensor()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = torch.Tensor.TotalCount;
        string Message(Action<string> harm)
        {
            var path = Changed();
            harm(path);
            return Assert.Throws<WeightFileException>(() => TextClassifier.Load(path)).Message;
        }
        Assert.Equal("There is no file model.safetensors in this folder.", Message(p => File.Delete(Path.Combine(p, "model.safetensors"))));
        Assert.Equal("model.safetensors is 0 bytes long, too small for a safetensors file, which begins with 8 bytes for the length of its header.", Message(p => File.WriteAllBytes(Path.Combine(p, "model.safetensors"), [])));
        Assert.EndsWith("the file was probably cut off, so copy or download it again.", Message(p =>
        {
            using var file = File.OpenWrite(Path.Combine(p, "model.safetensors"));
            file.SetLength(file.Length / 2);
        }));
        Assert.StartsWith("model.safetensors is a Python pickle, not safetensors: a pickle can run any code when opened, so it is refused.", Message(p => File.WriteAllBytes(Path.Combine(p, "model.safetensors"), [0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0, (byte)'.'])));
        Assert.Equal("The model folder has no config.json; choose a complete Hugging Face model folder.", Message(p => File.Delete(Path.Combine(p, "config.json"))));
        Assert.Equal("config.json is not valid JSON (line 2); copy or download it again.", Message(p => File.WriteAllText(Path.Combine(p, "config.json"), "{\n broken")));
        Assert.Equal("config.json is not a JSON object; copy or download it again.", Message(p => File.WriteAllText(Path.Combine(p, "config.json"), "[]")));
        // The header's letters only: the same bytes now claim to be whole numbers.
        Assert.Equal("The tensor bert.pooler.dense.bias is stored as I32; expected F32, F16, BF16 or F64.", Message(p =>
        {
            var file = Path.Combine(p, "model.safetensors");
            var bytes = File.ReadAllBytes(file);
            var at = bytes.AsSpan().IndexOf("\"bert.pooler.dense.bias\":{\"dtype\":\"F32\""u8);
            "I32"u8.CopyTo(bytes.AsSpan(at + "\"bert.pooler.dense.bias\":{\"dtype\":\"".Length));
            File.WriteAllBytes(file, bytes);
        }));
        var whole = Changed();
        foreach (var name in new[] { "tokenizer.json", "vocab.txt" }) File.Delete(Path.Combine(whole, name));
        Assert.Equal("The folder has no tokenizer: neither tokenizer.json nor vocab.txt is there, nor vocab.json with merges.txt.", Assert.Throws<FineTuneStudio.Engine.Text.TokenizerFileException>(() => TextClassifier.Load(whole)).Message);
        Assert.Equal(before, torch.Tensor.TotalCount);
    }

    [Fact]
    public void A_config_that_this_model_cannot_follow_is_refused_with_the_field()
    {
        string Message(Action<JsonObject> change) => Assert.Throws<WeightFileException>(() => LoadClassifier.ForPrediction(Changed(config: change))).Message;
        Assert.Equal("config.json says model_type \"gpt2\"; only bert, distilbert, roberta and xlm-roberta can be trained so far.", Message(c => c["model_type"] = "gpt2"));
        Assert.Equal("config.json says hidden_act is swish; known are gelu, gelu_new, gelu_pytorch_tanh, relu.", Message(c => c["hidden_act"] = "swish"));
        Assert.Equal("config.json says position_embedding_type is relative_key; only absolute positions are supported.", Message(c => c["position_embedding_type"] = "relative_key"));
        Assert.Equal("config.json says hidden_size is 64, which 5 attention heads do not divide evenly.", Message(c => c["num_attention_heads"] = 5));
        Assert.Equal("config.json has no number vocab_size, which a BERT model needs.", Message(c => c.Remove("vocab_size")));
        Assert.Equal("config.json has \"x\" in id2label, which is no number or is there twice; labels must be numbered 0, 1, 2, ...", Message(c => c["id2label"] = new JsonObject { ["x"] = "a", ["y"] = "b" }));
        Assert.Equal("config.json has \"00\" in id2label, which is no number or is there twice; labels must be numbered 0, 1, 2, ...", Message(c => c["id2label"] = new JsonObject { ["0"] = "a", ["00"] = "b" }));
        Assert.Equal("config.json says pad_token_id is 2000; expected a whole number from 0 to 1999.", Message(c => c["pad_token_id"] = 2000));
        Assert.Equal("config.json says max_position_embeddings is 2; RoBERTa needs more than 2, because its first position is 2.", Message(c => (c["model_type"], c["pad_token_id"], c["max_position_embeddings"]) = ("roberta", 1, 2)));
        Assert.Equal("config.json has no number dim, which a DistilBERT model needs.", Message(c => c["model_type"] = "distilbert"));
        Assert.Equal("config.json says that the weights are quantized; only plain F32, F16, BF16 or F64 weights can be trained.", Message(c => c["quantization_config"] = new JsonObject()));
        Assert.Equal("config.json says hidden_dropout_prob is 2; expected a number from 0 to below 1.", Message(c => c["hidden_dropout_prob"] = 2));
        Assert.Equal("config.json says layer_norm_eps is -1; expected a number above 0.", Message(c => c["layer_norm_eps"] = -1));
        Assert.Equal("config.json says initializer_range is -0.5; expected a number above 0.", Message(c => c["initializer_range"] = -0.5));
        Assert.Equal("config.json says num_hidden_layers is 16000000; expected a whole number from 1 to 1000.", Message(c => c["num_hidden_layers"] = 16_000_000));
        Assert.Equal("config.json says hidden_size is 0; expected a whole number from 1 to 16777216.", Message(c => c["hidden_size"] = 0));
        Assert.Equal("config.json has 2 labels in id2label but none with the number 1; they must be numbered 0, 1, 2, ...", Message(c => c["id2label"] = new JsonObject { ["0"] = "a", ["2"] = "b" }));
        Assert.Equal("The model folder has no config.json; choose a complete Hugging Face model folder.", Assert.Throws<WeightFileException>(() => LoadClassifier.ForPrediction(folder.File("nothing"))).Message);
    }

    public void Dispose() => folder.Dispose();
}
