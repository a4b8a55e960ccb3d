using FineTuneStudio.Projects;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Reports;

/// What the numbers of a report say in words.
public static class ReportSentences
{
    /// Our own limit, no theorem: with so few rows the bootstrap of a share often covers less than it says, and all right or all wrong gives it no width at all.
    public const int FewRows = 30;

    public static string Interval(Measured m) => $"{Say.Score(m.Low)} to {Say.Score(m.High)}";

    public static string Answer(ReportBody body)
    {
        var m = body.Model.Of(body.Metric);
        // Few rows, all right or all wrong: resampling them finds nothing else, which is no certainty.
        var sure = body.Model.Rows < FewRows ? $"{Say.Count(body.Model.Rows, "test row")} are too few to tell: an interval drawn from them says little about other texts."
            : (body.GoalReached, body.Metric.IsHigherBetter()) switch
            {
                (true, true) => m.Low >= body.Goal ? "The whole interval lies above the goal." : "The interval reaches below the goal, so other texts of this kind could miss it.",
                (false, true) => m.High < body.Goal ? "The whole interval lies below the goal." : "The interval reaches the goal, so more test rows could settle it.",
                (true, false) => m.High <= body.Goal ? "The whole interval lies below the goal, and lower is better." : "The interval reaches above the goal, so other texts of this kind could miss it; lower is better.",
                (false, false) => m.Low > body.Goal ? "The whole interval lies above the goal, and lower is better." : "The interval reaches the goal, so more test rows could settle it; lower is better.",
            };
        return $"{(body.GoalReached ? "Goal reached" : "Goal not reached")}: {body.Metric.Name()} {Say.Score(m.Value)} (95 % interval {Interval(m)}) on {Say.Count(body.Model.Rows, "test row")}; the goal was {Say.Score(body.Goal)}. {sure}";
    }

    public static string Against(ReportBody body, Baseline baseline)
    {
        double theirs = baseline.Scores.Of(body.Metric).Value, ours = body.Measured;
        var by = $"{body.Metric.Name()} {Say.Signed(ours - theirs)} for the fine-tuned model (95 % interval {Say.Signed(baseline.Difference.Low)} to {Say.Signed(baseline.Difference.High)})";
        var (worse, better) = body.Metric.IsHigherBetter() ? (baseline.Difference.High < 0, baseline.Difference.Low > 0) : (baseline.Difference.Low > 0, baseline.Difference.High < 0);
        // A model can foresee the given answers better and yet write worse ones.
        if ((better || worse) && Written(body, baseline, better) is { } written)
            return $"In {body.Metric.Name()} {(better ? $"the fine-tuned model does better than {Lower(baseline.Name)}" : $"{Lower(baseline.Name)} does better than the fine-tuned model")} on this test part: {(better ? $"{Say.Score(ours)} against {Say.Score(theirs)}" : $"{Say.Score(theirs)} against {Say.Score(ours)}")}, {by}. {written}";
        if (worse) return $"{baseline.Name} {(baseline.Name is "Most frequent labels" or "Nearest words" ? "do" : "does")} better on this test part: {Say.Score(theirs)} against {Say.Score(ours)}, {by}.";
        if (better) return $"The fine-tuned model does better than {Lower(baseline.Name)} on this test part: {Say.Score(ours)} against {Say.Score(theirs)}, {by}.";
        return $"No clear difference from {Lower(baseline.Name)} on this test part: {Say.Score(ours)} against {Say.Score(theirs)}, {by}.";
    }

    /// How written answers compare, where they say something else than the project's metric does; null where they do not.
    private static string? Written(ReportBody body, Baseline baseline, bool better)
    {
        if (body.WrittenRows is not { } rows) return null;
        Metric[] all = [.. new[] { Metric.ExactMatch, Metric.RougeL, Metric.Chrf }.Where(m => body.Model.Values!.ContainsKey(m) && baseline.Scores.Values!.ContainsKey(m))];
        int Sign(Metric metric) => body.Model.Of(metric).Value.CompareTo(baseline.Scores.Of(metric).Value);
        string? Those(int sign, string how) => all.Where(m => Sign(m) == sign).Select(m => $"{m.Name()} ({Say.Number(body.Model.Of(m).Value)} against {Say.Number(baseline.Scores.Of(m).Value)})").ToList() is { Count: > 0 } named
            ? $"{how} in {string.Join(" and ", named)}" : null;
        if (!all.Any(m => Sign(m) == (better ? -1 : 1))) return null;
        return $"In what it writes, on {Say.Count(rows, "answered test row")}, the fine-tuned model is {string.Join(", and ", new[] { Those(-1, "worse"), Those(1, "better") }.OfType<string>())}.";
    }

    /// What a reader must know of a number that a learning curve foresees.
    public const string Foreseen = "Foreseen by a power law through the points, about more rows that are spread over the labels as those of the curve. Read the interval as the least uncertainty there is: it does not hold the chance of the measured rows.";

    public static string Looks(int looks) => looks == 1 ? "The test part was looked at once, for this report." : $"The test part was looked at {looks} times, this report included; each look makes its numbers a little less of a surprise.";

    private static string Lower(string name) => name.StartsWith("TF", StringComparison.Ordinal) ? name : "the " + char.ToLowerInvariant(name[0]) + name[1..];
}
