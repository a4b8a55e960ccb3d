using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Models;

/// What a model finds in a context as the answer to a question.
public sealed class TryAnswer(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, LoadedModel model)
{
    public const int LongestQuestion = 2_000;

    /// The context is the text as it was asked, without blanks around it, so that the answer's place in it is known.
    [Needs(Permission.UseModel)]
    public async Task<FoundAnswer> Handle(string projectId, int runNumber, string question, string context, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        if (string.IsNullOrWhiteSpace(question)) throw new ModelRefused("There is no question yet; type one.");
        if (string.IsNullOrWhiteSpace(context)) throw new ModelRefused("There is no context yet; paste the text that may hold the answer.");
        if (question.Length > LongestQuestion) throw new ModelRefused($"The question has {question.Length:N0} characters; at most {LongestQuestion:N0} are taken here.");
        if (context.Length > TryModel.LongestText) throw new ModelRefused($"The context has {context.Length:N0} characters; at most {TryModel.LongestText:N0} are taken here.");
        if (question.Contains(TextPair.Sign, StringComparison.Ordinal)) throw new ModelRefused($"The question holds “{TextPair.Sign.Trim()}”, which stands between question and context here; take it out.");
        await using var db = await databases.CreateDbContextAsync(cancel);
        var run = await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == pass.Project.Id && r.Number == runNumber, cancel);
        if (pass.Project.Task != TextTask.QuestionAnswering || run is not { HasModel: true } || !File.Exists(ReportBuilder.Weights(folder, run.Id))) throw new ModelRefused($"Run {runNumber} has no model on this server.");
        var maxLength = RunRecipe.FromJson(run.RecipeJson).MaxLength;
        return await model.Use(ReportBuilder.Best(folder, run.Id), AnswerFinder.Load, finder => finder.Predict([TextPair.Join(question.Trim(), context)], maxLength)[0], cancel);
    }
}
