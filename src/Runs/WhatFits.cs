using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Runs;

/// What to change in a recipe whose measured cost is more than the machine has.
public static class WhatFits
{
    /// Sentences, the first to try first; none where it fits.
    public static IReadOnlyList<string> Advice(RunRecipe recipe, MeasuredStep measured, TextTask task)
    {
        var (cost, advice) = (measured.Cost, new List<string>());
        if (!measured.FitsMemory)
        {
            if (recipe.BatchSize > 1)
                advice.Add(recipe.GradientAccumulation * 2 <= 64 && recipe.BatchSize % 2 == 0
                    ? $"Halve the batch size to {recipe.BatchSize / 2} and double the accumulated batches to {recipe.GradientAccumulation * 2}: each step still learns from {Say.Count(recipe.BatchSize * recipe.GradientAccumulation, "row")}, in about half the memory of a batch."
                    : $"Halve the batch size to {recipe.BatchSize / 2}: a batch then takes about half its memory.");
            if (recipe is { ActivationCheckpointing: ActivationCheckpointing.Off } and not { Method: TrainingMethod.Full, TrainableLayers: TrainableLayers.HeadOnly })
                advice.Add("Turn on activation checkpointing: each block is computed again for its gradients instead of being kept, the same run in less memory with slower steps.");
            if (cost.LongestTokens > 16) advice.Add($"Set max length to {cost.LongestTokens / 2}: the longest batch has {cost.LongestTokens} tokens. {Longer(task)}");
        }
        if ((!measured.FitsMemory || !measured.FitsDisk) && recipe.TrainableLayers != TrainableLayers.HeadOnly && recipe.Method == TrainingMethod.Full)
            advice.Add("Train fewer layers, or adapters by LoRA: gradients and the optimizer's state are kept only for those that train.");
        if (!measured.FitsDisk) advice.Add($"Free {Say.Bytes(cost.DiskBytes - measured.FreeDiskBytes)} on the server's disk, for example by removing the folders of old runs' models that nobody uses.");
        return advice;
    }

    /// What happens to a row that has more tokens than the max length.
    private static string Longer(TextTask task) => task switch
    {
        TextTask.Generation => "Of a prompt and answer that have more together, the beginning of the prompt is then cut, and the end of the answer only where that is not enough.",
        TextTask.QuestionAnswering => "A context that is longer with its question is then read in more windows, which overlap by a quarter, so for long contexts this saves less.",
        TextTask.TokenClassification => "Of a longer text only the beginning is then learned; it is still measured, and the model later used, on the whole of it in windows.",
        TextTask.Regression => "A longer text is then cut at its end; of a pair, the longer text loses its end first.",
        _ => "A longer text is then cut at its end.",
    };
}
