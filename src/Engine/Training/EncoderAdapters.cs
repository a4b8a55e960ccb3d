using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Training;

/// <summary>What LoRA and its kin mean for a text encoder with a head: adapters in the blocks, and the head trained whole, as PEFT does it.</summary>
internal static class EncoderAdapters
{
    /// <summary>The adapters that a recipe asks for, with the names that the layers have in the model's family.</summary>
    /// <param name="loaded">What the base model's files held. Layers that they lack begin at random, so they are trained, and saved beside the adapters.</param>
    public static LoraConfig ConfigFor(RunRecipe recipe, SequenceClassifier model, WeightReport loaded)
    {
        string[] targets = (model.Config.ModelType == "distilbert", recipe.LoraTargets) switch
        {
            (true, LoraTargets.QueryValue) => ["q_lin", "v_lin"],
            (true, LoraTargets.Attention) => ["q_lin", "k_lin", "v_lin", "out_lin"],
            (true, _) => ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"],
            (false, LoraTargets.QueryValue) => ["query", "value"],
            (false, LoraTargets.Attention) => ["query", "key", "value", "attention.output.dense"],
            // Every block has two layers of this name, the one that closes attention and the one that closes the block.
            _ => ["query", "key", "value", "intermediate.dense", "output.dense"],
        };
        IEnumerable<string> pooler = loaded.Missing.Any(name => name.StartsWith(model.Config.Prefix + "pooler.", StringComparison.Ordinal)) ? ["pooler"] : [];
        return new(recipe.LoraRank, recipe.LoraAlpha, targets, recipe.LoraDropout, recipe.Method == TrainingMethod.RsLora, recipe.Method == TrainingMethod.Dora,
            [.. pooler, .. model.HeadLayers]);
    }

    /// <summary>PEFT's name for what the head is for.</summary>
    public static string TaskType(EncoderHead head) => head switch { EncoderHead.Sequence => "SEQ_CLS", EncoderHead.Token => "TOKEN_CLS", _ => "QUESTION_ANS" };

    /// <summary>Settings that adapters exclude, with the field that mends each.</summary>
    public static IEnumerable<(string Field, string Sentence)> Contradictions(RunRecipe recipe)
    {
        if (recipe.Method == TrainingMethod.Full) yield break;
        var method = RunRecipe.Field(nameof(RunRecipe.Method))!.Choices.Single(c => c.Value == recipe.Method.ToString()).Label.Split(':')[0];
        if (recipe.TrainableLayers == TrainableLayers.HeadOnly)
            yield return (nameof(RunRecipe.TrainableLayers), $"Trainable layers is set to only the new head, but the method is {method}, which trains adapters in the blocks as well; set trainable layers back to all, or the method to full.");
        if (recipe.UnfreezeEpochs > 0)
            yield return (nameof(RunRecipe.UnfreezeEpochs), $"Epochs per unfrozen block is {recipe.UnfreezeEpochs}, but the method is {method}, which leaves the blocks frozen to the end; set it to 0, or the method to full.");
    }
}
