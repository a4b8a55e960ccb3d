using System.Collections;

namespace FineTuneStudio.Engine.Training;

/// <summary>Packed ids as rows of equal length, each read from the mapped file when it is asked for.</summary>
/// <param name="length">Ids in a row.</param>
internal sealed class PackedBlocks(PackedIds packed, int length) : IReadOnlyList<int[]>
{
    public int Count { get; } = (int)Math.Min(packed.Blocks(length), int.MaxValue);

    public int[] this[int index] => packed.Block(index, length);

    public IEnumerator<int[]> GetEnumerator() => Enumerable.Range(0, Count).Select(i => this[i]).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
