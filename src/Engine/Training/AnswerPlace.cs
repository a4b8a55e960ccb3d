using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Training;

/// <summary>Where the answer to a question stands, in tokens, so that what a length does to it can be told without tokenising again.</summary>
/// <param name="Question">Tokens of the question.</param>
/// <param name="Context">Tokens of the context.</param>
/// <param name="First">The answer's first token in the context.</param>
/// <param name="Last">The answer's last token.</param>
/// <param name="Specials">Special tokens of a row.</param>
public sealed record AnswerPlace(int Question, int Context, int First, int Last, int Specials)
{
    /// <summary>Tokens of the row with its special tokens, uncut.</summary>
    public int Length => Question + Context + Specials;

    /// <summary>The places of the answers of all rows that have one, in their order, and how many tokens each row has.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static (IReadOnlyList<AnswerPlace> Places, IReadOnlyList<int> Lengths) Of(IReadOnlyList<QuestionedText> rows, Tokenizer tokenizer, CancellationToken cancel = default)
    {
        var (places, lengths) = (new AnswerPlace?[rows.Count], new int[rows.Count]);
        var (specials, options) = (tokenizer.Encode("", "", int.MaxValue).Length, new EncodingOptions { AddSpecialTokens = false });
        Parallel.For(0, rows.Count, new ParallelOptions { CancellationToken = cancel }, i =>
        {
            var whole = WindowedQuestion.Of(rows[i].Text, tokenizer, int.MaxValue);
            var window = whole.Windows[0];
            var question = tokenizer.Encode(rows[i].Question, null, options).Length;
            lengths[i] = window.Ids.Length;
            if (rows[i].Answers.Count == 0) return;
            var (first, last) = whole.Places(0, rows[i].Answers[0]);
            var begin = Array.FindIndex(window.Offsets, o => o.End > o.Start);
            places[i] = window.IsContext(first) ? new(question, window.Ids.Length - specials - question, first - begin, last - begin, specials) : null;
        });
        return ([.. places.Where(p => p is not null).Select(p => p!)], lengths);
    }

    /// <summary>Whether a window of this many tokens holds the whole answer, and it is short enough to be found; see <see cref="WindowedQuestion"/>.</summary>
    public bool IsHeld(int maxLength)
    {
        if (Last - First >= AnswerSpans.MostTokens) return false;
        var (question, room) = Room(maxLength);
        var length = room - question;
        var step = length - length / 4;
        // The last window that begins no later than the answer reaches farthest.
        return Context <= length || Last < First / step * step + length;
    }

    /// <summary>Whether the question takes more than half of a window and loses its end.</summary>
    public bool CutsQuestion(int maxLength) => Question > Room(maxLength).Room / 2;

    private (int Question, int Room) Room(int maxLength)
    {
        var room = Math.Max(2, maxLength - Specials);
        return (Math.Min(Question, room / 2), room);
    }
}
