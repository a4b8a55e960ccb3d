using System.Globalization;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Quality;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>Everything a learning curve over few examples a label needs. Nothing outside <paramref name="OutputFolder"/> is written.</summary>
/// <param name="BaseFolder">A Hugging Face folder of a text encoder.</param>
/// <param name="Labels">The names that answers are made of.</param>
/// <param name="Pool">Rows from which examples are drawn: the train part.</param>
/// <param name="Measured">Rows on which every point is measured: the validation part, never the test part.</param>
/// <param name="OutputFolder">Takes <see cref="KeptPoints.FileName"/>, from which the curve can go on.</param>
public sealed record FewShotJob(string BaseFolder, IReadOnlyList<string> Labels, IReadOnlyList<LabeledText> Pool, IReadOnlyList<LabeledText> Measured, string OutputFolder)
{
    /// <summary>Examples a label, each 1 to 100,000.</summary>
    public IReadOnlyList<int> Ks { get; init; } = [1, 2, 4, 8, 16, 32];

    /// <summary>How often examples are drawn anew for each k, 1 to 100; an interval needs at least two.</summary>
    public int Draws { get; init; } = 3;

    public IReadOnlyList<FewShotMethod> Methods { get; init; } = Enum.GetValues<FewShotMethod>();

    /// <summary>Decides which rows are drawn and measured, how heads begin, and dropout.</summary>
    public int Seed { get; init; } = 42;

    /// <summary>What each method's recipe is made of, see <see cref="FewShotMethods.Recipe"/>.</summary>
    public RunRecipe Recipe { get; init; } = FewShotMethods.Basis;

    /// <summary>
    /// Optimizer steps of a point that trains, 1 to 100,000. Steps instead of epochs, because few examples make few steps an epoch, and BERT wants hundreds of
    /// updates however few the examples (Zhang et al. 2021, arXiv:2006.05987; Mosbach et al. 2021, arXiv:2006.04884).
    /// </summary>
    public int LeastSteps { get; init; } = 200;

    /// <summary>Where many labels make many rows, at least so many passes over them, 0 to 100.</summary>
    public int LeastPasses { get; init; } = 10;

    /// <summary>At most so many rows are measured, the same for every point.</summary>
    public int MostMeasured { get; init; } = 1000;

    /// <summary>Steps of a point with so many rows.</summary>
    public int Steps(int rows) => Math.Max(LeastSteps, LeastPasses * ((rows + TrainingPlan.RowsPerStep(Recipe) - 1) / TrainingPlan.RowsPerStep(Recipe)));

    /// <summary>Points of a curve, at most: each is measured and kept for itself.</summary>
    public const int MostPoints = 2000;

    /// <summary>
    /// The rows that each point is measured on: without those whose text is also that of a row of the pool, whatever its letter case and white space, because a point could have learned them by heart; of
    /// the others at most <see cref="MostMeasured"/>, by row id.
    /// </summary>
    public IReadOnlyList<LabeledText> Scored() => FewShotDraw.Sample(Unseen(), MostMeasured, Seed);

    internal IReadOnlyList<LabeledText> Unseen()
    {
        var pool = Pool.Select(r => TextNormalization.Hash128(r.Text)).ToHashSet();
        return [.. Measured.Where(r => !pool.Contains(TextNormalization.Hash128(r.Text)))];
    }

