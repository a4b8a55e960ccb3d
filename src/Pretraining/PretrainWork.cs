using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

/// How the trainer pretrains: the texts are divided and cut into tokens in the run's folder, and the best model becomes a base model of the project.
public sealed class PretrainWork(IDbContextFactory<StudioDb> databases, IServiceScopeFactory scopes, StudioFolder folder) : TrainingKind
{
    internal override string Kind => PretrainRun.Pretraining;

    internal override Func<Stretch, FineTuneResult> Prepare(StudioDb db, TrainingRun training)
    {
        var run = (PretrainRun)training;
        var (choice, recipe) = (run.Choice, RunRecipe.FromJson(run.RecipeJson));
        var from = db.BaseModels.AsNoTracking().SingleOrDefault(m => m.Id == run.FromModelId);
        if (from is not null) Trainer.RequireAsImported(folder, from, "start the pretraining again");
        var family = db.Projects.Where(p => p.Id == run.ProjectId).Select(p => p.Task).Single() == TextTask.Generation ? "gpt2" : "bert";
        var texts = db.PretrainTexts.AsNoTracking().Where(t => t.ProjectId == run.ProjectId).OrderBy(t => t.Id).ToList();
        IReadOnlyList<PretrainText> Of(IReadOnlyList<int> ids) => [.. ids.Order().Select(id => texts.SingleOrDefault(t => t.Id == id) ?? throw new TrainingException("A text of this pretraining is not in the project any more."))];
        var (train, held, locked) = (Of(choice.Train), Of(choice.HeldOut), DividedTexts.Locked(db, run.ProjectId));
        IReadOnlyList<string> Paths(IReadOnlyList<PretrainText> of) => [.. of.Select(t => Path.Combine(folder.Texts, t.StoredAs))];
        return stretch => Unless(stretch, stretch.Resume && folder.HasCheckpoint(run.Id), working =>
        {
            var home = Directory.CreateDirectory(folder.Run(run.Id)).FullName;
            var divided = DividedTexts.Of(home, Paths(train), Paths(held), choice.EveryOf(train.Sum(t => t.Documents)), recipe.Seed, locked, working.Cancel);
            if (divided.LeftOut > 0) working.Report(new LogLine($"{divided.LeftOutSentence}."));
            using (var counted = databases.CreateDbContext())
                counted.PretrainRuns.Where(r => r.Id == run.Id).ExecuteUpdate(s => s.SetProperty(r => r.TrainWords, divided.Words).SetProperty(r => r.HeldOutWords, divided.HeldOutWords));
            IReadOnlyList<string> learned = [DividedTexts.Train(home)], heldOut = divided.HeldOutWords > 0 ? [DividedTexts.HeldOut(home)] : [];
            return Pretrain.Run(new PretrainJob(recipe, from is null ? NewWeights(home, family, learned, choice, recipe, working) : folder.BaseModel(from.StoredAs), learned, heldOut, home, Path.Combine(home, "texts"), choice.Steps) { MeasuresStart = true },
                working.Report, working.Stop, working.Cancel, working.Resume);
        });
    }

    /// Before the first step there is nothing to keep, so whoever stops it then does not wait until large texts are read. One that goes on
    /// from a checkpoint has a model to keep from the beginning: there only who cancels is spared the wait.
    internal static FineTuneResult Unless(Stretch stretch, bool goesOn, Func<Stretch, FineTuneResult> work)
    {
        var stepped = false;
        using var early = CancellationTokenSource.CreateLinkedTokenSource(stretch.Cancel);
        var look = new Timer(_ => { if (!Volatile.Read(ref stepped) && stretch.Stop() is var asked && (asked == StopRequest.Cancel || asked == StopRequest.Stop && !goesOn)) early.Cancel(); }, null, 0, 500);
        try { return work(stretch with { Cancel = early.Token, Report = happened => { if (happened is StepDone) Volatile.Write(ref stepped, true); stretch.Report(happened); } }); }
        catch (OperationCanceledException) when (!stretch.Cancel.IsCancellationRequested && early.IsCancellationRequested)
        {
            return new(stretch.Stop() == StopRequest.Cancel ? FineTuneOutcome.Cancelled : FineTuneOutcome.StoppedByPerson, 0, double.NaN, 0, null);
        }
        // Dispose does not wait for a look under way, which would then cancel a source that is gone and take the server down.
        finally { look.DisposeAsync().AsTask().Wait(); }
    }

