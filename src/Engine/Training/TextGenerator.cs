using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>What a model wrote to a prompt.</summary>
/// <param name="Ended">Whether the model ended the answer itself; else it was cut at the most tokens.</param>
/// <param name="Tokens">New tokens.</param>
/// <param name="PromptTokens">Tokens of the prompt as it is written for the model.</param>
/// <param name="PromptRead">Those of them that the model read: the first one, which may begin every text, and the last ones.</param>
public sealed record WrittenAnswer(string Text, bool Ended, int Tokens, int PromptTokens, int PromptRead)
{
    /// <summary>The sentence on a prompt that was too long; null where all of it was read.</summary>
    public string? PromptCut => PromptRead >= PromptTokens ? null : FormattableString.Invariant($"The beginning of the prompt was cut: {PromptRead:N0} of {PromptTokens:N0} tokens were read.");
}

/// <summary>A language model folder in use: prompts in, answers out. It only reads its weights, so several threads may use it at once.</summary>
public sealed class TextGenerator : IDisposable
{
    private readonly CausalLM model;
    private readonly Tokenizer tokenizer;
    private readonly PromptTemplate template;

    private TextGenerator(CausalLM model, Tokenizer tokenizer, PromptTemplate template) => (this.model, this.tokenizer, this.template) = (model, tokenizer, template);

    /// <summary>Longest prompt and answer together, in tokens.</summary>
    public int MaxPositions => model.MaxPositions;

    /// <summary>The format in which prompts reach the model.</summary>
    public PromptFormat Format => template.Format;

    /// <summary>Loads a Hugging Face folder of GPT-2, Llama or Qwen2.</summary>
    /// <param name="format">The one of the recipe that trained the model.</param>
    /// <exception cref="Weights.WeightFileException">The weights or config.json are missing or do not fit.</exception>
    /// <exception cref="TokenizerFileException">The tokenizer's files are missing or broken.</exception>
    public static TextGenerator Load(string folder, PromptFormat format)
    {
        var tokenizer = Tokenizer.Load(folder);
        var template = PromptTemplate.For(folder, tokenizer, format);
        return new(LoadCausalLM.From(folder).Model, tokenizer, template);
    }

    /// <summary>One answer, told as it grows. A prompt that is too long, or leaves no room for the answer, loses its beginning, as rows do in training.</summary>
    /// <param name="prompt">A prompt, or a conversation as <see cref="ChatTurns"/> writes it.</param>
    /// <param name="maxPrompt">Most tokens of it that are read: the length that the model was trained with. Memory and time grow with its square.</param>
    /// <param name="options">Its end tokens are those of the model; more new tokens than the model has room for are not written.</param>
    /// <param name="said">Told the whole text so far after each token; a later token can still change the last characters.</param>
    /// <exception cref="ArgumentException">The options contradict themselves, or no token of the prompt may be read.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public WrittenAnswer Answer(string prompt, GenerationOptions options, int maxPrompt, Action<string>? said = null, CancellationToken cancel = default)
    {
        var ids = new List<int>();
        void Wrote(int row, int token)
        {
            ids.Add(token);
            // Half a character shows as a replacement until its other bytes have come.
            if (template.Text(ids).Trim() is var text && !text.EndsWith('\uFFFD')) said!(text);
        }
        options = Fitting(options);
        var read = Prompt(prompt, options, maxPrompt);
        return Said(read, Generate.Run(model, [read.Ids], options, cancel, said is null || options.Beams > 1 ? null : Wrote)[0]);
    }

    /// <summary>Answers to many prompts, in their order.</summary>
    /// <param name="maxPrompt">Most tokens of each prompt, as for one.</param>
    /// <param name="batchSize">Prompts written together; with greedy decoding an answer does not depend on it but for rounding.</param>
    /// <param name="done">Told how many are finished, after each batch.</param>
    public IReadOnlyList<WrittenAnswer> Answers(IReadOnlyList<string> prompts, GenerationOptions options, int maxPrompt, int batchSize = 8, Action<int>? done = null, CancellationToken cancel = default)
    {
        options = Fitting(options);
        var read = prompts.Select(p => Prompt(p, options, maxPrompt)).ToList();
        var (answers, finished) = (new WrittenAnswer[prompts.Count], 0);
        foreach (var rows in Enumerable.Range(0, prompts.Count).OrderBy(row => read[row].Ids.Length).Chunk(batchSize))
        {
            var found = Generate.Run(model, [.. rows.Select(row => read[row].Ids)], options, cancel);
            for (var i = 0; i < rows.Length; i++) answers[rows[i]] = Said(read[rows[i]], found[i]);
            done?.Invoke(finished += rows.Length);
        }
        return answers;
    }

    /// <summary>How well the model foresees given answers, in the order of the rows; rows are cut as in training.</summary>
    /// <param name="maxLength">Most tokens of prompt and answer.</param>
    /// <param name="done">Told how many rows are finished, after each batch.</param>
    public IReadOnlyList<AnswerLoss> Losses(IReadOnlyList<AnsweredPrompt> rows, int maxLength, Action<int>? done = null, CancellationToken cancel = default)
    {
        var texts = AnsweredTexts.Of(rows, template, tokenizer.PadId, Math.Min(maxLength, MaxPositions), cancel);
        var (losses, finished) = (new AnswerLoss[rows.Count], 0);
        using var noGrad = no_grad();
        foreach (var batch in texts.BatchesByLength(16))
        {
            cancel.ThrowIfCancellationRequested();
            var found = GenerationObjective.Losses(model, texts, batch);
            for (var i = 0; i < batch.Length; i++) losses[batch[i]] = found[i];
            done?.Invoke(finished += batch.Length);
        }
        return losses;
    }

    /// <summary>The most tokens of a prompt that are read, and the most of an answer that are written: both share the model's positions, and the answer keeps up to three quarters of them.</summary>
    /// <param name="maxPrompt">As for one answer.</param>
    public (int Prompt, int Answer) Limits(GenerationOptions options, int maxPrompt)
    {
        var answer = Math.Min(options.MaxNewTokens, Math.Max(1, MaxPositions * 3 / 4));
        return (Math.Min(maxPrompt, MaxPositions - answer), answer);
    }

    /// <summary>How many rows lose the beginning of their prompt, and how many the end of their answer, where a row has at most so many tokens.</summary>
    public (int Prompts, int Answers) CountCut(IReadOnlyList<AnsweredPrompt> rows, int maxLength, CancellationToken cancel = default) =>
        AnsweredTexts.Of(rows, template, tokenizer.PadId, Math.Min(maxLength, MaxPositions), cancel).Cut;

    private GenerationOptions Fitting(GenerationOptions options) => options with { EndTokenIds = template.EndTokenIds, MaxNewTokens = Limits(options, MaxPositions).Answer };

    private (int[] Ids, int Whole) Prompt(string prompt, GenerationOptions options, int maxPrompt)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPrompt, 1);
        var whole = template.Prompt(prompt);
        return (AnsweredTexts.ShortenPrompt(whole, Limits(options, maxPrompt).Prompt), whole.Length);
    }

    private WrittenAnswer Said((int[] Ids, int Whole) read, GeneratedTokens found) => new(template.Text(found.Ids).Trim(), found.Ended, found.Ids.Count, read.Whole, read.Ids.Length);

    public void Dispose() => model.Dispose();
}
