using System.Text.Encodings.Web;
using System.Text.Json;
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
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

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
        var (train, held) = (Of(choice.Train), Of(choice.HeldOut));
        return stretch => Unless(stretch, stretch.Resume && folder.HasCheckpoint(run.Id), working =>
        {
            var home = Directory.CreateDirectory(folder.Run(run.Id)).FullName;
            var (learned, heldOut) = Divide(home, run.Id, train, held, choice, recipe.Seed, working.Cancel);
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

    /// The files to learn from and those held out. Where documents are held out of the train texts, both are written anew, once.
    private (IReadOnlyList<string> Train, IReadOnlyList<string> HeldOut) Divide(string home, int runId, IReadOnlyList<PretrainText> train, IReadOnlyList<PretrainText> held, PretrainChoice choice, int seed, CancellationToken cancel)
    {
        IReadOnlyList<string> Paths(IReadOnlyList<PretrainText> texts) => [.. texts.Select(t => Path.Combine(folder.Texts, t.StoredAs))];
        var every = choice.EveryOf(train.Sum(t => t.Documents));
        if (every == 0)
        {
            Count(train.Sum(t => t.Words), held.Sum(t => t.Words));
            return (Paths(train), Paths(held));
        }
        var divided = Path.Combine(home, "divided");
        var (learned, heldOut) = (Path.Combine(divided, "train.jsonl"), Path.Combine(divided, "held-out.jsonl"));
        if (Directory.Exists(divided)) return ([learned], [heldOut]);
        var partial = divided + ".partial";
        if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
        Directory.CreateDirectory(partial);
        var (words, heldWords, number) = (0L, 0L, 0L);
        using (var to = new StreamWriter(Path.Combine(partial, "train.jsonl")) { NewLine = "\n" })
        using (var aside = new StreamWriter(Path.Combine(partial, "held-out.jsonl")) { NewLine = "\n" })
            foreach (var document in TextDocuments.Read(Paths(train)))
            {
                cancel.ThrowIfCancellationRequested();
                var isHeld = number++ % every == seed % every;
                (isHeld ? aside : to).WriteLine(JsonSerializer.Serialize(new { text = document }, Readable));
                if (isHeld) heldWords += PretrainText.WordsOf(document); else words += PretrainText.WordsOf(document);
            }
        Count(words, heldWords);
        Directory.Move(partial, divided);
        return ([learned], [heldOut]);

        void Count(long learns, long holdsOut)
        {
            using var db = databases.CreateDbContext();
            db.PretrainRuns.Where(r => r.Id == runId).ExecuteUpdate(s => s.SetProperty(r => r.TrainWords, learns).SetProperty(r => r.HeldOutWords, holdsOut));
        }
    }

    /// A model that an interrupted stretch has made is taken as it is.
    private static string NewWeights(string home, string family, IReadOnlyList<string> train, PretrainChoice choice, RunRecipe recipe, Stretch stretch)
    {
        var start = Path.Combine(home, "start");
        if (Directory.Exists(start)) return start;
        try
        {
            var tokens = NewModelFolder.Learned(family, start, TextDocuments.Read(train), choice.Vocabulary, PretrainChoice.Shape(choice.Size, recipe.MaxLength), recipe.Seed, stretch.Cancel);
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
        var form = new NewBaseModel { Name = run.Choice.Name, Origin = ModelOrigin.Pretrained, Source = Origin(run, from?.Name, Loss(0), Loss(result.BestStep)) };
        using var scope = scopes.CreateScope();
        var made = scope.ServiceProvider.GetRequiredService<ImportBaseModel>().FromPretraining(run.ProjectId, run.LaunchedById, new(run.Number, from), form, result.BestFolder!, default).GetAwaiter().GetResult();
        return $" “{made.Name}” is a base model of the project now.";
    }

    internal static string Origin(PretrainRun run, string? from, double? before, double? after) =>
        $"Pretrained here on {Say.Count(run.TrainWords ?? 0, "word")} of {(run.TextNames.Length > 200 ? run.TextNames[..200] + "…" : run.TextNames)}, from {(from is null ? "new weights" : $"“{from}”")}; "
        + (before is { } b && after is { } a ? $"held-out loss {Say.Number(b)} before, {Say.Number(a)} after" : "nothing was held out to measure it on");

    internal override BaseModel? Made(StudioDb db, TrainingRun run) => db.BaseModels.AsNoTracking().SingleOrDefault(m => m.ProjectId == run.ProjectId && m.PretrainingNumber == run.Number);

    internal override bool OutlivesErrors(int runId) => folder.HasCheckpoint(runId) || Directory.Exists(Path.Combine(folder.Run(runId), "best"));

    /// The model lies with the base models, or there is none: a pretraining that is over needs no file.
    internal override void Clear(int runId, RunState state)
    {
        if (Directory.Exists(folder.Run(runId))) Directory.Delete(folder.Run(runId), recursive: true);
    }
}
