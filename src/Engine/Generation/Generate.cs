using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Generation;

/// <summary>Lets a causal language model go on with texts.</summary>
public static class Generate
{
    /// <summary>Goes on with every prompt, all of them in one batch. The model is in evaluation mode meanwhile; no tensor stays behind. Several calls may share a model that is in evaluation mode already; one that is training serves one call at a time.</summary>
    /// <param name="model">Any causal language model, wherever its weights are.</param>
    /// <param name="prompts">Token ids; each has at least one. They may differ in length.</param>
    /// <param name="options">How.</param>
    /// <param name="cancel">Asked before each token.</param>
    /// <param name="wrote">Told the number of the prompt and each new token as it is chosen; not with beam search, which knows them only at the end.</param>
    /// <returns>One result a prompt, in their order.</returns>
    /// <exception cref="ArgumentException">The options contradict themselves, a prompt is empty or has an unknown token, or a text could outgrow the model's positions.</exception>
    /// <exception cref="InvalidOperationException">The model computes NaN.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static IReadOnlyList<GeneratedTokens> Run(CausalLM model, IReadOnlyList<IReadOnlyList<int>> prompts, GenerationOptions options, CancellationToken cancel = default, Action<int, int>? wrote = null)
    {
        if (options.Validate() is { Count: > 0 } problems) throw new ArgumentException(string.Join(" ", problems));
        Check(model, prompts, options.MaxNewTokens);
        if (options.Beams + options.EndTokenIds.Count > model.VocabularySize)
            throw new ArgumentException($"{options.Beams} beams and {options.EndTokenIds.Count} end tokens are more than the {model.VocabularySize} tokens that the model knows; ask for fewer beams.");
        if (prompts.Count == 0) return [];
        var wasTraining = model.training;
        if (wasTraining) model.eval();
        try
        {
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            using var batch = new DecodingBatch(model, prompts, options.MaxNewTokens, options.UseCache);
            return options.Beams > 1 ? BeamSearch.Run(batch, options, cancel) : TokenByToken.Run(batch, options, cancel, wrote);
        }
        finally
        {
            if (wasTraining) model.train();
        }
    }

    private static void Check(CausalLM model, IReadOnlyList<IReadOnlyList<int>> prompts, int newTokens)
    {
        for (var i = 0; i < prompts.Count; i++)
        {
            if (prompts[i].Count == 0) throw new ArgumentException($"Prompt {i + 1} has no tokens; begin with the model's beginning-of-text token where there is no text.");
            foreach (var id in prompts[i])
                if (id < 0 || id >= model.VocabularySize)
                    throw new ArgumentException($"Prompt {i + 1} has the token {id}, but the model knows 0 to {model.VocabularySize - 1}; the tokenizer is of another model.");
            if (prompts[i].Count + (long)newTokens > model.MaxPositions)
                throw new ArgumentException($"Prompt {i + 1} has {prompts[i].Count} tokens and {newTokens} new ones are asked for, but the model has {model.MaxPositions} positions; shorten the prompt or ask for fewer.");
        }
    }
}
