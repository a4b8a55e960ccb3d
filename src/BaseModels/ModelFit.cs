using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.BaseModels;

/// What a base model can be trained for: a language model writes, an encoder judges.
public static class ModelFit
{
    public static bool IsLanguageModel(this BaseModel model) => model.Architecture.StartsWith("GPT2", StringComparison.Ordinal) || model.Architecture.StartsWith("Llama", StringComparison.Ordinal) || model.Architecture.StartsWith("Qwen2", StringComparison.Ordinal);

    public static bool Fits(this BaseModel model, TextTask task) => model.CanTrain && model.IsLanguageModel() == (task == TextTask.Generation);

    /// Why it cannot be trained for a task; null where it can.
    public static string? WhyNotFor(this BaseModel model, TextTask task) => model.Fits(task) ? null
        : !model.CanTrain ? $"“{model.Name}” cannot be trained here: {model.WhyNot}"
        : model.IsLanguageModel() ? $"“{model.Name}” is a language model ({model.Architecture}): it writes answers to prompts, and this project’s task judges texts. Choose an encoder such as BERT or RoBERTa."
        : $"“{model.Name}” is an encoder ({model.Architecture}): it judges texts and cannot write, and this project’s task is to answer prompts. Choose a language model: GPT-2, Llama or Qwen2.";

    public static string OriginWords(this BaseModel model) => OriginWords(model.Origin, model.IsStarter, model.PretrainingNumber);

    public static string OriginWords(ModelOrigin origin, bool starter, int? pretraining) => origin switch
    {
        ModelOrigin.Pretrained => starter ? "pretrained by this app's own engine" : pretraining is { } here ? $"pretrained here, by pretraining {here}" : "pretrained, as its importer declared",
        ModelOrigin.Random => "random, not pretrained",
        _ => "unknown, which does not count as pretrained",
    };

    /// Behind its name where one is chosen.
    public static string Mark(this BaseModel model) => model.IsStarter ? " (starter)" : model.Origin == ModelOrigin.Random ? " (random weights)" : "";

    /// For the catalogue: what it is good for.
    public static string For(this BaseModel model) => model.IsLanguageModel() ? "answering prompts (text generation)" : "judging texts (labels and the like)";
}
