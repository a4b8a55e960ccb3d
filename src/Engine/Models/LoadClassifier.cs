using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// Fills a <see cref="SequenceClassifier"/> from a Hugging Face folder. The weights are what <see cref="ModelWeights"/> finds; every backbone parameter must be
/// there with its shape. Names may lack the backbone's prefix (<c>bert.</c>, ...), and norms may be called gamma and beta. What the
/// model has no place for, such as the head of another task, is left out and reported.
/// </summary>
public static class LoadClassifier
{
    /// <summary>A fine-tuned model with the head and labels of its folder, in evaluation mode.</summary>
    /// <exception cref="WeightFileException">A file is missing or does not fit; the sentence says which and how.</exception>
    public static (SequenceClassifier Model, WeightReport Report) ForPrediction(string folder, EncoderHead head = EncoderHead.Sequence)
    {
        var config = EncoderConfig.Read(folder);
        if (!config.MayHold(head))
            throw new WeightFileException($"config.json says the model is a {SafetensorsHeader.Shown(config.SavedArchitecture)}; expected a {config.ArchitectureWith(head)}. Use it for the task that it was trained for.");
        var model = SequenceClassifier.For(config, config.Labels.Count, head: head);
        var report = Filled(model, folder);
        var headless = report.Missing.Concat(report.Reshaped).ToList();
        if (headless.Count > 0)
        {
            model.Dispose();
            throw new WeightFileException(head == EncoderHead.Answer
                ? $"The weights have no fitting {string.Join(" and ", headless)}; this model was not fine-tuned to answer questions, so train it first."
                : $"The weights have no fitting {string.Join(" and ", headless)} for the {config.Labels.Count} labels of config.json; this model was not fine-tuned for classification, so train it first.");
        }
        model.eval();
        return (model, report);
    }

    /// <summary>
    /// A base model to fine-tune. The head is the folder's where it is of the same kind and its labels, if the kind has any, are the same in the same order; else its last layer is
    /// drawn anew from normal(0, initializer_range) by <paramref name="seed"/> with zero biases, as is every layer of the head, or a
    /// pooler, that the files lack. A null <paramref name="dropout"/> keeps the folder's.
    /// </summary>
    /// <exception cref="WeightFileException">A file is missing or a backbone parameter is missing or has another shape.</exception>
    public static (SequenceClassifier Model, WeightReport Report, bool NewHead) ForTraining(string folder, IReadOnlyList<string> labels, double? dropout, int seed, EncoderHead head = EncoderHead.Sequence)
    {
        var config = EncoderConfig.Read(folder);
        var model = SequenceClassifier.For(config, labels.Count, dropout, head);
        var report = Filled(model, folder);
        var fresh = report.Missing.Concat(report.Reshaped).ToHashSet();
        var newHead = !config.MayHold(head) || head != EncoderHead.Answer && !config.Labels.SequenceEqual(labels) || fresh.Any(n => n.StartsWith(model.ClassifierName));
        if (newHead) fresh.UnionWith([model.ClassifierName + "weight", model.ClassifierName + "bias"]);
        manual_seed(seed);
        using (no_grad())
        using (NewDisposeScope())
            foreach (var (name, parameter) in model.named_parameters().Where(p => fresh.Contains(p.name)))
                if (name.EndsWith(".bias")) parameter.zero_();
                else nn.init.normal_(parameter, 0, config.InitializerRange);
        return (model, report, newHead);
    }

    /// <summary>The name a file's tensor has in the model: prefix added, old norm names mended.</summary>
    internal static string ModelName(string fileName, EncoderConfig config)
    {
        var name = fileName.EndsWith(".gamma") ? fileName[..^5] + "weight" : fileName.EndsWith(".beta") ? fileName[..^4] + "bias" : fileName;
        return name.StartsWith("embeddings.") || name.StartsWith("encoder.") || name.StartsWith("transformer.") || name.StartsWith("pooler.") ? config.Prefix + name : name;
    }

    /// <summary>The tensors by the name they have in the model.</summary>
    /// <exception cref="WeightFileException">Two of them are the same parameter.</exception>
    internal static Dictionary<string, TensorEntry> ByModelName(ModelWeights file, EncoderConfig config)
    {
        var entries = new Dictionary<string, TensorEntry>(StringComparer.Ordinal);
        foreach (var entry in file.Entries.Values)
            if (ModelName(entry.Name, config) is var name && !entries.TryAdd(name, entry))
                throw new WeightFileException($"{file.Name} has {entries[name].Name} and {entry.Name}, which are the same parameter; keep one of them.");
        return entries;
    }

    /// <summary>Fills the model, or frees it where its folder does not fit.</summary>
    private static WeightReport Filled(SequenceClassifier model, string folder)
    {
        try { return Fill(model, folder); }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static WeightReport Fill(SequenceClassifier model, string folder)
    {
        using var file = ModelWeights.Open(folder);
        var (entries, prefix) = (ByModelName(file, model.Config), model.Config.Prefix);
        var parameters = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        List<string> missing = [], reshaped = [];
        long backbone = 0, matched = 0;
        foreach (var (name, parameter) in parameters)
        {
            var isBackbone = name.StartsWith(prefix);
            if (isBackbone) backbone += parameter.numel();
            if (!entries.TryGetValue(name, out var entry)) missing.Add(name);
            else if (!entry.Shape.SequenceEqual(parameter.shape)) reshaped.Add(name);
            else
            {
                file.CopyTo(entry.Name, parameter);
                if (isBackbone) matched += parameter.numel();
            }
        }
        // The pooler is absent from files of models that were only trained to fill in words; everything else must be there.
        if (missing.FirstOrDefault(n => n.StartsWith(prefix) && !n.StartsWith(prefix + "pooler.")) is { } absent)
            throw new WeightFileException($"{file.Name} lacks {missing.Count(n => n.StartsWith(prefix))} of the {parameters.Count(p => p.Key.StartsWith(prefix))} backbone tensors that config.json calls for, first {absent}; the file and config.json are not of the same model.");
        if (reshaped.FirstOrDefault(n => n.StartsWith(prefix)) is { } other)
            throw new WeightFileException($"{file.Name} holds {other} with shape [{string.Join(", ", entries[other].Shape)}], but config.json calls for [{string.Join(", ", parameters[other].shape)}]; the file and config.json are not of the same model.");
        return new(backbone, matched, missing, entries.Where(e => !parameters.ContainsKey(e.Key)).Select(e => e.Value.Name).Order(StringComparer.Ordinal).ToList(), reshaped);
    }
}
