using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.BaseModels;

/// The base models that come with the app: every project has those whose folder is in BaseModels:StartersFolder and that can be trained for its task,
/// from its beginning or from the next start of the server on. Each is kept once in the data folder, under the hash of its weights, so that
/// what was trained from an older one stays true when the app brings a newer.
public sealed class Starters(IDbContextFactory<StudioDb> databases, ProjectBeginnings beginnings, StudioFolder folder, IConfiguration configuration, TimeProvider clock, ILogger<Starters> log) : BackgroundService
{
    private const string Source = "Comes with FineTuneStudio: trained by its own engine on openly licensed text", Card = "README.md";

    /// Folder, name, and the learning rate at which all of it fine-tunes well, where that was measured: small models bear more than the usual.
    private static readonly (string Folder, string Name, double? LearningRate)[] Known = [("encoder", "Starter encoder", 5e-4), ("gpt", "Starter GPT", null)];

    private sealed record Starter(string Name, double? LearningRate, string StoredAs, ModelFacts Facts);

    private IReadOnlyList<Starter> here = [];

    /// They are here before the first request is.
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Task.Run(() => here = [.. Known.Select(k => Keep(k.Folder, k.Name, k.LearningRate)).OfType<Starter>()], cancellationToken);
            beginnings.Add((db, project) => db.BaseModels.AddRange(MissingIn(project, [])));
        }
        // Whatever keeps them away, the pages that can mend it are served.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { log.LogWarning(e, "The models that come with the app could not be copied into the data folder; the next start of the server tries it again"); }
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (here.Count > 0) await DatabaseWaits.Insist(() => OfferToAll(stoppingToken), log, "giving the models that come with the app to the projects", stoppingToken);
    }

    /// Copies it where runs read base models from; null where the app has none in that folder.
    private Starter? Keep(string name, string title, double? learningRate)
    {
        var from = Path.Combine(folder.ContentRoot, configuration["BaseModels:StartersFolder"] ?? "starters", name);
        if (!Directory.Exists(from) || !ModelWeights.Exist(from)) return null;
        var facts = ModelFolder.Inspect(from);
        if (!facts.CanTrain)
        {
            log.LogError("The model in {Folder} that comes with the app is broken and not offered: {Why}", from, facts.WhyNot);
            return null;
        }
        var starter = new Starter(title, learningRate, $"starter-{name}-{facts.Sha256[..16]}", facts);
        var to = folder.BaseModel(starter.StoredAs);
        if (!Directory.Exists(to))
        {
            var staging = Path.Combine(folder.Uploads, Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(staging);
            try
            {
                foreach (var file in ModelFiles.Taken([.. facts.Files])) File.Copy(Path.Combine(from, file), Path.Combine(staging, file));
                Directory.Move(staging, to);
            }
            finally { if (Directory.Exists(staging)) Directory.Delete(staging, recursive: true); }
        }
        // A card may be corrected while the weights stay.
        else if (File.Exists(Path.Combine(from, Card))) File.Copy(Path.Combine(from, Card), Path.Combine(to, Card), overwrite: true);
        return starter;
    }

    private async Task OfferToAll(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var all = await db.Database.BeginTransactionAsync(cancel);
        var models = (await db.BaseModels.AsNoTracking().ToListAsync(cancel)).ToLookup(m => m.ProjectId);
        foreach (var project in await db.Projects.AsNoTracking().ToListAsync(cancel)) db.BaseModels.AddRange(MissingIn(project, [.. models[project.Id]]));
        await db.SaveChangesAsync(cancel);
        await all.CommitAsync(cancel);
    }

    private IEnumerable<BaseModel> MissingIn(Project project, IReadOnlyList<BaseModel> models)
    {
        var number = models.Select(m => m.Number).DefaultIfEmpty(0).Max();
        foreach (var (name, rate, stored, facts) in here.Where(s => s.Facts.IsLanguageModel == (project.Task == TextTask.Generation) && !models.Any(m => m.StoredAs == s.StoredAs)))
            yield return new()
            {
                ProjectId = project.Id, Number = ++number, Name = name, StoredAs = stored, Source = Source, Origin = ModelOrigin.Pretrained, IsStarter = true, SuggestedLearningRate = rate,
                Architecture = facts.Architecture, Parameters = facts.Parameters, VocabularySize = facts.VocabularySize, HiddenSize = facts.HiddenSize, Blocks = facts.Layers, MaxPositions = facts.MaxPositions,
                License = facts.License, WeightsHash = facts.Sha256, CanTrain = true, CreatedById = project.CreatedById, CreatedAt = clock.GetUtcNow().UtcDateTime,
            };
    }
}
