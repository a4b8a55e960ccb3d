using System.Text.RegularExpressions;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Headless;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Tests.Training;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.FewShot;

[Collection("training")]
public sealed class LearningCurveTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private FewShotJob Job(string name = "curve") => new(Repository.PracticeModel, SmallTexts.Labels, SmallTexts.Rows(90), [.. SmallTexts.Rows(60, seed: 8).Select(r => r with { RowId = r.RowId + 1000 })], folder.File(name))
    {
        Ks = [1, 2], Draws = 2, LeastSteps = 6, LeastPasses = 0, Recipe = new() { LearningRate = 1e-3, MaxLength = 32 },
    };

    private static (FewShotCurve Curve, List<FewShotEvent> Events) Run(FewShotJob job, Func<List<FewShotEvent>, StopRequest>? stop = null, bool resume = false)
    {
        var events = new List<FewShotEvent>();
        return (LearningCurve.Run(job, events.Add, () => stop?.Invoke(events) ?? StopRequest.None, default, resume), events);
    }

    private static IEnumerable<(FewShotMethod, int, int, int, double, double)> Numbers(IEnumerable<FewShotPoint> points) =>
        points.Select(p => (p.Method, p.K, p.Draw, p.Rows, p.Accuracy, p.MacroF1)).Order();

    [Fact]
    public void A_curve_of_the_customer_messages_is_stopped_and_goes_on_without_computing_a_point_again()
    {
        var rows = TextRows.Read(Path.Combine(Repository.Root, "sample", "customer-messages.csv"), "text", "label");
        var labels = rows.Select(r => r.Label).Distinct().Order(StringComparer.Ordinal).ToList();
        var parts = SplitRows.ByLabel([.. rows.Select(r => new LabeledText(r.Line, r.Text, labels.IndexOf(r.Label)))], 0.1, 0.1, 42);
        var job = Job() with { Labels = labels, Pool = parts.Train, Measured = parts.Validation, MostMeasured = 60, Recipe = Job().Recipe with { MaxLength = 64 } };

        // Asked amid the steps of the second point that trains LoRA.
        var (stopped, before) = Run(job, seen => seen is [.., CurveProgress { Method: FewShotMethod.Lora, K: 2, Share: > 0.4 }] ? StopRequest.Stop : StopRequest.None);
        Assert.Equal((FewShotOutcome.Stopped, 16), (stopped.Outcome, stopped.PointsTotal));
        Assert.Equal(6, stopped.Points.Count);
        Assert.Equal(6, before.OfType<CurvePointDone>().Count());
        Assert.Equal(Numbers(stopped.Points), Numbers(KeptPoints.In(job.OutputFolder)));

        var (whole, after) = Run(job, resume: true);
        Assert.Equal((FewShotOutcome.Finished, 16), (whole.Outcome, whole.Points.Count));
        Assert.Equal(10, after.OfType<CurvePointDone>().Count());
        Assert.Contains(new CurveSaid("6 of 16 points are there already."), after);
        Assert.Equal((16, 16, 0.0), after.OfType<CurvePointDone>().Last() is var last ? (last.PointsDone, last.PointsTotal, last.SecondsLeft) : default);
        // Never interrupted, it comes to the same numbers.
        Assert.Equal(Numbers(Run(job with { OutputFolder = folder.File("once") }).Curve.Points), Numbers(whole.Points));

        // The sample holds some texts more than once.
        Assert.Contains(new CurveSaid("3 of 103 validation rows have the same text as a train row and are not measured on."), after);
        Assert.Contains(new CurveSaid("Every point is measured on the same 60 of 100 validation rows, drawn at random."), after);
        Assert.Equal(("delivery", 60), (whole.MajorityLabel, whole.MeasuredRows));
        var lines = whole.Lines(Metric.Accuracy);
        Assert.Equal(Enum.GetValues<FewShotMethod>(), lines.Select(l => l.Method));
        Assert.All(lines, l => Assert.Equal([(1, 8, 2), (2, 16, 2)], l.Means.Select(m => (m.K, m.Rows, m.Values.Count))));
        Assert.All(lines.SelectMany(l => l.Means), m => Assert.True(m.Mean == m.Values.Average() && m.Interval!.Low <= m.Mean && m.Mean <= m.Interval.High));
        // The model folders of the points are gone, or never were.
        Assert.Equal([KeptPoints.FileName], Directory.EnumerateFileSystemEntries(job.OutputFolder).Select(f => Path.GetFileName(f)!));
        Assert.Empty(Run(job, resume: true).Events.OfType<CurvePointDone>());
    }

    [Fact]
    public void Trained_methods_learn_small_texts_from_many_examples()
    {
        var (curve, events) = Run(Job() with { Ks = [24], Draws = 1, LeastSteps = 60, Methods = [FewShotMethod.Full, FewShotMethod.Lora, FewShotMethod.Centroid] });
        Assert.All(curve.Lines(Metric.Accuracy), l => Assert.True(l.Means[0].Mean > 0.55, $"{l.Method}: {l.Means[0].Mean}"));
        Assert.Equal(1 / 3.0, curve.Majority(Metric.Accuracy), 1e-9);
        Assert.All(curve.Points, p => Assert.Equal(72, p.Rows));
        Assert.Contains(events, e => e is CurveProgress { SecondsLeft: > 0 });
        Assert.Null(curve.Lines(Metric.MacroF1)[0].Means[0].Interval);
    }

    [Fact]
    public void A_line_that_a_killed_process_left_unfinished_is_cut_off_and_its_point_computed_anew()
    {
        var job = Job() with { Methods = [FewShotMethod.Centroid] };
        var whole = Run(job).Curve;
        var path = Path.Combine(job.OutputFolder, KeptPoints.FileName);
        var bytes = File.ReadAllBytes(path);
        File.WriteAllBytes(path, bytes[..^20]);
        Assert.Equal(3, KeptPoints.In(job.OutputFolder).Count);
        var (again, events) = Run(job, resume: true);
        Assert.Single(events.OfType<CurvePointDone>());
        Assert.Equal(Numbers(whole.Points), Numbers(again.Points));
        Assert.Equal(4, File.ReadAllLines(path).Length);
    }

    [Fact]
    public void More_draws_or_examples_reuse_the_points_that_are_there()
    {
        var job = Job() with { Methods = [FewShotMethod.Centroid] };
        Run(job);
        var (more, events) = Run(job with { Ks = [1, 4], Draws = 3 }, resume: true);
        // k = 1 of two draws was there; k = 2 is kept in the file but not in the result.
        Assert.Equal(4, events.OfType<CurvePointDone>().Count());
        Assert.Equal([1, 1, 1, 4, 4, 4], more.Points.Select(p => p.K).Order());
    }

    [Fact]
    public void Points_of_another_curve_are_refused()
    {
        var job = Job() with { Methods = [FewShotMethod.Centroid] };
        Run(job);
        var path = Path.Combine(job.OutputFolder, KeptPoints.FileName);
        Assert.Equal($"{path} already holds points of a curve; go on with it, or choose another output folder.", Refused(job));
        var other = $"{path} holds points of another curve: with other rows or labels, another base model, seed or setting of nearest centroid; choose another output folder.";
        Assert.Equal(other, Refused(job with { Seed = 1 }, resume: true));
        Assert.Equal(other, Refused(job with { Pool = SmallTexts.Rows(87) }, resume: true));
        File.WriteAllText(path, "{\"k\":1}\n");
        Assert.Equal($"{path}, line 1 is not a point of a curve; choose another output folder.", Refused(job, resume: true));
    }

    [Fact]
    public void Points_can_be_read_while_a_curve_is_measured_but_no_second_curve_may_write_beside_it()
    {
        var job = Job() with { Methods = [FewShotMethod.Centroid] };
        string? second = null;
        var seen = new List<int>();
        LearningCurve.Run(job, e =>
        {
            if (e is not CurvePointDone) return;
            seen.Add(KeptPoints.In(job.OutputFolder).Count);
            second ??= Refused(job, resume: true);
        }, () => StopRequest.None, default);
        Assert.Equal([1, 2, 3, 4], seen);
        Assert.Equal($"Another curve is being measured into {job.OutputFolder}; wait for it, or choose another output folder.", second);
    }

    [Fact]
    public void No_tensor_stays_behind()
    {
        Run(Job("first"));
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = TorchSharp.torch.Tensor.TotalCount;
        Run(Job("second"));
        Assert.Equal(before, TorchSharp.torch.Tensor.TotalCount);
    }

    [Fact]
    public void A_server_that_goes_down_and_a_person_who_cancels_end_a_curve_amid_a_point()
    {
        using var down = new CancellationTokenSource();
        var job = Job() with { Methods = [FewShotMethod.Full] };
        Assert.Throws<OperationCanceledException>(() => LearningCurve.Run(job, e => { if (e is CurveProgress { K: 2, Share: > 0.3 }) down.Cancel(); }, () => StopRequest.None, down.Token));
        Assert.Single(KeptPoints.In(job.OutputFolder));
        Assert.Equal(FewShotOutcome.Cancelled, Run(job with { Methods = [FewShotMethod.Centroid], OutputFolder = folder.File("other") }, seen => seen.Any(e => e is CurveProgress) ? StopRequest.Cancel : StopRequest.None).Curve.Outcome);
    }

    [Fact]
    public void What_a_reader_must_know_is_said()
    {
        var job = Job() with { Labels = [.. SmallTexts.Labels, "rare", "never"], Ks = [1, 4, 32, 64], Draws = 1, Methods = [FewShotMethod.Centroid] };
        job = job with { Pool = [.. job.Pool, new(2000, "a rare text", 3)] };
        Assert.Equal(
        [
            "The label \"delivery\" has only 30 train rows; from 32 examples a label on it gives all it has.",
            "The label \"payment\" has only 30 train rows; from 32 examples a label on it gives all it has.",
            "The label \"praise\" has only 30 train rows; from 32 examples a label on it gives all it has.",
            "The label \"rare\" has only 1 train row; from 4 examples a label on it gives all it has.",
            "The label \"never\" has no train row, so no method can learn it.",
            "64 examples a label is left out: no label has more than 30 train rows, so they would be those of 32.",
            "With one draw nothing can be said of the spread, so there are no intervals.",
        ], Run(job).Curve.Notes);
        var known = Job("known") with { Labels = ["negative", "neutral", "positive"], Draws = 2, Methods = [FewShotMethod.Centroid] };
        Assert.Equal(["The base model was fine-tuned for these very labels and keeps its head, so the curve does not begin with a model that knows nothing of them."], Run(known).Curve.Notes);
    }

    [Fact]
    public void Rows_whose_text_is_also_learned_from_are_not_measured_on()
    {
        var job = Job() with { Methods = [FewShotMethod.Centroid] };
        var once = Run(job).Curve;
        var twice = job.Pool[3] with { RowId = 5000, Text = $"  {job.Pool[3].Text.ToUpperInvariant()} " };
        var (curve, _) = Run(job with { Measured = [.. job.Measured, twice], OutputFolder = folder.File("twice") });
        Assert.DoesNotContain(twice, (job with { Measured = [.. job.Measured, twice] }).Scored());
        Assert.Equal(once.MeasuredRows, curve.MeasuredRows);
        Assert.Equal(Numbers(once.Points), Numbers(curve.Points));
        Assert.Contains(curve.Notes, n => Regex.IsMatch(n, @"^[0-9]+ of 61 validation rows ha(s|ve) the same text as a train row and (is|are) not measured on\.$"));
        Assert.Equal("Every validation row has the same text as a train row, so there is nothing to measure on that is new to a model; split the rows so that equal texts stay together.", Refused(job with { Measured = [twice], OutputFolder = folder.File("none") }));
    }

    [Fact]
    public void Many_labels_are_counted_instead_of_named_and_draws_that_share_their_rows_are_said_to()
    {
        var job = Job() with { Ks = [1, 2], Draws = 2, Methods = [FewShotMethod.Centroid] };
        List<string> labels = [.. SmallTexts.Labels, .. Enumerable.Range(0, 500).Select(i => $"rare {i}"), .. Enumerable.Range(0, 20).Select(i => $"never {i}")];
        job = job with { Labels = labels, Pool = [.. job.Pool, .. Enumerable.Range(0, 500).Select(i => new LabeledText(9000 + i, i % 7 == 0 ? "" : $"number {i}", 3 + i))] };
        var curve = Run(job).Curve;
        Assert.Equal([503, 506], curve.Lines(Metric.Accuracy)[0].Means.Select(m => m.Rows));
        Assert.Contains("500 labels have fewer than 2 train rows; where one is asked for more than it has, it gives all.", curve.Notes);
        Assert.Contains("20 labels have no train row, so no method can learn them.", curve.Notes);
        Assert.Contains("From 1 example a label on, a draw has 98 % of its rows or more in common with another, because there are so few train rows; the intervals from there on, and those of what more rows bring, are narrower than the chance of the examples.", curve.Notes);
    }

    [Fact]
    public void The_numbers_of_examples_whose_draws_share_much_are_named_where_they_are_not_all_from_one_on()
    {
        var job = Job() with { Labels = [.. SmallTexts.Labels, "rare"], Ks = [1, 2, 4, 8, 16], Methods = [FewShotMethod.Centroid] };
        job = job with { Pool = [.. job.Pool, new(9000, "a rare text", 3)] };
        // Three labels of 30 rows and one of 1: 27.5, 20, 20, 29.6 and 54.3 %.
        Assert.Contains("With 1, 8, 16 examples a label, a draw has 27 % of its rows or more in common with another, because there are so few train rows; the intervals there, and those of what more rows bring, are narrower than the chance of the examples.", Run(job).Curve.Notes);
    }

    [Fact]
    public void Each_method_makes_its_own_recipe_of_the_basis()
    {
        var basis = FewShotMethods.Basis with { Epochs = 7, MaxLength = 64, UnfreezeEpochs = 1, TrainableLayers = TrainableLayers.LastBlocks, LastBlocks = 2, EarlyStoppingPatience = 3 };
        Assert.Equal([2e-5, 1e-3, 2e-4], new[] { FewShotMethod.Full, FewShotMethod.HeadOnly, FewShotMethod.Lora }.Select(m => Math.Round(m.Recipe(basis).LearningRate, 12)));
        Assert.Equal([(TrainableLayers.All, TrainingMethod.Full), (TrainableLayers.HeadOnly, TrainingMethod.Full), (TrainableLayers.All, TrainingMethod.Lora)],
            new[] { FewShotMethod.Full, FewShotMethod.HeadOnly, FewShotMethod.Lora }.Select(m => (m.Recipe(basis).TrainableLayers, m.Recipe(basis).Method)));
        Assert.All(Enum.GetValues<FewShotMethod>(), m => Assert.Empty(m.Recipe(basis).Validate()));
        Assert.Equal(TrainingMethod.Dora, FewShotMethod.Lora.Recipe(basis with { Method = TrainingMethod.Dora }).Method);
        Assert.Equal(0.01, FewShotMethod.Lora.Recipe(basis with { LearningRate = 5e-3 }).LearningRate);
        // 2,464 rows are 154 steps a pass.
        Assert.Equal((200, 1540), (new FewShotJob("", [], [], [], "").Steps(256), new FewShotJob("", [], [], [], "").Steps(2464)));
    }

    [Fact]
    public void A_curve_that_cannot_be_is_refused_with_a_sentence()
    {
        var job = Job();
        Assert.Equal("The data has only the label \"a\"; a learning curve needs at least two.", Refused(job with { Labels = ["a"] }));
        Assert.Equal("There are no train rows to draw examples from.", Refused(job with { Pool = [] }));
        Assert.Equal("There are no validation rows to measure on; give validation a share of the split.", Refused(job with { Measured = [] }));
        Assert.Equal("All train rows have the label \"payment\"; a learning curve needs rows of at least two labels.", Refused(job with { Pool = [.. job.Pool.Where(r => r.Label == 1)] }));
        Assert.Equal("Row 1 is both a train row and a validation row; what is learned from must not be measured on.", Refused(job with { Measured = [job.Pool[0]] }));
        Assert.Equal("Row 5 has label number 9, but labels are numbered 0 to 2.", Refused(job with { Pool = [.. job.Pool.Select(r => r.RowId == 5 ? r with { Label = 9 } : r)] }));
        Assert.Equal("Examples a label is 0; expected a whole number from 1 to 100000.", Refused(job with { Ks = [0] }));
        Assert.Equal("4 examples a label are asked for twice.", Refused(job with { Ks = [4, 1, 4] }));
        Assert.Equal("Draws is 0; expected a whole number from 1 to 100.", Refused(job with { Draws = 0 }));
        Assert.Equal("The curve would have 3,000 points, and more than 2,000 are not measured; ask for fewer draws or fewer numbers of examples.", Refused(job with { Ks = [.. Enumerable.Range(1, 10)], Draws = 100, Methods = [FewShotMethod.Full, FewShotMethod.Lora, FewShotMethod.Centroid] }));
        Assert.Equal("No method is given; expected some of full, head, lora, centroid.", Refused(job with { Methods = [] }));
        Assert.Equal("Max length is 512 tokens but the base model has only 128 positions; set it to 128 or less.", Refused(job with { Recipe = job.Recipe with { MaxLength = 512 } }));
        Assert.Equal("There is no method \"loar\"; the methods are full, head, lora, centroid.", Assert.Throws<TrainingException>(() => FewShotMethods.Parse("loar")).Message);
        Assert.False(Directory.Exists(job.OutputFolder));
    }

    private static string Refused(FewShotJob job, bool resume = false) => Assert.Throws<TrainingException>(() => Run(job, resume: resume)).Message;

    public void Dispose() => folder.Dispose();
}
