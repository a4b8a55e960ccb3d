using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Generation;

/// <summary>
/// Texts of different lengths that grow together. Shorter ones are padded on the left, so that the next token of all of
/// them stands in the same column; positions count from each text's own beginning and padding is never looked at.
/// </summary>
internal sealed class DecodingBatch : IDisposable
{
    /// <summary>Attention's scores of one head that are computed at once, over all rows. Of a long prompt the queries go in pieces, so that memory grows with its length and not with its square.</summary>
    private const long MostScores = 1 << 22;

    private readonly CausalLM model;
    private readonly long mostScores;
    private readonly Device device;
    private readonly KeyValueCache? cache;
    private List<Row> rows;

    /// <param name="Tokens">Prompt and new tokens, without padding.</param>
    private sealed record Row(int Prompt, List<int> Tokens, int PromptLength);

    public DecodingBatch(CausalLM model, IReadOnlyList<IReadOnlyList<int>> prompts, int newTokens, bool useCache, long mostScores = MostScores)
    {
        (this.model, this.mostScores) = (model, mostScores);
        device = model.parameters().First().device;
        rows = prompts.Select((p, i) => new Row(i, [.. p], p.Count)).ToList();
        if (useCache) cache = new(model.Layers, rows.Max(r => r.Tokens.Count) + newTokens);
        Width = rows.Max(r => r.Tokens.Count);
    }

    /// <summary>Rows that are still growing.</summary>
    public int Count => rows.Count;

    public int Vocabulary => model.VocabularySize;

    /// <summary>Columns: the longest text now.</summary>
    private int Width { get; set; }

    /// <summary>The number of the prompt that a row goes on with.</summary>
    public int Prompt(int row) => rows[row].Prompt;

    /// <summary>Prompt and new tokens of a row.</summary>
    public IReadOnlyList<int> Tokens(int row) => rows[row].Tokens;

    /// <summary>The new tokens of a row.</summary>
    public IReadOnlyList<int> NewTokens(int row) => rows[row].Tokens.Skip(rows[row].PromptLength).ToList();

    /// <summary>Scores for the next token of every row, float32 [rows, vocabulary].</summary>
    /// <exception cref="InvalidOperationException">The model computes NaN.</exception>
    public Tensor NextLogits()
    {
        var piece = (int)Math.Max(1, mostScores / Width / rows.Count);
        while (cache is not null && Width - cache.Length > piece)
            using (NewDisposeScope()) Read((int)cache.Length, (int)cache.Length + piece);
        var logits = Read((int)(cache?.Length ?? 0), Width).to(float32);
        return logits.isnan().any().item<bool>()
            ? throw new InvalidOperationException("The model gives no number as the score of the next token (NaN). Its weights are broken, as after a training that diverged; use an earlier checkpoint.") : logits;
    }

    /// <summary>The model's logits after the columns up to <paramref name="end"/>, of which the cache has those before <paramref name="past"/>.</summary>
    private Tensor Read(int past, int end)
    {
        var (ids, mask, positions) = (new List<long>(), new List<long>(), new List<long>());
        foreach (var row in rows)
        {
            var padding = Width - row.Tokens.Count;
            for (var column = 0; column < end; column++)
            {
                mask.Add(column < padding ? 0 : 1);
                if (column < past) continue;
                ids.Add(column < padding ? row.Tokens[0] : row.Tokens[column - padding]);
                positions.Add(Math.Max(0, column - padding));
            }
        }
        Tensor Grid(List<long> numbers, int columns) => tensor(numbers.ToArray(), [rows.Count, columns], device: device);
        var padded = rows.Any(r => r.Tokens.Count < Width);
        return model.NextLogits(Grid(ids, end - past), padded ? Grid(mask, end) : null, Grid(positions, end - past), cache);
    }

    /// <summary>Row i becomes row <paramref name="from"/>[i] of before, then gets a token. Rows that are not named are gone.</summary>
    public void Grow(IReadOnlyList<(int From, int Token)> next)
    {
        // Whoever comes first keeps the list; a second row of the same origin needs its own.
        var taken = new HashSet<int>();
        var grown = next.Select(n => taken.Add(n.From) ? rows[n.From] : rows[n.From] with { Tokens = rows[n.From].Tokens[..] }).ToList();
        for (var i = 0; i < grown.Count; i++) grown[i].Tokens.Add(next[i].Token);
        if (next.Count > 0 && !next.Select(n => n.From).SequenceEqual(Enumerable.Range(0, rows.Count))) cache?.Reorder(next.Select(n => (long)n.From).ToList());
        rows = grown;
        Width++;
    }

    public void Dispose() => cache?.Dispose();
}