    /// <summary>Whether a curve can be made of it.</summary>
    /// <exception cref="TrainingException">It cannot; the sentence says why.</exception>
    public void Check()
    {
        if (Labels.Count < 2) throw new TrainingException($"The data has {(Labels.Count == 1 ? $"only the label \"{Labels[0]}\"" : "no label")}; a learning curve needs at least two.");
        if (Labels.GroupBy(l => l).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new TrainingException($"The label \"{twice.Key}\" is listed twice.");
        if (Pool.Count == 0) throw new TrainingException("There are no train rows to draw examples from.");
        if (Measured.Count == 0) throw new TrainingException("There are no validation rows to measure on; give validation a share of the split.");
        if (Pool.Concat(Measured).FirstOrDefault(r => r.Label < 0 || r.Label >= Labels.Count) is { } stray)
            throw new TrainingException($"Row {stray.RowId} has label number {stray.Label}, but labels are numbered 0 to {Labels.Count - 1}.");
        if (Pool.All(r => r.Label == Pool[0].Label)) throw new TrainingException($"All train rows have the label \"{Labels[Pool[0].Label]}\"; a learning curve needs rows of at least two labels.");
        if (Pool.GroupBy(r => r.RowId).FirstOrDefault(g => g.Count() > 1) is { } again) throw new TrainingException($"Row {again.Key} is listed twice among the train rows.");
        var pool = Pool.Select(r => r.RowId).ToHashSet();
        if (Measured.FirstOrDefault(r => pool.Contains(r.RowId)) is { } both) throw new TrainingException($"Row {both.RowId} is both a train row and a validation row; what is learned from must not be measured on.");
        if (Unseen().Count == 0) throw new TrainingException("Every validation row has the same text as a train row, so there is nothing to measure on that is new to a model; split the rows so that equal texts stay together.");
        if (Ks.Count == 0) throw new TrainingException("No number of examples a label is given; expected some, such as 1, 2, 4.");
        foreach (var k in Ks) Within(k, 1, 100_000, "Examples a label");
        if (Ks.GroupBy(k => k).FirstOrDefault(g => g.Count() > 1) is { } same) throw new TrainingException($"{same.Key} examples a label are asked for twice.");
        if (Methods.Count == 0) throw new TrainingException($"No method is given; expected some of {string.Join(", ", Enum.GetValues<FewShotMethod>().Select(m => m.Word()))}.");
        if (Methods.GroupBy(m => m).FirstOrDefault(g => g.Count() > 1) is { } method) throw new TrainingException($"The method {method.Key.Word()} is asked for twice.");
        Within(Draws, 1, 100, "Draws");
        if ((long)Methods.Count * Draws * FewShotDraw.DistinctKs(Pool, Ks).Count is var points && points > MostPoints)
            throw new TrainingException(string.Create(CultureInfo.InvariantCulture, $"The curve would have {points:#,0} points, and more than {MostPoints:#,0} are not measured; ask for fewer draws or fewer numbers of examples."));
        Within(LeastSteps, 1, 100_000, "Steps");
        Within(LeastPasses, 0, 100, "Passes");
        Within(MostMeasured, 1, int.MaxValue, "Rows to measure");
        if (Recipe.Validate() is { Count: > 0 } problems) throw new TrainingException($"The recipe is not valid. {string.Join(" ", problems)}");
    }

    private static void Within(int value, int least, int most, string what)
    {
        if (value < least || value > most) throw new TrainingException($"{what} is {value}; expected a whole number from {least} to {most}.");
    }
}

/// <summary>One method, trained on one draw of examples and measured.</summary>
/// <param name="K">Examples a label.</param>
/// <param name="Draw">Counted from 0.</param>
/// <param name="Rows">Examples of all labels together; fewer than k a label where a label has not so many.</param>
/// <param name="Accuracy">On the measured rows.</param>
/// <param name="MacroF1">On the measured rows.</param>
/// <param name="Seconds">What it took.</param>
public sealed record FewShotPoint(FewShotMethod Method, int K, int Draw, int Rows, double Accuracy, double MacroF1, double Seconds)
{
    /// <summary><see cref="Metric.Accuracy"/> or <see cref="Metric.MacroF1"/>.</summary>
    public double this[Metric metric] => metric switch
    {
        Metric.Accuracy => Accuracy,
        Metric.MacroF1 => MacroF1,
        _ => throw new ArgumentException($"A learning curve has accuracy and macro-F1, no {metric.Name()}."),
    };
}

/// <summary>Something a curve tells whoever watches; raised on the calling thread, in order.</summary>
public abstract record FewShotEvent;

/// <summary>One line for the log.</summary>
public sealed record CurveSaid(string Text) : FewShotEvent;

/// <summary>Where a curve stands: at a point under way. <paramref name="Share"/> of the point is done, 0 to 1; <paramref name="SecondsLeft"/> is of the whole curve, null while nothing is known.</summary>
public sealed record CurveProgress(int PointsDone, int PointsTotal, FewShotMethod Method, int K, int Draw, double Share, double? SecondsLeft) : FewShotEvent;

/// <summary>A point is finished and on disk.</summary>
public sealed record CurvePointDone(FewShotPoint Point, int PointsDone, int PointsTotal, double? SecondsLeft) : FewShotEvent;
