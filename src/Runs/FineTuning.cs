using FineTuneStudio.Engine.Training;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// How the trainer trains a run on the rows of a split.
public sealed class FineTuning(IDbContextFactory<StudioDb> databases, StudioFolder folder, TimeProvider clock, ILogger<FineTuning> log) : TrainingKind
{
    internal override string Kind => Run.Runs;

    internal override Func<Stretch, FineTuneResult> Prepare(StudioDb db, TrainingRun training)
    {
        var run = (Run)training;
        var split = db.Splits.AsNoTracking().Single(s => s.Id == run.SplitId);
        var model = db.BaseModels.AsNoTracking().Single(m => m.Id == run.BaseModelId);
        var rows = TrainingRows.Read(db, split).GetAwaiter().GetResult();
        Trainer.RequireAsImported(folder, model, "launch a run from it");
        var job = new FineTuneJob(RunRecipe.FromJson(run.RecipeJson), folder.BaseModel(model.StoredAs), rows.Labels, rows.Train, rows.Validation, folder.Run(run.Id), rows.Task);
        return stretch =>
        {
            ProbeBackbone.For(stretch.RunId, job, databases, stretch.Stop, clock, log, stretch.Cancel);
            return FineTune.Run(job, stretch.Report, stretch.Stop, stretch.Cancel, stretch.Resume);
        };
    }

    /// The optimizer's state is of no use any more; the best checkpoint is all that stays.
    internal override void Clear(int runId, RunState state)
    {
        if (state == RunState.Failed) return;
        var gone = state == RunState.Cancelled ? folder.Run(runId) : Path.Combine(folder.Run(runId), "last");
        if (Directory.Exists(gone)) Directory.Delete(gone, recursive: true);
    }
}
