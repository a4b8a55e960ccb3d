using System.Text.Json;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.FewShot;

/// Measures queued curves, one at a time and never while a run trains, on a thread of its own. A curve that was under way when the server
/// stopped, however it stopped, goes on by itself from its finished points, if one was finished since it last began.
public sealed class CurveTrainer(IDbContextFactory<StudioDb> databases, StudioFolder folder, CurveSignals signals, TrainerSignals machine,
    TimeProvider clock, ProjectNews news, ILogger<CurveTrainer> log) : BackgroundService
{
    internal const string NoPointSince = "The server stopped amid a point, and none was finished since the curve last began, so it does not go on by itself: a point may need more memory than there is.";

    /// False while the table may say of a curve that it is measured although no thread does.
    private bool swept;

    protected override Task ExecuteAsync(CancellationToken stopping)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => { try { Work(stopping); } finally { done.SetResult(); } }) { IsBackground = true, Name = "learning curves" }.Start();
        return done.Task;
    }

    private void Work(CancellationToken stopping)
    {
        Trainer.PagesGoFirst();
        while (!stopping.IsCancellationRequested)
            try
            {
                if (!swept) Sweep();
                int? next;
                using (var db = databases.CreateDbContext())
                    next = db.LearningCurves.Where(c => c.State == CurveState.Queued).OrderBy(c => c.QueuedAt).ThenBy(c => c.Id).Select(c => (int?)c.Id).FirstOrDefault();
                if (next is not { } id) { signals.WaitForWork(stopping); continue; }
                using var taken = machine.TakeToTrain(stopping, curve: true);
                swept = false;
                Measure(id, stopping);
                swept = true;
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested) { }
            catch (Exception e)
            {
                log.LogError(e, "The next learning curve could not be measured");
                stopping.WaitHandle.WaitOne(TimeSpan.FromSeconds(5));
            }
    }

    private void Sweep()
    {
        using var db = databases.CreateDbContext();
        foreach (var curve in db.LearningCurves.Where(c => c.State == CurveState.Running).ToList())
            // A point that takes the server down with it, by its memory for example, must not do so again at each start.
            if (ShowCurve.Read(folder, curve).Curve.Points.Count > curve.PointsDone) curve.Requeue();
            else
            {
                curve.End(CurveState.Failed, clock.GetUtcNow().UtcDateTime, NoPointSince);
                Say(db, curve, $"failed: {NoPointSince}");
            }
        db.SaveChanges();
        swept = true;
    }

    private void Measure(int id, CancellationToken stopping)
    {
        FewShotJob job;
        using (var db = databases.CreateDbContext())
        {
            var curve = db.LearningCurves.Single(c => c.Id == id);
            // Stopped while it waited for the machine.
            if (curve.State != CurveState.Queued) return;
            if (curve.StopAsked) signals.AskStop(id); else signals.ForgetStop(id);
            curve.Start(clock.GetUtcNow().UtcDateTime);
            curve.PointsDone = ShowCurve.Read(folder, curve).Curve.Points.Count;
            try { db.SaveChanges(); } catch (DbUpdateConcurrencyException) { return; }
            news.Tell(curve.ProjectId);
            try
            {
                var split = db.Splits.AsNoTracking().Single(s => s.Id == curve.SplitId);
                var model = db.BaseModels.AsNoTracking().Single(m => m.Id == curve.BaseModelId);
                Trainer.RequireAsImported(folder, model, "start a curve from it");
                job = StartCurve.Job(curve.Settings, folder.BaseModel(model.StoredAs), TrainingRows.Read(db, split).GetAwaiter().GetResult(), folder.Curve(id));
            }
            catch (Exception e) { Fail(id, e, stopping); return; }
        }
        try
        {
            var result = LearningCurve.Run(job, happened => { if (happened is CurveProgress at) signals.Stand(id, at); }, () => signals.StopAsked(id) ? StopRequest.Stop : StopRequest.None, stopping, resume: true);
            var finished = result.Outcome == FewShotOutcome.Finished;
            End(id, finished ? $"is measured: {result.Points.Count} points" : $"was stopped after {result.Points.Count} of {result.PointsTotal} points", curve =>
            {
                (curve.PointsDone, curve.PointsTotal, curve.NotesJson) = (result.Points.Count, result.PointsTotal, JsonSerializer.Serialize(result.Notes));
                curve.End(finished ? CurveState.Finished : CurveState.Stopped, clock.GetUtcNow().UtcDateTime);
            }, stopping);
        }
        catch (Exception) when (stopping.IsCancellationRequested) { WaitForStart(id); }
        catch (Exception e) { Fail(id, e, stopping); }
        finally { signals.Stand(id, null); }
    }

    /// The server goes down in order, so the curve goes on at its next start.
    private void WaitForStart(int id)
    {
        try
        {
            using var db = databases.CreateDbContext();
            db.LearningCurves.Single(c => c.Id == id).Requeue();
            db.SaveChanges();
        }
        // Then it is found as one that was cut off.
        catch (Exception e) { log.LogWarning(e, "Learning curve {Id} could not be queued again", id); }
    }

    private void Fail(int id, Exception e, CancellationToken stopping)
    {
        var plain = e is TrainingException or WeightFileException or TokenizerFileException or FormatException;
        if (!plain) log.LogError(e, "Learning curve {Id} failed", id);
        var sentence = plain ? e.Message : $"The curve stopped on an error that nobody foresaw: {e.Message.ReplaceLineEndings(" ")}";
        End(id, $"failed: {sentence}", curve => curve.End(CurveState.Failed, clock.GetUtcNow().UtcDateTime, sentence), stopping);
    }

    /// Tries until it is written; only a stop of the server ends that, and the next start then goes on with the curve.
    private void End(int id, string said, Action<LearningCurveRun> change, CancellationToken stopping)
    {
        DatabaseWaits.Insist(() => { Write(); return Task.CompletedTask; }, log, $"the end of learning curve {id}: {said}", stopping).GetAwaiter().GetResult();

        void Write()
        {
            using var db = databases.CreateDbContext();
            var curve = db.LearningCurves.Single(c => c.Id == id);
            change(curve);
            Say(db, curve, said);
            db.SaveChanges();
        }
    }

    private void Say(StudioDb db, LearningCurveRun curve, string said) =>
        db.Events.Add(new ProjectEvent { ProjectId = curve.ProjectId, UserId = curve.StartedById, At = clock.GetUtcNow().UtcDateTime, Text = $"learning curve {curve.Number} {said}", Href = $"/p/{curve.ProjectId}/few-shot/{curve.Number}" });
}
