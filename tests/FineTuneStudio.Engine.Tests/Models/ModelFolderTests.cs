using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Tests.Models;

public sealed class ModelFolderTests : IDisposable
{
    readonly TemporaryFolder folder = new();
    public void Dispose() => folder.Dispose();

    /// <summary>A BERT of width 4 with one block, and 6 words.</summary>
    void Make(Func<string, string>? rename = null, Func<string, long[], bool>? keep = null, Func<string, long[], long[]>? reshape = null, Action<JsonObject>? config = null, bool tokenizer = true)
    {
        JsonObject json = new()
        {
            ["architectures"] = new JsonArray("BertForMaskedLM"), ["model_type"] = "bert", ["vocab_size"] = 6, ["hidden_size"] = 4, ["num_hidden_layers"] = 1,
            ["num_attention_heads"] = 2, ["intermediate_size"] = 8, ["max_position_embeddings"] = 16, ["type_vocab_size"] = 2,
        };
        config?.Invoke(json);
        File.WriteAllText(folder.File("config.json"), json.ToJsonString());
        if (tokenizer) File.WriteAllLines(folder.File("vocab.txt"), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]);
        EncoderConfig small = new("bert", 6, 4, 1, 2, 8, "gelu", 16, 2, 1e-12, 0.02, 0, false, 0.1, 0.1, 0.1, []);
        var tensors = EncoderTensors.Needed(small).Select(t => (Name: t.Name["bert.".Length..], t.Shape))
            .Where(t => keep?.Invoke(t.Name, t.Shape) ?? true)
            .Select(t => (Name: rename?.Invoke(t.Name) ?? "bert." + t.Name, Shape: reshape?.Invoke(t.Name, t.Shape) ?? t.Shape));
        SafetensorsWriter.Write(folder.File("model.safetensors"), tensors.Select(t => (t.Name, "F32", t.Shape, (Func<ReadOnlyMemory<byte>>)(() => new byte[4 * t.Shape.Aggregate(1L, (a, b) => a * b)]))));
    }

    string? WhyNot() => ModelFolder.Inspect(folder.Path).WhyNot;

    [Fact]
    public void A_complete_bert_folder_can_be_trained_and_its_facts_are_read()
    {
        Make();
        File.WriteAllText(folder.File("README.md"), "---\nlanguage: en\nlicense: \"apache-2.0\" # as stated\n---\n# A model\nlicense: mit\n");
        ModelFacts facts = ModelFolder.Inspect(folder.Path);
        Assert.Null(facts.WhyNot);
        Assert.True(facts.CanTrain);
        Assert.Equal(("BertForMaskedLM", "bert", 6, 4, 1, 16, "apache-2.0"), (facts.Architecture, facts.ModelType, facts.VocabularySize, facts.HiddenSize, facts.Layers, facts.MaxPositions, facts.License));
        Assert.Equal(24 + 64 + 8 + 8 + 80 + 8 + 40 + 36 + 8, facts.Parameters);
        Assert.Matches("^[0-9a-f]{64}$", facts.Sha256);
        Assert.Equal(["README.md", "config.json", "model.safetensors", "vocab.txt"], facts.Files);
    }

    [Fact]
    public void Names_without_the_prefix_and_old_norm_names_are_understood()
    {
        Make(rename: n => n.Replace("LayerNorm.weight", "LayerNorm.gamma").Replace("LayerNorm.bias", "LayerNorm.beta"));
        Assert.Null(WhyNot());
    }

    [Fact]
    public void Missing_tensors_are_counted_and_named()
    {
        Make(keep: (n, _) => !n.Contains("query") && !n.Contains("key"));
        Assert.Equal("model.safetensors lacks 4 of the 21 tensors that a BERT encoder needs: bert.encoder.layer.0.attention.self.query.weight, bert.encoder.layer.0.attention.self.query.bias, bert.encoder.layer.0.attention.self.key.weight and 1 more.", WhyNot());
    }

    [Fact]
    public void A_tensor_of_another_shape_is_named_with_both_shapes()
    {
        Make(reshape: (n, s) => n == "embeddings.word_embeddings.weight" ? [7, 4] : s);
        Assert.Equal("The tensor bert.embeddings.word_embeddings.weight has the shape [7, 4], but config.json asks for [6, 4].", WhyNot());
    }

    [Theory]
    [InlineData("model_type", "mamba", "config.json says model_type \"mamba\"; only bert, distilbert, roberta, xlm-roberta, gpt2, llama and qwen2 can be trained so far.")]
    [InlineData("hidden_act", "swish", "config.json says hidden_act is swish; known are gelu, gelu_new, gelu_pytorch_tanh, relu.")]
    [InlineData("position_embedding_type", "relative_key", "config.json says position_embedding_type is relative_key; only absolute positions are supported.")]
    public void An_unsupported_setting_of_config_json_is_named(string name, string value, string sentence)
    {
        Make(config: c => c[name] = value);
        Assert.Equal(sentence, WhyNot());
    }

    [Fact]
    public void Heads_that_do_not_divide_the_width_and_custom_code_and_decoders_are_refused()
    {
        Make(config: c => c["num_attention_heads"] = 3);
        Assert.Equal("config.json says hidden_size is 4, which 3 attention heads do not divide evenly.", WhyNot());
        Make(config: c => c["auto_map"] = new JsonObject());
        Assert.Equal("config.json asks for Python code of its own (auto_map); code from a model folder is never run.", WhyNot());
        Make(config: c => c["is_decoder"] = true);
        Assert.Equal("config.json sets is_decoder; only a BERT encoder can be trained.", WhyNot());
        Make(config: c => c["num_hidden_layers"] = int.MaxValue);
        Assert.Equal("config.json says num_hidden_layers is 2147483647; expected a whole number from 1 to 1000.", WhyNot());
        Make(config: c => c.Remove("intermediate_size"));
        Assert.Equal("config.json has no number intermediate_size, which a BERT model needs.", WhyNot());
    }

    [Fact]
    public void A_pickle_is_refused_with_the_reason_and_the_way_out()
    {
        Make();
        File.Delete(folder.File("model.safetensors"));
        File.WriteAllBytes(folder.File("pytorch_model.bin"), [0x80, 2, (byte)'.']);
        Assert.Equal("pytorch_model.bin is a bare Python pickle, as torch.save wrote it before PyTorch 1.6; only the newer zip format is read. Load it with a recent PyTorch where you trust it, and save it again, best as safetensors.", WhyNot());
    }

    [Fact]
    public void Shards_other_formats_and_no_weights_at_all_each_have_their_sentence()
    {
        Make();
        File.Delete(folder.File("model.safetensors"));
        Assert.Equal("The folder has no weights: model.safetensors is missing.", WhyNot());
        File.WriteAllText(folder.File("tf_model.h5"), "");
        Assert.Equal("There is no model.safetensors; tf_model.h5 is of another format. Export the model as safetensors and import that.", WhyNot());
        File.WriteAllText(folder.File("adapter_model.safetensors"), "");
        Assert.Equal("There is no model.safetensors; found adapter_model.safetensors instead, which is not a complete model under its usual name.", WhyNot());
        File.WriteAllText(folder.File("model.safetensors.index.json"), "{}");
        Assert.Equal("model.safetensors.index.json has no weight_map, which says in which file each tensor is; copy or download it again.", WhyNot());
    }

    [Fact]
    public void A_truncated_weight_file_and_a_renamed_pickle_are_refused_but_still_hashed()
    {
        Make();
        byte[] bytes = File.ReadAllBytes(folder.File("model.safetensors"));
        File.WriteAllBytes(folder.File("model.safetensors"), bytes[..^4]);
        ModelFacts facts = ModelFolder.Inspect(folder.Path);
        Assert.EndsWith("the file was probably cut off, so copy or download it again.", facts.WhyNot);
        Assert.NotEqual("", facts.Sha256);
        File.WriteAllBytes(folder.File("model.safetensors"), [0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0, (byte)'.']);
        Assert.StartsWith("model.safetensors is a Python pickle, not safetensors", WhyNot());
    }

    [Fact]
    public void A_missing_or_foreign_tokenizer_is_named()
    {
        Make(tokenizer: false);
        Assert.Equal("The folder has no tokenizer: neither tokenizer.json nor vocab.txt is there, nor vocab.json with merges.txt.", WhyNot());
        File.WriteAllText(folder.File("tokenizer.json"), """{"model":{"type":"Spell","vocab":{}}}""");
        Assert.Equal("tokenizer.json has a model of the type Spell; WordPiece, BPE and Unigram are supported.", WhyNot());
        File.Delete(folder.File("tokenizer.json"));
        File.WriteAllLines(folder.File("vocab.txt"), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]);
        Assert.Equal("The tokenizer gives ids up to 6, but config.json has a vocab_size of 6; they are not of the same model.", WhyNot());
    }

    [Fact]
    public void Every_reason_is_given_at_once()
    {
        File.WriteAllText(folder.File("config.json"), "{\n broken");
        Assert.Equal("config.json is not valid JSON (line 2); copy or download it again. The folder has no weights: model.safetensors is missing. The folder has no tokenizer: neither tokenizer.json nor vocab.txt is there, nor vocab.json with merges.txt.", WhyNot());
        Assert.Equal("There is no such folder.", ModelFolder.Inspect(folder.File("nowhere")).WhyNot);
    }

    [Theory]
    [InlineData("---\nlicense:\n- mit\n- apache-2.0\n---\n", null, "mit, apache-2.0")]
    [InlineData("---\nlicense: other\nlicense_name: own-terms\n---\n", null, "own-terms")]
    [InlineData("# no front matter\nlicense: mit\n", "Permission is hereby granted, free of charge, to any person", "mit")]
    [InlineData(null, "                                 Apache License\n Version 2.0", "apache-2.0")]
    [InlineData(null, "Our own terms", "see LICENSE")]
    [InlineData(null, null, null)]
    public void The_licence_is_read_from_the_front_matter_or_the_licence_file(string? readme, string? license, string? expected)
    {
        Make();
        if (readme is not null) File.WriteAllText(folder.File("README.md"), readme);
        if (license is not null) File.WriteAllText(folder.File("LICENSE"), license);
        Assert.Equal(expected, ModelFolder.Inspect(folder.Path).License);
    }

    [SkippableTheory]
    [InlineData("bert-tiny", null)]
    [InlineData("bert-tiny-oldnames", null)]
    [InlineData("bert-tiny-qa", null)]
    [InlineData("distilbert-tiny", null)]
    [InlineData("roberta-tiny", null)]
    [InlineData("gpt2-tiny", null)]
    [InlineData("gpt2-tiny-prefixless", null)]
    [InlineData("llama-tiny", null)]
    [InlineData("llama-tiny-tied", null)]
    [InlineData("llama-tiny-sharded-bf16", "The folder has its tokenizer only as tokenizer.model, which is not read here. Load the tokenizer with transformers and call save_pretrained(folder), which writes tokenizer.json.")]
    [InlineData("qwen2-tiny", null)]
    public void The_reference_folders_are_judged_by_what_is_in_them(string model, string? whyNot)
    {
        var path = Shared.Find($"goldens/{model}");
        ModelFacts facts = ModelFolder.Inspect(path);
        Assert.Equal(whyNot, facts.WhyNot);
        if (model == "bert-tiny") Assert.Equal(("BertForSequenceClassification", 207747L, 2000, 64, 2, 128), (facts.Architecture, facts.Parameters, facts.VocabularySize, facts.HiddenSize, facts.Layers, facts.MaxPositions));
        Assert.Equal(model.StartsWith("gpt2") || model.StartsWith("llama") || model.StartsWith("qwen2"), facts.IsLanguageModel);
        if (model == "qwen2-tiny") Assert.Equal(("Qwen2ForCausalLM", 959, 64, 2, 128), (facts.Architecture, facts.VocabularySize, facts.HiddenSize, facts.Layers, facts.MaxPositions));
        if (model == "roberta-tiny") Assert.Equal(126, facts.MaxPositions);
        // The counts and the hash are over all shards, in the order of the index: the third file comes first in it.
        if (model == "llama-tiny-sharded-bf16") Assert.Equal((209216L, "da"), (facts.Parameters, facts.Sha256[..2]));
    }

    [SkippableFact]
    public void A_language_model_that_lacks_a_tensor_or_has_another_shape_is_refused_by_name()
    {
        var path = Shared.Find("goldens/llama-tiny");
        using TemporaryFolder copy = new();
        foreach (string file in Directory.GetFiles(path)) File.WriteAllBytes(Path.Combine(copy.Path, Path.GetFileName(file)), File.ReadAllBytes(file));
        string config = Path.Combine(copy.Path, "config.json"), sound = File.ReadAllText(config);
        string? WhyNot(string from, string to)
        {
            File.WriteAllText(config, sound.Replace(from, to));
            return ModelFolder.Inspect(copy.Path).WhyNot;
        }
        Assert.Equal("model.safetensors lacks 9 of the 30 tensors that a llama language model needs: model.layers.2.self_attn.q_proj.weight, model.layers.2.self_attn.k_proj.weight, model.layers.2.self_attn.v_proj.weight and 6 more.", WhyNot("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"));
        Assert.StartsWith("The tensor model.layers.0.mlp.gate_proj.weight has the shape [160, 64], but config.json asks for [128, 64].", WhyNot("\"intermediate_size\": 160", "\"intermediate_size\": 128"));
        Assert.Equal("config.json says hidden_act is relu; expected silu.", WhyNot("\"silu\"", "\"relu\"")?.Split(". ")[0].TrimEnd('.') + ".");
    }
}
