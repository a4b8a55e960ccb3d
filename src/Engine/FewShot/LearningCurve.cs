using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>How well each method does with 1, 2, 4, ... examples a label, with repeated draws of the examples.</summary>
public static class LearningCurve
{
    /// <summary>
    /// Runs a curve on the calling thread and reports as it goes: all ks and methods on the first draw, then on the next, so that a whole curve is there
    /// early. Each finished point is on disk before the next begins.
    /// </summary>
    /// <param name="stop">Asked between points, before each step and before each batch. Both answers drop the point under way and end with the points so far.</param>
    /// <param name="cancel">For a process that is going down: throws <see cref="OperationCanceledException"/>; the finished points are kept.</param>
    /// <param name="resume">Go on from the points in the output folder, if there are any; otherwise there must be none.</param>
    /// <exception cref="TrainingException">The job cannot be run, or a point cannot be trained; the finished points are kept.</exception>
    /// <exception cref="WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="Text.TokenizerFileException">The base model's tokenizer is missing or broken.</exception>
    public static FewShotCurve Run(FewShotJob job, Action<FewShotEvent> report, Func<StopRequest> stop, CancellationToken cancel, bool resume = false)
    {
        job.Check();
        var positions = EncoderConfig.Read(job.BaseFolder).MaxPositions;
        if (job.Recipe.MaxLength > positions) throw new TrainingException($"Max length is {job.Recipe.MaxLength} tokens but the base model has only {positions} positions; set it to {positions} or less.");
        if (MixedPrecision.Problem(job.Recipe) is { } unsupported) throw new TrainingException(unsupported);
        using var kept = KeptPoints.Open(job.OutputFolder, resume, Identity(job));
        return new Work(job, kept, report, stop, cancel).Run();
    }

