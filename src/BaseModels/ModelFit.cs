using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.BaseModels;

/// What a base model can be trained for: a language model writes, an encoder judges.
public static class ModelFit
{
    public static bool IsLanguageModel(this BaseModel model) => model.Architecture.StartsWith("GPT2", StringComparison.Ordinal) || model.Architecture.StartsWith("Llama", StringComparison.Ordinal) || model.Architecture.StartsWith("Qwen2", StringComparison.Ordinal);

    public static bool Fits(this BaseModel model, TextTask task) => model.CanTrain && model.IsLanguageModel() == (task == TextTask.Generation);

    /// Whether the practice model, an encoder, can be trained for a task.
    public static bool HasPractice(TextTask task) => task != TextTask.Generation;

    /// Why it cannot be trained for a task; null where it can.
    public static string? WhyNotFor(this BaseModel model, TextTask task) => model.Fits(task) ? null
        : !model.CanTrain ? $"“{model.Name}” cannot be trained here: {model.WhyNot}"
        : model.IsLanguageModel() ? $"“{model.Name}” is a language model ({model.Architecture}): it writes answers to prompts, and this project’s task judges texts. Choose an encoder such as BERT or RoBERTa."
        : $"“{model.Name}” is an encoder ({model.Architecture}): it judges texts and cannot write, and this project’s task is to answer prompts. Choose a language model: GPT-2, Llama or Qwen2.";

    /// For the catalogue: what it is good for.
    public static string For(this BaseModel model) => model.IsLanguageModel() ? "answering prompts (text generation)" : "judging texts (labels and the like)";
}