    /// A model that an interrupted stretch has made is taken as it is.
    private static string NewWeights(string home, string family, IReadOnlyList<string> train, PretrainChoice choice, RunRecipe recipe, Stretch stretch)
    {
        var start = Path.Combine(home, "start");
        if (Directory.Exists(start)) return start;
        try
        {
            var tokens = NewModelFolder.Learned(family, start, TextDocuments.Read(train, stretch.Cancel), choice.Vocabulary, PretrainChoice.Shape(choice.Size, recipe.MaxLength), recipe.Seed, stretch.Cancel);
            stretch.Report(new LogLine($"Learned a vocabulary of {Say.Count(tokens)} tokens from the train text."));
            return start;
        }
        catch (ArgumentException refused) { throw new TrainingException(refused.Message); }
    }

    internal override string Keep(int runId, FineTuneResult result)
    {
        using var db = databases.CreateDbContext();
        var run = db.PretrainRuns.AsNoTracking().Single(r => r.Id == runId);
        var from = db.BaseModels.AsNoTracking().SingleOrDefault(m => m.Id == run.FromModelId);
        double? Loss(int step) => db.RunEvaluations.AsNoTracking().Where(e => e.RunId == runId && e.Step == step).Select(e => (double?)e.ValidationLoss).SingleOrDefault();
        var (before, after) = (Loss(0), Loss(result.BestStep));
        var form = new NewBaseModel { Name = run.Choice.Name, Origin = OriginOf(from?.Origin, before, after), Source = Source(run, from?.Name, before, after, DividedTexts.Read(folder.Run(runId))?.LeftOutSentence ?? "") };
        using var scope = scopes.CreateScope();
        var made = scope.ServiceProvider.GetRequiredService<ImportBaseModel>().FromPretraining(run.ProjectId, run.LaunchedById, new(run.Number, from), form, result.BestFolder!, default).GetAwaiter().GetResult();
        return $" “{made.Name}” is a base model of the project now.";
    }

    /// What was pretrained before stays it. New weights count as pretrained where held-out text says that they learned, and only there.
    internal static ModelOrigin OriginOf(ModelOrigin? from, double? before, double? after) => from == ModelOrigin.Pretrained || after < before ? ModelOrigin.Pretrained
        : before is not null ? from ?? ModelOrigin.Random : ModelOrigin.Unknown;

    internal static string Source(PretrainRun run, string? from, double? before, double? after, string leftOut) =>
        $"Pretrained here on {Say.Count(run.TrainWords ?? 0, "word")} of {(run.TextNames.Length > 200 ? run.TextNames[..200] + "…" : run.TextNames)}, from {(from is null ? "new weights" : $"“{from}”")}; "
        + (before is { } b && after is { } a ? $"held-out loss {Say.Number(b)} before, {Say.Number(a)} after" : "nothing was held out to measure it on") + (leftOut.Length > 0 ? $"; {leftOut}" : "");

    internal override BaseModel? Made(StudioDb db, TrainingRun run) => db.BaseModels.AsNoTracking().SingleOrDefault(m => m.ProjectId == run.ProjectId && m.PretrainingNumber == run.Number);

    internal override bool OutlivesErrors(int runId) => folder.HasCheckpoint(runId) || Directory.Exists(Path.Combine(folder.Run(runId), "best"));

    /// The model lies with the base models, or there is none: a pretraining that is over needs no file.
    internal override void Clear(int runId, RunState state)
    {
        if (Directory.Exists(folder.Run(runId))) Directory.Delete(folder.Run(runId), recursive: true);
    }
}