    /// <summary>Everything that a point of a method depends on besides k and draw, hashed.</summary>
    private static Func<FewShotMethod, string> Identity(FewShotJob job)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text + "\0"));
        foreach (var label in job.Labels) Add(label);
        foreach (var rows in new[] { job.Pool, job.Measured })
        {
            Add($"{rows.Count} rows");
            foreach (var row in rows.OrderBy(r => r.RowId)) Add($"{row.RowId}\0{row.Label}\0{row.Text.Length}\0{row.Text}");
        }
        if (job.Measured.Count - job.Unseen().Count is > 0 and var same) Add($"without {same} of equal text");
        Add(ModelWeights.Sha256(job.BaseFolder));
        foreach (var file in Directory.EnumerateFiles(job.BaseFolder).Where(f => Path.GetExtension(f) is ".json" or ".txt" or ".model").Order(StringComparer.Ordinal)) hash.AppendData(File.ReadAllBytes(file));
        Add($"{job.Seed} {job.MostMeasured}");
        var shared = Convert.ToHexStringLower(hash.GetHashAndReset());
        return method => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(
            method == FewShotMethod.Centroid ? $"{shared} centroid {job.Recipe.MaxLength} {job.Recipe.Precision}" : $"{shared} {job.LeastSteps} {job.LeastPasses} {method.Recipe(job.Recipe).ToJson()}")));
    }

    private sealed class Asked(StopRequest what) : Exception
    {
        public StopRequest What => what;
    }

    private sealed record Planned(FewShotMethod Method, int K, int Draw, int Rows);

    private sealed class Work
    {
        private readonly FewShotJob job;
        private readonly KeptPoints kept;
        private readonly Action<FewShotEvent> report;
        private readonly Func<StopRequest> stop;
        private readonly CancellationToken cancel;
        private readonly IReadOnlyList<LabeledText> measured;
        private readonly int same;
        private readonly IReadOnlyList<Planned> planned;
        private readonly List<FewShotPoint> done;
        private readonly IReadOnlyList<LabeledText> featureRows;
        private Dictionary<long, float[]>? features;
        private (int Draw, IReadOnlyList<LabeledText[]> Labels)? ordered;

        public Work(FewShotJob job, KeptPoints kept, Action<FewShotEvent> report, Func<StopRequest> stop, CancellationToken cancel)
        {
            (this.job, this.kept, this.report, this.stop, this.cancel) = (job, kept, report, stop, cancel);
            var unseen = job.Unseen();
            same = job.Measured.Count - unseen.Count;
            measured = FewShotDraw.Sample(unseen, job.MostMeasured, job.Seed);
            var ks = FewShotDraw.DistinctKs(job.Pool, job.Ks).Select(k => (k, rows: FewShotDraw.Rows(job.Pool, k))).ToList();
            planned = [.. Enumerable.Range(0, job.Draws).SelectMany(draw => ks.SelectMany(k => job.Methods.Order().Select(method => new Planned(method, k.k, draw, k.rows))))];
            var wanted = planned.Select(p => (p.Method, p.K, p.Draw)).ToHashSet();
            // The draw of the largest k contains the others.
            featureRows = job.Methods.Contains(FewShotMethod.Centroid) ? [.. Enumerable.Range(0, job.Draws).SelectMany(draw => Examples(ks[^1].k, draw)).DistinctBy(r => r.RowId), .. measured] : [];
            done = [.. kept.Points.Where(p => wanted.Contains((p.Method, p.K, p.Draw)))];
        }

        public FewShotCurve Run()
        {
            var notes = Notes();
            foreach (var note in notes) report(new CurveSaid(note));
            if (done.Count > 0) report(new CurveSaid($"{done.Count} of {planned.Count} points are there already."));
            try
            {
                foreach (var point in Left().ToList())
                {
                    Ask();
                    var start = Stopwatch.GetTimestamp();
                    report(Standing(point, 0, null));
                    var scores = point.Method == FewShotMethod.Centroid ? Nearest(point) : Trained(point);
                    FewShotPoint finished = new(point.Method, point.K, point.Draw, point.Rows, scores[Metric.Accuracy], scores[Metric.MacroF1], Stopwatch.GetElapsedTime(start).TotalSeconds);
                    kept.Append(finished);
                    done.Add(finished);
                    report(new CurvePointDone(finished, done.Count, planned.Count, SecondsOf(Left())));
                }
                return Ended(FewShotOutcome.Finished, notes);
            }
            catch (Asked asked) { return Ended(asked.What == StopRequest.Cancel ? FewShotOutcome.Cancelled : FewShotOutcome.Stopped, notes); }
        }

        private IReadOnlyList<LabeledText> Examples(int k, int draw)
        {
            if (ordered?.Draw != draw) ordered = (draw, FewShotDraw.Ordered(job.Pool, draw, job.Seed));
            return FewShotDraw.Of(ordered.Value.Labels, k);
        }

        private IEnumerable<Planned> Left() => planned.ExceptBy(done.Select(p => (p.Method, p.K, p.Draw)), p => (p.Method, p.K, p.Draw));

        private void Ask()
        {
            cancel.ThrowIfCancellationRequested();
            if (stop() is not StopRequest.None and var what) throw new Asked(what);
        }

        private FewShotCurve Ended(FewShotOutcome outcome, IReadOnlyList<string> notes)
        {
            var one = OneLabel.Of(job, measured);
            return new(outcome, [.. done], planned.Count, job.Pool.Count, measured.Count, one.Label, one.Accuracy, one.MacroF1, notes);
        }

        private Dictionary<Metric, double> Scores(int[] predictions)
        {
            var scored = Classification.Evaluate([.. measured.Select(r => r.Label)], predictions, job.Labels.Count);
            return new() { [Metric.Accuracy] = scored.Accuracy, [Metric.MacroF1] = scored.MacroF1 };
        }

        private IReadOnlyDictionary<Metric, double> Trained(Planned point)
        {
            var recipe = point.Method.Recipe(job.Recipe) with { Seed = FewShotDraw.SeedOf(point.Draw, job.Seed), Metric = Metric.MacroF1 };
            // The run is told to drop everything at a stop, because what a point has learned by then is not what the others learn.
            IReadOnlyDictionary<Metric, double>? scores = null;
            StopRequest asked = StopRequest.None;
            FineTuneResult result;
            try
            {
                result = FineTune.Run(new(recipe, job.BaseFolder, job.Labels, Examples(point.K, point.Draw), measured, job.OutputFolder, Steps: job.Steps(point.Rows), Saves: false), happened =>
                {
                    if (happened is EvaluationDone evaluation) scores = evaluation.Scores;
                    else if (happened is StepDone step) report(Standing(point, (double)step.Step / step.TotalSteps, step));
                }, () => (asked = stop()) == StopRequest.None ? StopRequest.None : StopRequest.Cancel, cancel);
            }
            catch (TrainingException failed) { throw new TrainingException($"The point of {point.Method.Name()} with {Of(point.K)}, draw {point.Draw + 1}, could not be trained: {failed.Message}"); }
            if (result.Outcome == FineTuneOutcome.Cancelled) throw new Asked(asked);
            return scores!;
        }

        private Dictionary<Metric, double> Nearest(Planned point)
        {
            features ??= Features(point);
            var examples = Examples(point.K, point.Draw);
            return Scores(NearestCentroid.Predict([.. examples.Select(r => features[r.RowId])], [.. examples.Select(r => r.Label)], job.Labels.Count, [.. measured.Select(r => features[r.RowId])]));
        }

        /// <summary>Of every row that any point draws or measures, once.</summary>
        private Dictionary<long, float[]> Features(Planned point)
        {
            if (4L * EncoderConfig.Read(job.BaseFolder).HiddenSize * featureRows.Count is var bytes && bytes > FineTune.FeatureRoom(FreeMemory.Bytes()))
                throw new TrainingException(Text($"The features that the nearest centroid reads, of {featureRows.Count:#,0} rows, would take {bytes >> 20:#,0} MiB of memory, which is more than half of what is free; ask for fewer examples a label, fewer draws, or leave the method out."));
            var vectors = TextFeatures.Compute(job.BaseFolder, [.. featureRows.Select(r => r.Text)], job.Recipe.MaxLength, job.Recipe.Precision, computed =>
            {
                Ask();
                report(Standing(point, (double)computed / featureRows.Count, null));
            }, cancel);
            return featureRows.Zip(vectors).ToDictionary(r => r.First.RowId, r => r.Second);
        }

        private CurveProgress Standing(Planned point, double share, StepDone? step)
        {
            // Before any point is finished, the steps under way say what others will cost; those of a head alone do not, because its work is before them.
            var perRow = step is { ExamplesPerSecond: > 0 } && point.Method != FewShotMethod.HeadOnly ? 1 / step.ExamplesPerSecond : (double?)null;
            var left = step is null ? SecondsOf(Left()) : SecondsOf(Left().Where(p => p != point), perRow) + step.SecondsLeft;
            return new(done.Count, planned.Count, point.Method, point.K, point.Draw, share, left);
        }

        /// <summary>An estimate from what finished points took, a method's own where it has any; null while there is nothing to go by.</summary>
        private double? SecondsOf(IEnumerable<Planned> points, double? otherwise = null)
        {
            double sum = 0;
            foreach (var of in points.GroupBy(p => p.Method))
            {
                var known = done.Where(p => p.Method == of.Key).ToList();
                if (of.Key == FewShotMethod.Centroid) known = features is null ? [] : known;
                var rate = known.Count > 0 ? known.Sum(p => p.Seconds) / known.Sum(p => Units(p.Method, p.Rows)) : Typical() ?? otherwise;
                if (rate is not { } seconds) return null;
                sum += of.Sum(p => Units(p.Method, p.Rows)) * seconds;
                if (of.Key == FewShotMethod.Centroid && features is null) sum += featureRows.Count / 3.0 * seconds;
            }
            return sum;
        }

        private double? Typical()
        {
            var known = done.Where(p => p.Method is FewShotMethod.Full or FewShotMethod.Lora).ToList();
            return known.Count == 0 ? null : known.Sum(p => p.Seconds) / known.Sum(p => Units(p.Method, p.Rows));
        }

        /// <summary>Work in rows that go forward and backward; forward alone is about a third.</summary>
        private double Units(FewShotMethod method, int rows) => method switch
        {
            FewShotMethod.Centroid => 1e-3 * rows,
            FewShotMethod.HeadOnly => (rows + measured.Count) / 3.0,
            _ => job.Steps(rows) * Math.Min(rows, TrainingPlan.RowsPerStep(job.Recipe)) + (measured.Count + Math.Min(measured.Count, rows)) / 3.0,
        };

        private List<string> Notes()
        {
            List<string> notes = [];
            var ks = FewShotDraw.DistinctKs(job.Pool, job.Ks);
            if (same > 0) notes.Add(Text($"{same:#,0} of {job.Measured.Count:#,0} validation rows {(same == 1 ? "has" : "have")} the same text as a train row and {(same == 1 ? "is" : "are")} not measured on."));
            if (measured.Count < job.Measured.Count - same) notes.Add(Text($"Every point is measured on the same {measured.Count:#,0} of {job.Measured.Count - same:#,0} validation rows, drawn at random."));
            var counts = job.Pool.CountBy(r => r.Label).ToDictionary();
            int[] none = [.. Enumerable.Range(0, job.Labels.Count).Where(l => !counts.ContainsKey(l))], few = [.. Enumerable.Range(0, job.Labels.Count).Where(l => counts.TryGetValue(l, out var has) && has < ks[^1])];
            if (few.Length > MostNamed) notes.Add(Text($"{few.Length:#,0} labels have fewer than {ks[^1]} train rows; where one is asked for more than it has, it gives all."));
            else foreach (var label in few) notes.Add(Text($"The label \"{job.Labels[label]}\" has only {counts[label]} train {(counts[label] == 1 ? "row" : "rows")}; from {Of(ks.First(k => k > counts[label]))} on it gives all it has."));
            if (none.Length > MostNamed) notes.Add(Text($"{none.Length:#,0} labels have no train row, so no method can learn them."));
            else foreach (var label in none) notes.Add($"The label \"{job.Labels[label]}\" has no train row, so no method can learn it.");
            if (job.Draws > 1 && ks.Where(k => FewShotDraw.Shared(job.Pool, k) > MuchShared).ToList() is { Count: > 0 } much)
            {
                // Not always all from one k on: many labels of one row are most of a small draw and little of a larger one.
                var (where, there) = much[0] == ks[^much.Count] ? ($"From {Of(much[0])} on", "from there on") : ($"With {string.Join(", ", much)} examples a label", "there");
                notes.Add(Text($"{where}, a draw has {Math.Floor(100 * much.Min(k => FewShotDraw.Shared(job.Pool, k))):0} % of its rows or more in common with another, because there are so few train rows; the intervals {there}, and those of what more rows bring, are narrower than the chance of the examples."));
            }
            if (job.Ks.Except(ks).Order().ToList() is { Count: > 0 } left)
                notes.Add(Text($"{string.Join(", ", left)} examples a label {(left.Count == 1 ? "is" : "are")} left out: no label has more than {counts.Values.Max()} train rows, so they would be those of {ks[^1]}."));
            var config = EncoderConfig.Read(job.BaseFolder);
            if (config.MayHold(EncoderHead.Sequence) && config.Labels.SequenceEqual(job.Labels))
                notes.Add("The base model was fine-tuned for these very labels and keeps its head, so the curve does not begin with a model that knows nothing of them.");
            if (job.Draws == 1) notes.Add("With one draw nothing can be said of the spread, so there are no intervals.");
            return notes;
        }
    }

    /// <summary>Labels that are named one by one.</summary>
    private const int MostNamed = 10;

    /// <summary>With three draws that share a quarter of their rows, the mean varies 1.4 times as much as the draws around it tell: the root of 1 + 3 * 0.25 / 0.75.</summary>
    private const double MuchShared = 0.25;

    private static string Of(int k) => k == 1 ? "1 example a label" : $"{k} examples a label";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
