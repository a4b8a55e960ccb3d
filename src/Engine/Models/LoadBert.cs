using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// Fills a <see cref="BertForSequenceClassification"/> from a Hugging Face folder. Reads safetensors only; every backbone
/// parameter must be in the file with its shape. Names may lack the <c>bert.</c> prefix, and norms may be called gamma and beta.
/// </summary>
public static class LoadBert
{
    private const string Prefix = "bert.", Weights = "model.safetensors";

    /// <summary>A fine-tuned model with the head and labels of its folder, in evaluation mode.</summary>
    /// <exception cref="WeightFileException">A file is missing or does not fit; the sentence says which and how.</exception>
    public static (BertForSequenceClassification Model, WeightReport Report) ForPrediction(string folder)
    {
        var config = BertConfig.Read(folder);
        var model = new BertForSequenceClassification(config, config.Labels.Count);
        var report = Filled(model, folder);
        var headless = report.Missing.Concat(report.Reshaped).Where(n => n.StartsWith("classifier.") || n.StartsWith("bert.pooler.")).ToList();
        if (headless.Count > 0)
        {
            model.Dispose();
            throw new WeightFileException($"{Weights} has no fitting {string.Join(" and ", headless)} for the {config.Labels.Count} labels of config.json; this model was not fine-tuned for classification, so train it first.");
        }
        model.eval();
        return (model, report);
    }

    /// <summary>
    /// A base model to fine-tune. The head is the folder's where its labels are the same in the same order; else it is drawn
    /// anew from normal(0, initializer_range) by <paramref name="seed"/> with zero biases, as is a pooler the file lacks.
    /// A null <paramref name="dropout"/> keeps the folder's.
    /// </summary>
    /// <exception cref="WeightFileException">A file is missing or a backbone parameter is missing or has another shape.</exception>
    public static (BertForSequenceClassification Model, WeightReport Report, bool NewHead) ForTraining(string folder, IReadOnlyList<string> labels, double? dropout, int seed)
    {
        var config = BertConfig.Read(folder);
        var model = new BertForSequenceClassification(config, labels.Count, dropout);
        var report = Filled(model, folder);
        var fresh = report.Missing.Concat(report.Reshaped).ToHashSet();
        var newHead = !config.Labels.SequenceEqual(labels) || fresh.Any(n => n.StartsWith("classifier."));
        if (newHead) fresh.UnionWith(["classifier.weight", "classifier.bias"]);
        manual_seed(seed);
        using (no_grad())
        using (NewDisposeScope())
            foreach (var (name, parameter) in model.named_parameters().Where(p => fresh.Contains(p.name)))
                if (name.EndsWith(".bias")) parameter.zero_();
                else nn.init.normal_(parameter, 0, config.InitializerRange);
        return (model, report, newHead);
    }

    /// <summary>The name a file's tensor has in the model: prefix added, old norm names mended.</summary>
    internal static string ModelName(string fileName)
    {
        var name = fileName.Replace("LayerNorm.gamma", "LayerNorm.weight").Replace("LayerNorm.beta", "LayerNorm.bias");
        return name.StartsWith("embeddings.") || name.StartsWith("encoder.") || name.StartsWith("pooler.") ? Prefix + name : name;
    }

    /// <summary>Fills the model, or frees it where its folder does not fit.</summary>
    private static WeightReport Filled(BertForSequenceClassification model, string folder)
    {
        try { return Fill(model, folder); }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static WeightReport Fill(BertForSequenceClassification model, string folder)
    {
        using var file = SafetensorsFile.Open(Path.Combine(folder, Weights));
        var entries = new Dictionary<string, TensorEntry>();
        foreach (var entry in file.Entries.Values)
            if (!entries.TryAdd(ModelName(entry.Name), entry))
                throw new WeightFileException($"{Weights} has {entry.Name} and {entries[ModelName(entry.Name)].Name}, which are the same parameter; keep one of them.");

        var parameters = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        List<string> missing = [], reshaped = [];
        long backbone = 0, matched = 0;
        foreach (var (name, parameter) in parameters)
        {
            var isBackbone = name.StartsWith(Prefix);
            if (isBackbone) backbone += parameter.numel();
            if (!entries.TryGetValue(name, out var entry)) missing.Add(name);
            else if (!entry.Shape.SequenceEqual(parameter.shape)) reshaped.Add(name);
            else
            {
                StoredTensor.CopyTo(file, entry, parameter);
                if (isBackbone) matched += parameter.numel();
            }
        }
        // The pooler is absent from files of models that were only trained to fill in words; everything else must be there.
        if (missing.FirstOrDefault(n => n.StartsWith(Prefix) && !n.StartsWith("bert.pooler.")) is { } absent)
            throw new WeightFileException($"{Weights} lacks {missing.Count(n => n.StartsWith(Prefix))} of the {parameters.Count(p => p.Key.StartsWith(Prefix))} backbone tensors that config.json calls for, first {absent}; the file and config.json are not of the same model.");
        if (reshaped.FirstOrDefault(n => n.StartsWith(Prefix)) is { } other)
            throw new WeightFileException($"{Weights} holds {other} with shape [{string.Join(", ", entries[other].Shape)}], but config.json calls for [{string.Join(", ", parameters[other].shape)}]; the file and config.json are not of the same model.");
        return new(backbone, matched, missing, entries.Where(e => !parameters.ContainsKey(e.Key)).Select(e => e.Value.Name).Order(StringComparer.Ordinal).ToList(), reshaped);
    }
}
