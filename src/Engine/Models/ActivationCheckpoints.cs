using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): of each block of a model only the input is kept, and backward computes the block
/// a second time. Dropout draws the same numbers again, so losses and gradients are bit by bit those of a plain step. Blocks below the
/// lowest one that trains have no backward: they are computed once and keep nothing.
/// </summary>
/// <param name="trained">What may change now, each with the number of its block; null for what is in none.</param>
/// <param name="precision">Begins what the forward pass runs in, for the second time.</param>
internal sealed class ActivationCheckpoints(Func<IEnumerable<(int? Block, Parameter Parameter)>> trained, Func<IDisposable?> precision)
{
    /// <param name="Compute">The block.</param>
    /// <param name="Input">[batch, length, hidden]; the output of the block below, or what the embeddings gave.</param>
    /// <param name="Output">The same shape; a leaf, so that the backward of what comes after it ends here.</param>
    /// <param name="Random">The generator's state before the block.</param>
    private sealed record Kept(Func<Tensor, Tensor> Compute, Tensor Input, Tensor Output, Tensor Random);

    private readonly Stack<Kept> blocks = [];
    private int lowest;

    /// <summary>A block's output, without what led to it. Where no gradients are asked for, as in an evaluation, a plain call.</summary>
    public Tensor Run(int block, Tensor input, Func<Tensor, Tensor> compute)
    {
        if (!is_grad_enabled()) return compute(input);
        if (block == 0)
        {
            blocks.Clear();
            lowest = trained().Min(p => p.Block) ?? int.MaxValue;
        }
        var random = get_rng_state();
        Tensor output;
        using (no_grad())
        using (var scope = NewDisposeScope()) output = scope.MoveToOuter(compute(input));
        if (block < lowest && !input.requires_grad) return output;
        output.requires_grad_(true);
        blocks.Push(new(compute, input, output, random));
        return output;
    }

    /// <summary>Adds the gradients of all that trains, from the loss down through each block.</summary>
    /// <param name="loss">Of the forward pass that came last.</param>
    public void Backward(Tensor loss)
    {
        // A word table may be embedding and head at once. A plain backward adds its two gradients before it adds them to those of
        // earlier batches, and another order would round otherwise.
        var earlier = trained().Where(p => p.Block is null && p.Parameter.grad is not null).Select(p => (p.Parameter, Gradient: p.Parameter.grad!)).ToList();
        foreach (var (parameter, _) in earlier) parameter.grad = null;
        loss.backward();
        var after = get_rng_state();
        while (blocks.TryPop(out var kept))
        {
            using var scope = NewDisposeScope();
            set_rng_state(kept.Random);
            // Autocast keeps what it casts of a leaf for the next use, and the gradients of all uses would add up in bfloat16: a view is none.
            var input = kept.Input.view(kept.Input.shape);
            Tensor output;
            using (precision()) output = kept.Compute(input);
            output.backward([kept.Output.grad!]);
            kept.Output.Dispose();
        }
        set_rng_state(after);
        using var noGrad = no_grad();
        foreach (var (parameter, gradient) in earlier)
        {
            if (parameter.grad is { } added) gradient.add_(added);
            parameter.grad = gradient;
        }
    }
}
