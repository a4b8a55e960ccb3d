using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// Fills a causal language model from a Hugging Face folder: GPT-2, Llama or Qwen2, as config.json says. The weights are
/// what <see cref="ModelWeights"/> finds, in one file or in shards; every parameter must be there with its shape. Names may lack the prefix of the whole model, and a tied head
/// needs no tensor.
/// </summary>
public static class LoadCausalLM
{
    private const string Head = "lm_head.weight";

    /// <summary>The model in evaluation mode, float32, and how the file met it: matched is everything, or it throws.</summary>
    /// <param name="folder">A Hugging Face model folder.</param>
    /// <param name="dropout">Probability for every dropout, in place of the folder's; null keeps them.</param>
    /// <exception cref="WeightFileException">A file is missing or does not fit; the sentence says which and how.</exception>
    public static (CausalLM Model, WeightReport Report) From(string folder, double? dropout = null)
    {
        var type = ConfigJson.Read(folder).Text("model_type", "nothing");
        CausalLM model = type switch
        {
            "gpt2" => new Gpt2LMHeadModel(Gpt2Config.Read(folder), dropout),
            "llama" => new LlamaForCausalLM(LlamaConfig.Read(folder), dropout),
            "qwen2" => new Qwen2ForCausalLM(LlamaConfig.ReadQwen2(folder), dropout),
            _ => throw new WeightFileException($"config.json says model_type is {type}; expected gpt2, llama or qwen2."),
        };
        try
        {
            var report = Fill(model, folder);
            model.eval();
            return (model, report);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>
    /// A GPT-2 with new weights, in training mode: normal(0, 0.02), the layers that end a residual branch by the root of their number smaller
    /// (Radford et al. 2019, section 2.3), biases 0, norms 1.
    /// </summary>
    public static Gpt2LMHeadModel New(Gpt2Config config, double? dropout, int seed)
    {
        const double spread = 0.02;
        var model = new Gpt2LMHeadModel(config, dropout);
        manual_seed(seed);
        using var still = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, parameter) in model.named_parameters())
        {
            if (name.EndsWith(".bias")) parameter.zero_();
            else if (parameter.dim() == 1) parameter.fill_(1);
            else nn.init.normal_(parameter, 0, name.EndsWith("c_proj.weight") ? spread / Math.Sqrt(2 * config.Layers) : spread);
        }
        return model;
    }

    /// <summary>The name a file's tensor has in the model: a file of the body alone has no prefix.</summary>
    internal static string ModelName(CausalLM model, string fileName)
    {
        var prefix = model is Gpt2LMHeadModel ? "transformer." : "model.";
        return fileName.StartsWith(prefix) || fileName == Head ? fileName : prefix + fileName;
    }

    /// <summary>The tensors by the name they have in the model.</summary>
    /// <exception cref="WeightFileException">Two of them are the same parameter.</exception>
    internal static Dictionary<string, TensorEntry> ByModelName(ModelWeights file, CausalLM model)
    {
        var entries = new Dictionary<string, TensorEntry>(StringComparer.Ordinal);
        foreach (var entry in file.Entries.Values)
            if (ModelName(model, entry.Name) is var name && !entries.TryAdd(name, entry))
                throw new WeightFileException($"{file.Name} has {entries[name].Name} and {entry.Name}, which are the same parameter; keep one of them.");
        return entries;
    }

    private static WeightReport Fill(CausalLM model, string folder)
    {
        using var file = ModelWeights.Open(folder);
        var entries = ByModelName(file, model);
        var parameters = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        var missing = parameters.Keys.Where(name => !entries.ContainsKey(name)).ToList();
        if (missing.Count > 0)
            throw new WeightFileException($"{file.Name} lacks {missing.Count} of the {parameters.Count} tensors that config.json calls for, first {missing[0]}; the file and config.json are not of the same model.");
        foreach (var (name, parameter) in parameters)
            if (!entries[name].Shape.SequenceEqual(parameter.shape))
                throw new WeightFileException($"{file.Name} holds {name} with shape [{string.Join(", ", entries[name].Shape)}], but config.json calls for [{string.Join(", ", parameter.shape)}]; the file and config.json are not of the same model.");
        if (!parameters.ContainsKey(Head) && entries.TryGetValue(Head, out var head)) CheckTied(file, head, entries[model is Gpt2LMHeadModel ? "transformer.wte.weight" : "model.embed_tokens.weight"]);

        foreach (var (name, parameter) in parameters) file.CopyTo(entries[name].Name, parameter);
        var all = parameters.Values.Sum(p => p.numel());
        // Old files carry the causal mask and the rotary frequencies; the model computes both.
        return new(all, all, [], entries.Where(e => !parameters.ContainsKey(e.Key)).Select(e => e.Value.Name).Order(StringComparer.Ordinal).ToList(), []);
    }

    /// <summary>A head in the file beside a tied table is fine where it is the table.</summary>
    private static void CheckTied(ModelWeights file, TensorEntry head, TensorEntry table)
    {
        if (head.Dtype != table.Dtype || !file.Bytes(head.Name).SequenceEqual(file.Bytes(table.Name)))
            throw new WeightFileException($"config.json says that the head is tied to {table.Name}, but {file.Name} holds another {Head}; set tie_word_embeddings to false if the head was trained on its own.");
    }
}
