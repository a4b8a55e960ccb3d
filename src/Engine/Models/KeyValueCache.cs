using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Models;

/// <summary>
/// The keys and values of the tokens that a model has read, one pair of tensors a layer, so that the next token costs one
/// position instead of the whole text (Pope et al. 2022, arXiv:2211.05102). For generation: no gradient flows through it.
/// It owns its tensors outside every dispose scope; dispose it.
/// </summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly (Tensor Keys, Tensor Values)?[] layers;

    /// <param name="layers">Blocks of the model.</param>
    /// <param name="capacity">Tokens that a row can grow to, prompt and padding included; memory for all of them is taken at once.</param>
    public KeyValueCache(int layers, long capacity) => (this.layers, Capacity) = (new (Tensor, Tensor)?[layers], capacity);

    public long Capacity { get; }

    /// <summary>Tokens stored, padding included.</summary>
    public long Length { get; private set; }

    /// <summary>Stores a layer's new keys and values and returns all of them, the new ones last.</summary>
    /// <param name="layer">Number of the block, from 0.</param>
    /// <param name="key">[batch, heads, length, head size].</param>
    /// <param name="value">As <paramref name="key"/>.</param>
    /// <returns>Views into the cache, [batch, heads, stored + length, head size]; they change with the next call of <see cref="Reorder"/>.</returns>
    /// <exception cref="InvalidOperationException">The cache is full.</exception>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor key, Tensor value)
    {
        var (length, end) = (key.shape[2], Length + key.shape[2]);
        if (end > Capacity) throw new InvalidOperationException($"The cache holds {Capacity} tokens and {end} were asked for; make it larger.");
        using var noGrad = no_grad();
        layers[layer] ??= (Room(key), Room(value));
        var (keys, values) = layers[layer]!.Value;
        keys.narrow(2, Length, length).copy_(key);
        values.narrow(2, Length, length).copy_(value);
        return (keys.narrow(2, 0, end), values.narrow(2, 0, end));
    }

    /// <summary>Counts the tokens that every layer has stored.</summary>
    internal void Advance(long tokens) => Length += tokens;

    /// <summary>Makes row i what row <paramref name="rows"/>[i] was; rows may be left out or be there several times, as beam search needs it.</summary>
    public void Reorder(IReadOnlyList<long> rows)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        for (var i = 0; i < layers.Length; i++)
        {
            if (layers[i] is not var (keys, values)) continue;
            var index = tensor(rows.ToArray(), device: keys.device);
            layers[i] = (keys.index_select(0, index).DetachFromDisposeScope(), values.index_select(0, index).DetachFromDisposeScope());
            keys.Dispose();
            values.Dispose();
        }
    }

    private Tensor Room(Tensor like) =>
        empty([like.shape[0], like.shape[1], Capacity, like.shape[3]], dtype: like.dtype, device: like.device).DetachFromDisposeScope();

    public void Dispose()
    {
        for (var i = 0; i < layers.Length; i++)
        {
            if (layers[i] is not var (keys, values)) continue;
            keys.Dispose();
            values.Dispose();
            layers[i] = null;
        }
        Length = 0;
    }
}
