using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Reports;

/// A question of the test part with a part of its context. Expected is the first right answer, "" where there is none; the places are in Context.
public sealed record AnswerExample(long RowId, string Question, string Context, string Expected, int ExpectedAt, string Given, int GivenAt, double Probability, double F1);

/// Rows of a kind with their scores.
public sealed record AnswerKind(int Rows, Measured F1, Measured ExactMatch);

/// What a report of answers has besides its scores. Missed: said that there is no answer where there is one; Invented the reverse; Partly and
/// Elsewhere: another answer, which shares words with a right one or none. Lost: answers that no window holds whole. None is null where every question has an answer.
public sealed record AnswerNumbers(int Right, int Partly, int Elsewhere, int Missed, int Invented, int Lost, AnswerKind? Answered, AnswerKind? None, IReadOnlyList<AnswerExample> Wrong, int WrongRows, IReadOnlyList<AnswerExample> Correct);

/// Answers from a context: F1 and exact match as SQuAD is scored, kinds of errors, and two baselines on the same rows.
internal sealed class MeasureQuestions : MeasureTestPart
{
    private const int WrongKept = 20, CorrectKept = 5, Shown = 320;

    internal override TestNumbers Handle(TestPart part)
    {
        List<QuestionedText> test = [.. part.Examples(part.Test).Cast<QuestionedText>()], train = [.. part.Examples(part.Train).Cast<QuestionedText>()];
        var (found, lost) = Predict(part, test);
        var ours = Side.Of(test, [.. found.Select(f => f.Text)]);
        string First(QuestionedText row) => row.Answers.Count == 0 ? "" : row.Answers[0].Text;
        var (most, window) = (MostFrequentAnswer.Fit([.. train.Select(First)]), SlidingWindow.Fit([.. train.Select(r => (r.Context, First(r)))]));
        part.Says("Drawing 1,000 resamples for each interval.");
        Baseline Compare(string name, string how, Func<QuestionedText, string> answer)
        {
            var theirs = Side.Of(test, [.. test.Select(r =>
            {
                part.Cancel.ThrowIfCancellationRequested();
                return answer(r);
            })]);
            var interval = BootstrapMean.OfDifference(theirs.Of(part.Metric), ours.Of(part.Metric));
            return new(name, how, theirs.Scores, new(ours.Of(part.Metric).Average() - theirs.Of(part.Metric).Average(), interval.Low, interval.High));
        }
        IReadOnlyList<Baseline> baselines =
        [
            Compare("Most frequent answer", most.Answer == "" ? $"Says of every question that there is no answer, which is the commonest: it is that of {Say.Count(most.Rows)} of {Say.Count(train.Count, "train row")}." : $"Answers every question with “{(most.Answer.Length > 60 ? most.Answer[..60] + "…" : most.Answer)}”, the answer of {Say.Count(most.Rows, "train row")}.", _ => most.Answer),
            Compare("Nearest words", $"Takes the {Say.Count(window.Length, "word")} of the context beside which most words of the question stand, near and rare words counting more.", r => window.Predict(r.Question, r.Context)),
        ];
        return new(ours.Scores, [], baselines, [], ours.F1.Count(f => f < 1)) { Answers = Numbers(test, found, ours, lost) };
    }

    private static AnswerNumbers Numbers(IReadOnlyList<QuestionedText> test, IReadOnlyList<FoundAnswer> found, Side ours, int lost)
    {
        bool Right(int i) => ours.Exact[i] == 1;
        int Count(Func<int, bool> which) => Enumerable.Range(0, test.Count).Count(which);
        AnswerKind? Kind(Func<int, bool> which)
        {
            int[] rows = [.. Enumerable.Range(0, test.Count).Where(which)];
            return rows.Length == 0 ? null : new(rows.Length, Mean([.. rows.Select(i => ours.F1[i])]), Mean([.. rows.Select(i => ours.Exact[i])]));
        }
        var none = Count(i => test[i].Answers.Count == 0);
        var wrong = Enumerable.Range(0, test.Count).Where(i => !Right(i)).ToList();
        return new(
            Count(Right), Count(i => !Right(i) && test[i].Answers.Count > 0 && !found[i].IsNone && ours.F1[i] > 0), Count(i => !Right(i) && test[i].Answers.Count > 0 && !found[i].IsNone && ours.F1[i] == 0),
            Count(i => !Right(i) && test[i].Answers.Count > 0 && found[i].IsNone), Count(i => !Right(i) && test[i].Answers.Count == 0), lost,
            none == 0 ? null : Kind(i => test[i].Answers.Count > 0), Kind(i => test[i].Answers.Count == 0),
            // The farthest from right first, and of those the surest.
            [.. wrong.OrderBy(i => ours.F1[i]).ThenByDescending(i => found[i].Probability).Take(WrongKept).Select(Example)], wrong.Count,
            [.. Enumerable.Range(0, test.Count).Where(Right).Take(CorrectKept).Select(Example)]);

        AnswerExample Example(int i)
        {
            var (row, answer, gold) = (test[i], found[i], test[i].Answers.FirstOrDefault());
            var snippet = gold is null ? Snippet.Around(row.Context, answer.Start, answer.Start + answer.Text.Length, Shown) : Snippet.Around(row.Context, gold.Start, gold.End, Shown);
            int At(int start, int end) => snippet.Mark(start, end, "")?.Start ?? -1;
            return new(row.RowId, row.Question, snippet.Text, gold?.Text ?? "", gold is null ? -1 : At(gold.Start, gold.End), answer.Text, At(answer.Start, answer.Start + answer.Text.Length), answer.Probability, ours.F1[i]);
        }
    }

    private static Measured Mean(IReadOnlyList<double> values) => BootstrapMean.Of(values) is var interval ? new(values.Average(), interval.Low, interval.High) : throw new InvalidOperationException();

    /// The scores of each row and their means.
    private sealed record Side(IReadOnlyList<double> F1, IReadOnlyList<double> Exact)
    {
        public static Side Of(IReadOnlyList<QuestionedText> test, IReadOnlyList<string> said)
        {
            List<IReadOnlyList<string>> given = [.. test.Select(r => r.Answers.Select(a => a.Text).ToList())];
            return new([.. said.Select((text, i) => AnswerOverlap.F1(text, given[i]))], [.. said.Select((text, i) => AnswerOverlap.IsExactMatch(text, given[i]) ? 1.0 : 0)]);
        }

        public IReadOnlyList<double> Of(Metric metric) => metric == Metric.ExactMatch ? Exact : F1;

        public Scores Scores => new(F1.Count, new Dictionary<Metric, Measured> { [Metric.AnswerF1] = Mean(F1), [Metric.ExactMatch] = Mean(Exact) }, null, []);
    }

    private static (FoundAnswer[] Found, int Lost) Predict(TestPart part, IReadOnlyList<QuestionedText> test)
    {
        part.Says("Loading the model.");
        using var finder = AnswerFinder.Load(part.ModelFolder);
        var found = finder.Predict([.. test.Select(r => r.Text)], part.MaxLength, 32, done =>
        {
            part.Cancel.ThrowIfCancellationRequested();
            part.Says($"Answering the questions of the test part: {Say.Count(done)} of {Say.Count(test.Count, "row")}.");
        });
        var (places, _) = AnswerPlace.Of(test, Engine.Text.Tokenizer.Load(part.ModelFolder), part.Cancel);
        return (found, places.Count(p => !p.IsHeld(part.MaxLength)));
    }
}
