namespace FineTuneStudio.Engine.Generation;

/// <summary>How a text is written: greedily, by beam search, or drawn at random. The defaults are greedy.</summary>
public sealed record GenerationOptions
{
    /// <summary>Tokens after which a text ends anyway.</summary>
    public int MaxNewTokens { get; init; } = 128;

    /// <summary>Tokens that end a text, such as end-of-text; none lets every text grow to <see cref="MaxNewTokens"/>.</summary>
    public IReadOnlyList<int> EndTokenIds { get; init; } = [];

    /// <summary>Draw the next token instead of taking the likeliest. Temperature, TopK, TopP and TypicalP count only then.</summary>
    public bool Sample { get; init; }

    /// <summary>The seed of the draws. The same seed, prompts and options give the same texts.</summary>
    public int Seed { get; init; }

    /// <summary>Logits are divided by it: below 1 makes likely tokens likelier.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only that many of the likeliest tokens can be drawn; 0 is all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the likeliest tokens that together reach this probability can be drawn; 1 is all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Only the tokens whose surprise is nearest to the expected one, up to this probability, can be drawn; 1 is all.</summary>
    public double TypicalP { get; init; } = 1;

    /// <summary>Above 1 makes tokens less likely that the text or its prompt already has; 1 is none.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>No run of that many tokens may come twice in a text with its prompt; 0 allows it.</summary>
    public int NoRepeatNgramSize { get; init; }

    /// <summary>Texts that beam search keeps at each step; 1 is no beam search.</summary>
    public int Beams { get; init; } = 1;

    /// <summary>Beam search divides a text's log-probability by its length to this power: above 0 favours longer texts.</summary>
    public double LengthPenalty { get; init; } = 1;

    /// <summary>Keep the keys and values of tokens already read. Off, each token reads the whole text again: much slower, for comparison.</summary>
    public bool UseCache { get; init; } = true;

    /// <summary>What is wrong, one sentence each; empty where nothing is.</summary>
    public IReadOnlyList<string> Validate()
    {
        List<string> problems = [];
        if (MaxNewTokens < 1) problems.Add($"New tokens must be 1 or more, not {MaxNewTokens}.");
        if (!(Temperature > 0) || !double.IsFinite(Temperature)) problems.Add(FormattableString.Invariant($"Temperature must be above 0, not {Temperature}; for the likeliest text turn sampling off."));
        if (TopK < 0) problems.Add($"Top-k must be 0 (all tokens) or more, not {TopK}.");
        if (TopP is not (> 0 and <= 1)) problems.Add(FormattableString.Invariant($"Top-p must be above 0 and at most 1, not {TopP}."));
        if (TypicalP is not (> 0 and <= 1)) problems.Add(FormattableString.Invariant($"Typical-p must be above 0 and at most 1, not {TypicalP}."));
        if (!(RepetitionPenalty > 0) || !double.IsFinite(RepetitionPenalty)) problems.Add(FormattableString.Invariant($"Repetition penalty must be above 0, not {RepetitionPenalty}."));
        if (NoRepeatNgramSize < 0) problems.Add($"The size of runs that may not repeat must be 0 (off) or more, not {NoRepeatNgramSize}.");
        if (Beams < 1) problems.Add($"Beams must be 1 or more, not {Beams}.");
        if (!double.IsFinite(LengthPenalty)) problems.Add("Length penalty must be a number.");
        if (Beams > 1 && Sample) problems.Add("Beam search looks for the likeliest text, sampling draws one; choose one of them.");
        return problems;
    }
}

/// <summary>What a model wrote after one prompt.</summary>
/// <param name="Ids">The new tokens, without the prompt and without the token that ended the text.</param>
/// <param name="Ended">Whether the model ended the text itself; else it was cut at the most new tokens.</param>
/// <param name="Score">Beam search's score: log-probability over length to the power of the length penalty, in nats; else null.</param>
public sealed record GeneratedTokens(IReadOnlyList<int> Ids, bool Ended, double? Score = null);
