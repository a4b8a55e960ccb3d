using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Prompts with their answers in tokens, one after the other in a row; only the answer's tokens are learned. A row that is longer
/// than the recipe allows first loses the beginning of its prompt, but for the token that begins every text, down to a quarter of
/// the allowed length; then its answer loses its end.
/// </summary>
internal sealed class AnsweredTexts : TokenizedTexts
{
    /// <summary>A token that teaches nothing.</summary>
    public const long Ignored = -100;

    private readonly IReadOnlyList<int[]> ids;
    private readonly int[] prompts;
    private readonly int padId;

    /// <param name="ids">Prompt and answer of each row.</param>
    /// <param name="prompts">Tokens of each row that are prompt.</param>
    /// <param name="lengths">Tokens of each row, where they are known.</param>
    public AnsweredTexts(IReadOnlyList<int[]> ids, int[] prompts, int padId, int[]? lengths = null) : base(ids, padId, lengths: lengths) => (this.ids, this.prompts, this.padId) = (ids, prompts, padId);

    /// <summary>Rows whose prompt lost its beginning, and rows whose answer lost its end.</summary>
    public (int Prompts, int Answers) Cut { get; private init; }

    /// <exception cref="TrainingException">A row has no answer, and the tokenizer no token that could end one.</exception>
    public static AnsweredTexts Of(IReadOnlyList<TrainingExample> rows, PromptTemplate template, int padId, int maxLength, CancellationToken cancel)
    {
        var (ids, prompts, cutPrompts, cutAnswers) = (new int[rows.Count][], new int[rows.Count], 0, 0);
        Parallel.For(0, rows.Count, new ParallelOptions { CancellationToken = cancel }, i =>
        {
            var (prompt, answer) = (template.Prompt(rows[i].Text), template.Answer(((AnsweredPrompt)rows[i]).Answer));
            var room = Math.Max(maxLength - answer.Length, maxLength / 4);
            if (prompt.Length > room)
            {
                prompt = ShortenPrompt(prompt, room);
                Interlocked.Increment(ref cutPrompts);
            }
            if (prompt.Length + answer.Length > maxLength)
            {
                answer = answer[..(maxLength - prompt.Length)];
                Interlocked.Increment(ref cutAnswers);
            }
            (ids[i], prompts[i]) = ([.. prompt, .. answer], prompt.Length);
        });
        for (var i = 0; i < rows.Count; i++)
            if (ids[i].Length == prompts[i]) throw new TrainingException($"Row {rows[i].RowId} has an empty answer, and the base model's tokenizer has no token for the end of a text, so there is nothing to learn from the row; fill it in or leave it out.");
        return new(ids, prompts, padId) { Cut = (cutPrompts, cutAnswers) };
    }

    /// <summary>The end of a prompt, with the token that it began with.</summary>
    public static int[] ShortenPrompt(int[] prompt, int length) => prompt.Length <= length ? prompt : [prompt[0], .. prompt[^(length - 1)..]];

    /// <summary>Tokens that a row teaches.</summary>
    public int Learned(int row) => Length(row) - prompts[row];

    public IReadOnlyList<int> PromptOf(int row) => new ArraySegment<int>(ids[row], 0, prompts[row]);

    /// <summary>What <see cref="CausalLM.Loss"/> compares with: the row's tokens, <see cref="Ignored"/> at prompt and padding. int64 [rows, longest].</summary>
    public Tensor LabelsOf(int[] rows)
    {
        var length = rows.Max(row => ids[row].Length);
        var labels = new long[rows.Length * length];
        for (var i = 0; i < rows.Length; i++)
        {
            var row = ids[rows[i]];
            for (var j = 0; j < length; j++)
                labels[i * length + j] = j >= prompts[rows[i]] && j < row.Length ? row[j] : Ignored;
        }
        return tensor(labels, [rows.Length, length], device: Device);
    }

    /// <summary>
    /// The rows one after the other in as few rows as fit the length, longest first: ids, segments, positions and labels, all
    /// int64 [packed rows, longest]. With <see cref="CausalLM.PackedMask"/> of the segments each text computes what it does alone.
    /// </summary>
    public (Tensor Ids, Tensor Segments, Tensor Positions, Tensor Labels) Packed(int[] rows, int length)
    {
        List<(List<int> Rows, int Tokens)> packs = [];
        foreach (var row in rows.OrderByDescending(row => ids[row].Length))
        {
            var at = packs.FindIndex(p => p.Tokens + ids[row].Length <= length);
            if (at < 0) packs.Add(([row], ids[row].Length));
            else
            {
                packs[at].Rows.Add(row);
                packs[at] = (packs[at].Rows, packs[at].Tokens + ids[row].Length);
            }
        }
        var width = packs.Max(p => p.Tokens);
        var (tokens, segments, positions, labels) = (Filled(padId), Filled(0), Filled(0), Filled(Ignored));
        for (var i = 0; i < packs.Count; i++)
        {
            var column = i * width;
            foreach (var (row, segment) in packs[i].Rows.Select((row, s) => (row, s + 1)))
                for (var j = 0; j < ids[row].Length; j++, column++)
                    (tokens[column], segments[column], positions[column], labels[column]) = (ids[row][j], segment, j, j >= prompts[row] ? ids[row][j] : Ignored);
        }
        long[] Filled(long value) => [.. Enumerable.Repeat(value, packs.Count * width)];
        Tensor Made(long[] values) => tensor(values, [packs.Count, width], device: Device);
        return (Made(tokens), Made(segments), Made(positions), Made(labels));
    }
}
