using System.Collections.Concurrent;
using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Headless;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// Labels are the strata that the split counted its rows by; Names says how many labels or types of spans its version has.
public sealed record SplitChoice(int Number, int Version, int Train, int Validation, int Test, IReadOnlyList<SplitLabel> Labels)
{
    public int Names { get; init; }
}

public sealed record SplitLabel(string Name, int Train, int Validation, int Test);

/// What a run can be made of: the project's frozen splits, its base models, and the recipe of the last run, newest first.
public sealed record RunChoices(IReadOnlyList<SplitChoice> Splits, IReadOnlyList<BaseModel> Models, RunRecipe? LastRecipe, int? LastNumber);

/// How long each train row is in tokens, by split and base model. Both are immutable, so the counting is done once.
public sealed class TokenCounts
{
    /// Places are those of the answers, of a task that finds them in a context.
    internal sealed record Counted(IReadOnlyList<int> Lengths, IReadOnlyList<AnswerPlace>? Places = null);

    private readonly ConcurrentDictionary<(int Split, int Model), Task<Counted>> counted = new();

    internal Task<Counted> Of(int split, int model, Func<Task<Counted>> count)
    {
        var task = counted.GetOrAdd((split, model), _ => Task.Run(count));
        if (task.IsFaulted || task.IsCanceled) counted[(split, model)] = task = Task.Run(count);
        return task;
    }
}

public sealed class PlanRun(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, TokenCounts counts, IConfiguration configuration, TimeProvider clock)
{
    /// A tokenizer's expressions may be slow on purpose: so long all train rows together may take. A million rows need some ten seconds.
    private TimeSpan Patience => TimeSpan.FromSeconds(configuration.GetValue("Runs:CountTokensSeconds", 120.0));

    [Needs(Permission.LaunchRun)]
    public async Task<RunChoices> Choices(string projectId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var splits = await (from s in db.Splits.AsNoTracking() where s.ProjectId == projectId
                            join v in db.Versions on s.VersionId equals v.Id
                            orderby s.Number descending select new { s.Number, Version = v.Number, s.CountsJson, v.LabelsJson }).ToListAsync(cancel);
        var models = await db.BaseModels.AsNoTracking().Where(m => m.ProjectId == projectId).OrderByDescending(m => m.Number).ToListAsync(cancel);
        var last = await db.Runs.AsNoTracking().Where(r => r.ProjectId == projectId).OrderByDescending(r => r.Number).Select(r => new { r.Number, r.RecipeJson }).FirstOrDefaultAsync(cancel);
        return new([.. splits.Select(s => Choice(s.Number, s.Version, s.CountsJson) with { Names = LabelCount.FromJson(s.LabelsJson).Count })], models, last is null ? null : RunRecipe.FromJson(last.RecipeJson), last?.Number);
    }

    /// What the pre-flight needs to know of a split and a base model. Counting tokens takes a moment the first time.
    [Needs(Permission.LaunchRun)]
    public async Task<PreFlightFacts> Facts(string projectId, int split, int model, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.LaunchRun, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await Facts(db, await FindSplit(db, projectId, split, cancel), await FindModel(db, projectId, model, cancel), cancel);
    }

    /// Who stops waiting ends only the waiting: the counting is shared with everybody who asks for the same split and model.
    internal async Task<PreFlightFacts> Facts(StudioDb db, Split split, BaseModel model, CancellationToken cancel = default)
    {
        var choice = Choice(split.Number, 0, split.CountsJson);
        var counted = await counts.Of(split.Id, model.Id, async () =>
        {
            await using var own = await databases.CreateDbContextAsync();
            var rows = await TrainingRows.Read(own, split);
            using var budget = new CancellationTokenSource(Patience, clock);
            try
            {
                var tokenizer = Tokenizer.Load(folder.BaseModel(model.StoredAs));
                if (rows.Task != TextTask.QuestionAnswering) return new TokenCounts.Counted(tokenizer.CountTokens([.. rows.Train.Select(r => r is AnsweredPrompt written ? $"{written.Text}\n{written.Answer}" : r.Text)], budget.Token));
                var (places, lengths) = AnswerPlace.Of([.. rows.Train.Cast<QuestionedText>()], tokenizer, budget.Token);
                return new(lengths, places);
            }
            catch (OperationCanceledException) { throw new ArgumentException($"Counting the tokens of the train rows with the tokenizer of the base model “{model.Name}” took more than {Patience.TotalSeconds:0} seconds and was stopped. Choose another base model, or a split with fewer rows; an administrator can raise Runs:CountTokensSeconds."); }
            catch (Exception e) when (e is IOException or TokenizerFileException) { throw new ArgumentException($"The files of the base model “{model.Name}” cannot be read on the server: {e.Message} Choose another base model, or import this one again.", e); }
        }).WaitAsync(cancel);
        var task = await db.Projects.Where(p => p.Id == split.ProjectId).Select(p => p.Task).SingleAsync();
        // A split counts a row with several labels under its rarest one, so the count of the rarest of all is right.
        return new(choice.Train, choice.Validation, choice.Labels.Count(l => l.Train > 0), counted.Lengths, model.MaxPositions, model.Blocks,
            model.SuggestedLearningRate, model.Origin.ToString().ToLowerInvariant(), [.. choice.Labels.Where(l => task != TextTask.MultiLabel || l.Name != MultiLabelAnswers.NoLabels).Select(l => l.Train)], task)
        {
            AnswerPlaces = counted.Places,
            Bf16Instructions = MachineFacts.HasBf16(MachineFacts.SetsOfProcessor()),
        };
    }

    internal static async Task<Split> FindSplit(StudioDb db, string projectId, int number, CancellationToken cancel) =>
        await db.Splits.AsNoTracking().SingleOrDefaultAsync(s => s.ProjectId == projectId && s.Number == number, cancel)
            ?? throw new ArgumentException($"There is no split {number} in this project; choose one of the frozen splits.");

    internal static async Task<BaseModel> FindModel(StudioDb db, string projectId, int number, CancellationToken cancel) =>
        await db.BaseModels.AsNoTracking().SingleOrDefaultAsync(m => m.ProjectId == projectId && m.Number == number, cancel)
            ?? throw new ArgumentException($"There is no base model {number} in this project; choose one from the catalogue.");

    internal static SplitChoice Choice(int number, int version, string countsJson)
    {
        var labels = JsonSerializer.Deserialize<List<SplitLabel>>(countsJson)!;
        return new(number, version, labels.Sum(l => l.Train), labels.Sum(l => l.Validation), labels.Sum(l => l.Test), labels);
    }
}
