using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

/// What a pretraining can be made of. Unfit: sentences on base models that cannot be pretrained.
public sealed record PretrainChoices(IReadOnlyList<PretrainText> Texts, IReadOnlyList<BaseModel> Models, IReadOnlyList<string> Unfit);

public sealed class PlanPretraining(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, IConfiguration configuration)
{
    /// Usual settings: those of the engine for weights that know nothing; a pretrained model moves more slowly, as in Gururangan et al. 2020.
    public static RunRecipe Standard(BaseModel? from) => Pretrain.DefaultRecipe with
    {
        Metric = Metric.Perplexity, Precision = Precision.Float32,
        LearningRate = from is null or { Origin: ModelOrigin.Random } ? Pretrain.DefaultRecipe.LearningRate : 1e-4, MaxLength = Math.Min(Pretrain.DefaultRecipe.MaxLength, from?.MaxPositions ?? int.MaxValue),
    };

    [Needs(Permission.LaunchRun)]
    public async Task<PretrainChoices> Choices(string projectId, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var texts = await db.PretrainTexts.AsNoTracking().Where(t => t.ProjectId == projectId).OrderBy(t => t.Id).ToListAsync(cancel);
        var models = await db.BaseModels.AsNoTracking().Where(m => m.ProjectId == projectId).OrderByDescending(m => m.Number).ToListAsync(cancel);
        var unfit = models.Select(m => (Model: m, Why: WhyNot(m, pass.Project.Task))).Where(m => m.Why is not null).ToDictionary(m => m.Model, m => m.Why!);
        return new(texts, [.. models.Where(m => !unfit.ContainsKey(m))], [.. unfit.Values]);
    }

    /// Why a base model cannot be pretrained in a project of a task; null where it can.
    internal string? WhyNot(BaseModel model, TextTask task)
    {
        if (model.WhyNotFor(task) is { } unfit) return unfit;
        try { return model.IsLanguageModel() || ModelFolder.ModelType(folder.BaseModel(model.StoredAs)) == "bert" ? null : $"“{model.Name}” ({model.Architecture}) cannot be pretrained here; of encoders, BERT can."; }
        catch (WeightFileException broken) { return $"The files of “{model.Name}” cannot be read: {broken.Message}"; }
    }

    /// Sentences on what stands against a choice; none where it can be started.
    public static IReadOnlyList<string> Problems(PretrainChoice choice, RunRecipe recipe, BaseModel? from, IReadOnlyList<PretrainText> texts)
    {
        var problems = new List<string>(recipe.Validate());
        if (choice.Name.Trim().Length is < 2 or > 80) problems.Add($"The name has {choice.Name.Trim().Length} characters; give the model that is made 2 to 80.");
        if (choice.Train.Count == 0) problems.Add("No text is chosen to learn from; upload one, or set one to “learn from”.");
        if (choice.Train.Concat(choice.HeldOut).FirstOrDefault(id => texts.All(t => t.Id != id)) is not 0) problems.Add("One of the texts is not in the project any more; load the page again.");
        if (choice.Train.Intersect(choice.HeldOut).Any()) problems.Add("A text is both learned from and held out; a model must be measured on text that it did not learn from.");
        if (choice.Share is < 0 or > 0.5 || !double.IsFinite(choice.Share)) problems.Add("Held out are 0 to 50 % of the documents.");
        if ((choice.Share > 0 || choice.HeldOut.Count > 0) && recipe.EvaluationsPerEpoch == 0) problems.Add("Evaluations per epoch is 0, so nothing would be measured on what is held out; set it to 1 or more, or hold nothing out.");
        if (MixedPrecision.Problem(recipe) is { } unsupported) problems.Add(unsupported);
        if (choice.Steps is < 1 or > 10_000_000) problems.Add($"The number of steps is {choice.Steps}; expected 1 to 10,000,000, or nothing.");
        if (choice.Model is null && choice.Vocabulary is < 300 or > 100_000) problems.Add($"The vocabulary has {choice.Vocabulary} tokens; expected 300 to 100,000.");
        if (from is not null && recipe.MaxLength > from.MaxPositions) problems.Add($"Max length is {recipe.MaxLength} tokens but the base model has only {from.MaxPositions} positions; set it to {from.MaxPositions} or less.");
        if (from is null && recipe.MaxLength < 16) problems.Add("A model with new weights reads 16 tokens at the least; set max length to 16 or more.");
        if (problems.Count > 0) return problems;

        var (train, held) = (texts.Where(t => choice.Train.Contains(t.Id)).ToList(), texts.Where(t => choice.HeldOut.Contains(t.Id)).ToList());
        var (words, documents) = (train.Sum(t => t.Words), train.Sum(t => t.Documents));
        var every = choice.EveryOf(documents);
        if (every == 1) problems.Add("The train text is one document, so none can be held out of it: in .txt files a blank line ends a document. Upload a text to hold out, or set the held-out share to 0.");
        else
        {
            var heldWords = held.Count > 0 ? held.Sum(t => t.Words) : every == 0 ? 0 : words / every;
            if (words - (held.Count > 0 ? 0 : heldWords) is var left && left < recipe.MaxLength) problems.Add($"About {Say.Count(left, "word")} are learned from, which is less than one block of {recipe.MaxLength} tokens; upload more text, or set max length to fewer.");
            else if ((held.Count > 0 || every > 0) && heldWords < recipe.MaxLength) problems.Add($"About {Say.Count(heldWords, "word")} are held out, which is less than one block of {recipe.MaxLength} tokens; hold out more, or set max length to fewer.");
        }
        return problems;
    }

    /// A sentence where the disk has too little room: for the text as token ids and, where it is divided, once more unfolded, and for the best model,
    /// the last checkpoint (weights and two moments) and another that is being written or copied to the base models.
    internal string? NoRoom(PretrainChoice choice, RunRecipe recipe, BaseModel? from, IReadOnlyList<PretrainText> texts)
    {
        static long Unfolded(PretrainText text) => text.StoredAs.EndsWith(".xz", StringComparison.Ordinal) ? Math.Max(4 * text.Bytes, 7 * text.Words) : text.Bytes;
        var train = texts.Where(t => choice.Train.Contains(t.Id)).ToList();
        var shape = PretrainChoice.Shape(choice.Size, recipe.MaxLength);
        var parameters = from?.Parameters ?? (choice.Vocabulary + shape.Positions) * (long)shape.HiddenSize + 12L * shape.Layers * shape.HiddenSize * shape.HiddenSize;
        var needs = texts.Where(t => choice.Train.Concat(choice.HeldOut).Contains(t.Id)).Sum(Unfolded) + (choice.EveryOf(train.Sum(t => t.Documents)) > 0 ? train.Sum(Unfolded) : 0) + 32 * parameters;
        var (free, keep) = (new DriveInfo(folder.Root).AvailableFreeSpace, configuration.GetValue("Pretraining:KeepFree", 256L << 20));
        return needs + keep <= free ? null
            : $"The server's disk has {Say.Bytes(free)} free; this pretraining needs about {Say.Bytes(needs)} for its text and its checkpoints, and {Say.Bytes(keep)} must stay free. Make room on the server first, or take less text or a smaller model.";
    }
}
