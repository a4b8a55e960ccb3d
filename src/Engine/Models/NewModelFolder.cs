using System.Text.Json;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Models;

/// <summary>The sizes of a model that starts from new weights; the inner layer of a block is four times as wide.</summary>
/// <param name="Layers">Blocks.</param>
/// <param name="HiddenSize">Width; the heads divide it evenly.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="Positions">Longest text in tokens.</param>
public sealed record ModelShape(int Layers, int HiddenSize, int Heads, int Positions)
{
    /// <summary>What is wrong with it in one sentence, or null.</summary>
    public string? Problem =>
        Layers is < 1 or > 48 ? $"A model has 1 to 48 layers; {Layers} were asked for."
        : HiddenSize is < 16 or > 4096 ? $"A model's width is 16 to 4096; {HiddenSize} was asked for."
        : Heads < 1 || HiddenSize % Heads != 0 ? $"The width {HiddenSize} cannot be divided evenly among {Heads} heads."
        : Positions is < 16 or > 4096 ? $"A model has 16 to 4096 positions; {Positions} were asked for."
        : null;
}

/// <summary>Makes complete Hugging Face folders of models with new weights, from which they are pretrained.</summary>
public static class NewModelFolder
{
    /// <summary>A BERT with heads for masked words and for pairs of texts.</summary>
    /// <param name="folder">Must not be there yet; it gets its name when it is complete.</param>
    /// <param name="vocabulary">From <see cref="TrainVocabulary.WordPiece"/>.</param>
    /// <param name="seed">For the weights.</param>
    /// <exception cref="ArgumentException">The shape has a problem.</exception>
    public static void Bert(string folder, TrainedVocabulary vocabulary, ModelShape shape, int seed) => Write(folder, vocabulary, shape, new()
    {
        ["architectures"] = new[] { "BertForPreTraining" }, ["attention_probs_dropout_prob"] = 0.1, ["classifier_dropout"] = null, ["hidden_act"] = "gelu", ["hidden_dropout_prob"] = 0.1,
        ["hidden_size"] = shape.HiddenSize, ["initializer_range"] = 0.02, ["intermediate_size"] = 4 * shape.HiddenSize, ["layer_norm_eps"] = 1e-12, ["max_position_embeddings"] = shape.Positions,
        ["model_type"] = "bert", ["num_attention_heads"] = shape.Heads, ["num_hidden_layers"] = shape.Layers, ["pad_token_id"] = 0, ["position_embedding_type"] = "absolute", ["torch_dtype"] = "float32",
        ["type_vocab_size"] = 2, ["use_cache"] = true, ["vocab_size"] = vocabulary.Tokens.Count,
    }, made => LoadMaskedLM.New(EncoderConfig.Read(made), null, seed, nextSentence: true));

    /// <summary>A GPT-2.</summary>
    /// <param name="vocabulary">From <see cref="TrainVocabulary.ByteLevelBpe"/>.</param>
    /// <inheritdoc cref="Bert"/>
    public static void Gpt2(string folder, TrainedVocabulary vocabulary, ModelShape shape, int seed) => Write(folder, vocabulary, shape, new()
    {
        ["activation_function"] = "gelu_new", ["architectures"] = new[] { "GPT2LMHeadModel" }, ["attn_pdrop"] = 0.1, ["bos_token_id"] = 0, ["embd_pdrop"] = 0.1, ["eos_token_id"] = 0, ["initializer_range"] = 0.02,
        ["layer_norm_epsilon"] = 1e-5, ["model_type"] = "gpt2", ["n_embd"] = shape.HiddenSize, ["n_head"] = shape.Heads, ["n_inner"] = null, ["n_layer"] = shape.Layers, ["n_positions"] = shape.Positions,
        ["pad_token_id"] = 0, ["resid_pdrop"] = 0.1, ["scale_attn_by_inverse_layer_idx"] = false, ["scale_attn_weights"] = true, ["tie_word_embeddings"] = true, ["torch_dtype"] = "float32", ["use_cache"] = true,
        ["vocab_size"] = vocabulary.Tokens.Count,
    }, made => LoadCausalLM.New(Gpt2Config.Read(made), null, seed));

    /// <summary>Learns a vocabulary from texts and makes a model with new weights for it.</summary>
    /// <param name="family">bert or gpt2.</param>
    /// <param name="folder">Must not be there yet.</param>
    /// <param name="size">Most tokens of the vocabulary.</param>
    /// <returns>The tokens that were learned.</returns>
    /// <exception cref="ArgumentException">The shape has a problem, or the vocabulary is too small for the texts.</exception>
    public static int Learned(string family, string folder, IEnumerable<string> texts, int size, ModelShape shape, int seed, CancellationToken cancel = default)
    {
        var vocabulary = family == "bert" ? TrainVocabulary.WordPiece(texts, size, cancel: cancel) : TrainVocabulary.ByteLevelBpe(texts, size, cancel: cancel);
        if (family == "bert") Bert(folder, vocabulary, shape, seed);
        else Gpt2(folder, vocabulary, shape, seed);
        return vocabulary.Tokens.Count;
    }

    private static void Write(string folder, TrainedVocabulary vocabulary, ModelShape shape, Dictionary<string, object?> config, Func<string, nn.Module> make)
    {
        if (shape.Problem is { } problem) throw new ArgumentException(problem);
        var partial = folder + ".partial";
        if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
        vocabulary.Save(partial, shape.Positions);
        File.WriteAllText(Path.Combine(partial, "config.json"), JsonSerializer.Serialize(config, new JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }) + "\n");
        using (var model = make(partial))
            SafetensorsWriter.Write(Path.Combine(partial, ModelWeights.SingleFile), model.named_parameters().Select(p => (p.name, "F32", p.parameter.shape, (Func<ReadOnlyMemory<byte>>)(() => StoredTensor.Bytes(p.parameter, "F32")))), new Dictionary<string, string> { ["format"] = "pt" });
        Directory.Move(partial, folder);
    }
}
