using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Models;

/// What a language model answers to one prompt, told while it is written.
public sealed class TryPrompt(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, LoadedModel model)
{
    public const int LongestPrompt = 20_000, MostNewTokens = 1024;

    /// A temperature of 0 takes the likeliest token each time.
    public sealed record Question(string Prompt, double Temperature, double TopP, int NewTokens);

    /// Said is told the whole answer so far; it is called on another thread.
    [Needs(Permission.UseModel)]
    public async Task<WrittenAnswer> Handle(string projectId, int runNumber, Question question, Action<string>? said = null, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        if (Fault(question) is { } fault) throw new ModelRefused(fault);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var run = await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == pass.Project.Id && r.Number == runNumber, cancel);
        if (run is not { HasModel: true } || !File.Exists(ReportBuilder.Weights(folder, run.Id))) throw new ModelRefused($"Run {runNumber} has no model on this server.");
        if (pass.Project.Task != TextTask.Generation) throw new ModelRefused("The models of this project judge texts; they do not write.");
        var recipe = RunRecipe.FromJson(run.RecipeJson);
        var options = new GenerationOptions
        {
            MaxNewTokens = question.NewTokens, Sample = question.Temperature > 0, Temperature = question.Temperature > 0 ? question.Temperature : 1, TopP = question.TopP, Seed = 1,
        };
        try { return await model.Use(ReportBuilder.Best(folder, run.Id), path => TextGenerator.Load(path, recipe.PromptFormat), generator => generator.Answer(question.Prompt.Trim(), options, recipe.MaxLength, said, cancel), cancel); }
        // What a model of broken weights says; its sentence is for the person.
        catch (InvalidOperationException broken) when (broken is not ObjectDisposedException) { throw new ModelRefused(broken.Message); }
    }

    private static string? Fault(Question question) =>
        string.IsNullOrWhiteSpace(question.Prompt) ? "There is no prompt yet; type one."
        : question.Prompt.Length > LongestPrompt ? $"The prompt has {question.Prompt.Length:N0} characters; at most {LongestPrompt:N0} are taken here."
        : !(question.Temperature is >= 0 and <= 5) ? FormattableString.Invariant($"The temperature is {question.Temperature}; give it 0 (always the likeliest word) to 5.")
        : !(question.TopP is > 0 and <= 1) ? FormattableString.Invariant($"Top-p is {question.TopP}; give it more than 0, and at most 1 (all words).")
        : question.NewTokens is < 1 or > MostNewTokens ? $"The longest answer is {question.NewTokens} tokens; give it 1 to {MostNewTokens:N0}." : null;
}
