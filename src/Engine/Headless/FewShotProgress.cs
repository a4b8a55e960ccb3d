using System.Text.Json;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Headless;

/// <summary>Shows a learning curve on a terminal: a line that renews itself and a table at the end, or one JSON object a line.</summary>
internal sealed class FewShotProgress(TextWriter output, bool json, Metric metric)
{
    private readonly bool renews = !json && TrainProgress.IsTerminal(output);

    public void Start(FewShotJob job)
    {
        if (json) Json(new { Event = "start", Labels = job.Labels.Count, PoolRows = job.Pool.Count, ValidationRows = job.Measured.Count, job.Ks, job.Draws, Methods = job.Methods.Select(m => m.Word()) });
        else Line($"examples from {job.Pool.Count} rows in {job.Labels.Count} labels, measured on {job.Scored().Count}");
    }

    public void Show(FewShotEvent happened)
    {
        switch (happened)
        {
            case CurveSaid e when json: Json(new { Event = "log", e.Text }); break;
            case CurveSaid e: Line($"{e.Text}"); break;
            case CurveProgress e when json: Json(new { Event = "progress", e.PointsDone, e.PointsTotal, Method = e.Method.Word(), e.K, e.Draw, e.Share, e.SecondsLeft }); break;
            case CurveProgress e when renews:
                output.Write(FormattableString.Invariant($"\r\u001b[K{e.PointsDone}/{e.PointsTotal} points  {e.Method.Name()}, k = {e.K}, draw {e.Draw + 1}  {100 * e.Share:0} %{(e.SecondsLeft is { } left ? $"  {TimeSpan.FromSeconds(left):h\\:mm\\:ss} left" : "")}"));
                break;
            case CurvePointDone e when json: Json(new { Event = "point", Method = e.Point.Method.Word(), e.Point.K, e.Point.Draw, e.Point.Rows, e.Point.Accuracy, e.Point.MacroF1, e.Point.Seconds, e.PointsDone, e.PointsTotal, e.SecondsLeft }); break;
            case CurvePointDone e when !renews: Line($"{e.PointsDone}/{e.PointsTotal} points  {e.Point.Method.Name()}, k = {e.Point.K}, draw {e.Point.Draw + 1}  {metric.Name()} {e.Point[metric]:0.0000}"); break;
        }
    }

    public void End(FewShotCurve curve, double gain)
    {
        var lines = curve.Lines(metric);
        var answers = lines.Select(l => (l.Method, Law: curve.MoreRows(l.Method, metric))).Select(l => (l.Method, l.Law, Answer: l.Law.Answer(gain, metric))).ToList();
        if (json)
        {
            Json(new
            {
                Event = "end", Outcome = curve.Outcome.ToString(), Metric = metric.ToString(), curve.PointsTotal, curve.PoolRows, curve.MeasuredRows,
                Majority = new { Label = curve.MajorityLabel, Value = curve.Majority(metric) },
                Lines = lines.Select(l => new { Method = l.Method.Word(), l.Means }),
                MoreRows = answers.Select(a => new { Method = a.Method.Word(), Gain = gain, Kind = a.Answer.Kind.ToString(), a.Answer.Now, a.Answer.More, a.Answer.Low, a.Answer.High, a.Answer.Sentence, a.Law.Law }),
                curve.Notes,
            });
            return;
        }
        if (lines.Count == 0) return;
        Line($"{metric.Title()} on {curve.MeasuredRows} rows: mean of the draws and 95 % interval (Student's t)");
        var means = lines.SelectMany(l => l.Means.Select(m => (l.Method, Mean: m))).ToList();
        Row("k", "rows", lines.Select(l => l.Method.Name()));
        foreach (var at in means.GroupBy(m => m.Mean.K).OrderBy(g => g.Key))
            Row($"{at.Key}", $"{at.First().Mean.Rows}", lines.Select(l => at.FirstOrDefault(m => m.Method == l.Method).Mean is { } mean ? Cell(mean) : ""));
        Line($"always \"{curve.MajorityLabel}\": {curve.Majority(metric):0.000}");
        foreach (var (method, _, answer) in answers) Line($"{method.Name()}: {answer.Sentence}");
    }

    private void Row(string k, string rows, IEnumerable<string> cells) => output.WriteLine($"{k,6}  {rows,6}  {string.Join("  ", cells.Select(c => $"{c,-21}"))}".TrimEnd());

    private static string Cell(FewShotMean mean) => FormattableString.Invariant($"{mean.Mean:0.000}{(mean.Interval is { } i ? $" ({i.Low:0.000}-{i.High:0.000})" : "")}");

    private void Json(object line) => output.WriteLine(JsonSerializer.Serialize(line, TrainProgress.Format));

    private void Line(FormattableString text) => output.WriteLine((renews ? "\r\u001b[K" : "") + FormattableString.Invariant(text));
}
