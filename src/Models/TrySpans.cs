using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Models;

/// What a model of spans marks in one text.
public sealed class TrySpans(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, LoadedModel model)
{
    /// UTF-16 offsets, the end exclusive. Probability is the mean over the words of the span.
    public sealed record Found(int Start, int End, string Label, double Probability);

    [Needs(Permission.UseModel)]
    public async Task<IReadOnlyList<Found>> Handle(string projectId, int runNumber, string text, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        if (string.IsNullOrWhiteSpace(text)) throw new ModelRefused("There is no text yet; type one.");
        if (text.Length > TryModel.LongestText) throw new ModelRefused($"The text has {text.Length:N0} characters; at most {TryModel.LongestText:N0} are taken here.");
        await using var db = await databases.CreateDbContextAsync(cancel);
        var run = await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == pass.Project.Id && r.Number == runNumber, cancel);
        if (pass.Project.Task != TextTask.TokenClassification || run is not { HasModel: true } || !File.Exists(ReportBuilder.Weights(folder, run.Id))) throw new ModelRefused($"Run {runNumber} has no model on this server.");
        var maxLength = RunRecipe.FromJson(run.RecipeJson).MaxLength;
        return await model.Use(ReportBuilder.Best(folder, run.Id), SpanTagger.Load, tagger =>
            tagger.Predict([text], maxLength)[0].Select(f => new Found(f.Span.Start, f.Span.End, tagger.Types[f.Span.Label], f.Probability)).ToList(), cancel);
    }
}
