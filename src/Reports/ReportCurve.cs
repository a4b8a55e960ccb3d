using System.Globalization;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.FewShot;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Reports;

/// The learning curves of a run's split, best fit first; where it has none, the nearest of another split. Others of the same split are only counted.
public sealed record ReportCurves(IReadOnlyList<ReportCurve> Shown, int Others);

/// What a method's curve says to more rows.
public sealed record Foreseen(FewShotMethod Method, string Sentence);

/// A learning curve as a report keeps it, by the project's metric: all that it says, because the signature covers it. TestRowsRead are the report's test rows
/// whose texts a curve of another split drew from or measured on.
public sealed record ReportCurve(int Number, DateTime At, bool Whole, int Points, int PointsTotal, string BaseModel, bool SameBase, int Split, bool SameSplit, int Version, int TestRowsRead,
    int Draws, int Steps, double LearningRate, int PoolRows, int MeasuredRows, string MajorityLabel, double Majority,
    IReadOnlyList<FewShotLine> Lines, IReadOnlyList<Foreseen> Advice, IReadOnlyList<string> Notes)
{
    private const int MostShown = 3;

    /// What the answers are about, in the metric's unit.
    private const double Gain = 0.02;

    /// Null for a task of which no curve is made.
    internal static async Task<ReportCurves?> Of(StudioDb db, StudioFolder folder, Project project, Run run, Split split, CancellationToken cancel)
    {
        if (project.Task != TextTask.SingleLabel) return null;
        var weights = await db.BaseModels.Where(m => m.Id == run.BaseModelId).Select(m => m.WeightsHash).SingleAsync(cancel);
        var over = await (from c in db.LearningCurves.AsNoTracking()
                          where c.ProjectId == project.Id && (c.State == CurveState.Finished || c.State == CurveState.Stopped || c.State == CurveState.Failed)
                          join m in db.BaseModels on c.BaseModelId equals m.Id
                          join s in db.Splits on c.SplitId equals s.Id
                          join v in db.Versions on s.VersionId equals v.Id
                          select new { Curve = c, Base = m.Name, SameBase = m.WeightsHash == weights, Split = s.Number, s.VersionId, Version = v.Number }).ToListAsync(cancel);
        var found = over.Select(o => (Of: o, Measured: ShowCurve.Read(folder, o.Curve).Curve)).Where(o => o.Measured.Points.Count > 0)
            .OrderByDescending(o => o.Of.Curve.SplitId == split.Id).ThenByDescending(o => o.Of.VersionId == split.VersionId)
            .ThenByDescending(o => o.Of.SameBase).ThenByDescending(o => o.Of.Curve.State == CurveState.Finished).ThenByDescending(o => o.Of.Curve.Number).ToList();
        var same = found.Count(o => o.Of.Curve.SplitId == split.Id);
        var shown = new List<ReportCurve>();
        foreach (var (of, measured) in found.Take(same > 0 ? Math.Min(same, MostShown) : 1))
        {
            var (curve, settings, isSame) = (of.Curve, of.Curve.Settings, of.Curve.SplitId == split.Id);
            // By their texts, because each import gives the same rows other ids.
            var drawn = from o in db.SplitRows join row in db.Rows on o.RowId equals row.Id where o.SplitId == curve.SplitId && o.Part != SplitPart.Test select row.TextKey;
            var read = isSame ? 0 : await (from r in db.SplitRows join row in db.Rows on r.RowId equals row.Id where r.SplitId == split.Id && r.Part == SplitPart.Test && drawn.Contains(row.TextKey) select r).CountAsync(cancel);
            var lines = measured.Lines(project.Metric);
            shown.Add(new(curve.Number, curve.FinishedAt ?? curve.QueuedAt, curve.State == CurveState.Finished, measured.Points.Count, curve.PointsTotal, of.Base, of.SameBase, of.Split, isSame, of.Version, read,
                settings.Draws, settings.Steps, settings.LearningRate, curve.PoolRows, curve.MeasuredRows, curve.MajorityLabel, measured.Majority(project.Metric),
                lines, [.. lines.Select(l => new Foreseen(l.Method, Foresee(measured, l.Method, project.Metric)))], measured.Notes));
        }
        return new(shown, Math.Max(0, same - shown.Count));
    }

    /// Over all train rows, as the run had them, where the law reaches so far; else over the most that were measured.
    private static string Foresee(FewShotCurve curve, FewShotMethod method, Metric metric)
    {
        var law = curve.MoreRows(method, metric);
        return law.Answer(Gain, metric, curve.PoolRows > 0 && curve.PoolRows < (long)MoreRows.Reach * law.Largest ? curve.PoolRows : null).Sentence;
    }

    private bool Trains => Lines.Any(l => l.Method != FewShotMethod.Centroid);

    /// How it was measured.
    public string How()
    {
        var count = Whole ? Say.Count(Points, "point") : $"{Say.Count(Points)} of {Say.Count(PointsTotal, "point")}, because it did not come to its end";
        var trains = Trains ? $" What trains took {Say.Count(Steps, "step")} or more, at a learning rate of {Say.Number(LearningRate)} for full fine-tuning: a recipe of its own, not that of this run." : "";
        return $"Learning curve {Number}, of {At.ToString("d MMM yyyy HH:mm 'UTC'", CultureInfo.InvariantCulture)}: {count}. Its examples were drawn {(Draws == 1 ? "once" : $"{Say.Count(Draws)} times anew")} from {Say.Count(PoolRows, "train row")} and measured on {Say.Count(MeasuredRows, "validation row")}.{trains}";
    }

    /// In what it is of the same, or of another, as the run.
    public string Of(ReportBody body)
    {
        var start = SameBase ? $"It started from this run’s base model, “{BaseModel}”" : $"It started from another base model: “{BaseModel}” instead of “{body.Base.Name}”";
        if (SameSplit) return $"{start}, on this run’s split; no test row was read.";
        var other = Version == body.Data.Version ? $"split {Split} of the same data version instead of split {body.Data.Split}" : $"split {Split} of data version {Version} instead of split {body.Data.Split} of version {body.Data.Version}";
        return $"{start}, on other rows: {other}. Of this report’s {Say.Count(body.Data.Test, "test row")}, {Say.Count(TestRowsRead)} {(TestRowsRead == 1 ? "is" : "are")} among those that it drew from or measured on.";
    }
}
