using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Models;

/// <summary>Gives a <see cref="BertForMaskedLM"/> its weights: from a Hugging Face folder, to go on with its pretraining, or new ones.</summary>
public static class LoadMaskedLM
{
    private const string Decoder = "cls.predictions.decoder.", Pairs = "cls.seq_relationship.weight";

    /// <summary>
    /// The folder's model in training mode, with a head for pairs where the files have one. Every backbone parameter but the pooler must be there with its shape; a
    /// head for words or a pooler that the files lack, or that has another shape, is drawn anew by <paramref name="seed"/>.
    /// </summary>
    /// <param name="folder">A Hugging Face model folder.</param>
    /// <param name="dropout">Probability for every dropout, in place of the folder's; null keeps them.</param>
    /// <param name="seed">For what is drawn anew.</param>
    /// <exception cref="WeightFileException">It is no BERT, or a file is missing or does not fit; the sentence says which and how.</exception>
    public static (BertForMaskedLM Model, WeightReport Report) From(string folder, double? dropout, int seed)
    {
        var config = EncoderConfig.Read(folder);
        RequireBert(config);
        bool pairs;
        using (var file = ModelWeights.Open(folder)) pairs = file.Entries.ContainsKey(Pairs);
        var model = new BertForMaskedLM(config, dropout, pairs);
        try
        {
            var report = Fill(model, folder);
            Draw(model, report.Missing.ToHashSet(), seed);
            return (model, report);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>A model with new weights, in training mode: normal(0, initializer_range), biases 0, norms 1, the padding's embedding 0.</summary>
    /// <exception cref="WeightFileException">The config is not of a BERT.</exception>
    public static BertForMaskedLM New(EncoderConfig config, double? dropout, int seed, bool nextSentence = false)
    {
        RequireBert(config);
        var model = new BertForMaskedLM(config, dropout, nextSentence);
        Draw(model, [.. model.named_parameters().Select(p => p.name)], seed);
        return model;
    }

    private static void RequireBert(EncoderConfig config)
    {
        if (config.ModelType != "bert") throw new WeightFileException($"config.json says the model is a {config.Family}; only BERT can be pretrained on masked words so far.");
    }

    private static void Draw(BertForMaskedLM model, HashSet<string> names, int seed)
    {
        manual_seed(seed);
        using var still = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, parameter) in model.named_parameters().Where(p => names.Contains(p.name)))
        {
            if (name.EndsWith(".bias")) parameter.zero_();
            else if (name.EndsWith("LayerNorm.weight")) parameter.fill_(1);
            else nn.init.normal_(parameter, 0, model.Config.InitializerRange);
            if (name.EndsWith(".word_embeddings.weight")) parameter.select(0, model.Config.PadTokenId).zero_();
        }
    }

    private static WeightReport Fill(BertForMaskedLM model, string folder)
    {
        using var file = ModelWeights.Open(folder);
        var (entries, prefix) = (LoadClassifier.ByModelName(file, model.Config), model.Config.Prefix);
        var parameters = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        if (EncoderTensors.Problems(model.Config, file).FirstOrDefault() is { } problem) throw new WeightFileException(problem);
        CheckTied(file, entries, Decoder + "weight", prefix + "embeddings.word_embeddings.weight");
        CheckTied(file, entries, Decoder + "bias", "cls.predictions.bias");

        List<string> missing = [];
        var (backbone, matched) = (0L, 0L);
        foreach (var (name, parameter) in parameters)
        {
            var elements = name.StartsWith(prefix) ? parameter.numel() : 0;
            backbone += elements;
            if (entries.TryGetValue(name, out var entry) && entry.Shape.SequenceEqual(parameter.shape))
            {
                file.CopyTo(entry.Name, parameter);
                matched += elements;
            }
            else missing.Add(name);
        }
        return new(backbone, matched, missing, entries.Where(e => !parameters.ContainsKey(e.Key) && !e.Key.StartsWith(Decoder)).Select(e => e.Value.Name).Order(StringComparer.Ordinal).ToList(), []);
    }

    /// <summary>Older files hold a tied tensor twice, which is fine where both are the same.</summary>
    private static void CheckTied(ModelWeights file, Dictionary<string, TensorEntry> entries, string copy, string original)
    {
        if (entries.TryGetValue(copy, out var head) && entries.TryGetValue(original, out var tied) && (head.Dtype != tied.Dtype || !file.Bytes(head.Name).SequenceEqual(file.Bytes(tied.Name))))
            throw new WeightFileException($"{file.Name} holds a {copy} that differs from {original}; the two are one table here, so a model that was trained with two cannot be trained further.");
    }
}
