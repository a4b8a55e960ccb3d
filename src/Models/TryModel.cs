using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Models;

/// What a model of labels answers for one text.
public sealed class TryModel(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, LoadedModel model)
{
    public const int LongestText = 20_000;

    public sealed record Answer(string Label, double Probability);

    /// With the lowest and highest value of the rows it was trained on.
    public sealed record Valued(double Value, double Low, double High);

    /// What a model of numbers answers for a text or a pair.
    [Needs(Permission.UseModel)]
    public async Task<Valued> Number(string projectId, int runNumber, string text, string? second = null, CancellationToken cancel = default)
    {
        var value = (await Handle(projectId, runNumber, string.IsNullOrWhiteSpace(second) ? text : TextPair.Join(text.Trim(), second.Trim()), cancel))[0].Probability;
        await using var db = await databases.CreateDbContextAsync(cancel);
        var seen = await (from r in db.Runs where r.ProjectId == projectId && r.Number == runNumber
                          join s in db.Splits on r.SplitId equals s.Id
                          join p in db.SplitRows on s.Id equals p.SplitId
                          join v in db.VersionRows on new { s.VersionId, p.RowId } equals new { v.VersionId, v.RowId }
                          where p.Part == SplitPart.Train && v.Label != null
                          select v.Label!).ToListAsync(cancel);
        var values = seen.Select(NumberAnswers.Value).ToList();
        return new(value, values.Min(), values.Max());
    }

    /// Every label with its probability, most likely first.
    [Needs(Permission.UseModel)]
    public async Task<IReadOnlyList<Answer>> Handle(string projectId, int runNumber, string text, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        if (string.IsNullOrWhiteSpace(text)) throw new ModelRefused("There is no text yet; type one.");
        if (text.Length > LongestText) throw new ModelRefused($"The text has {text.Length:N0} characters; at most {LongestText:N0} are taken here.");
        await using var db = await databases.CreateDbContextAsync(cancel);
        var run = await db.Runs.AsNoTracking().SingleOrDefaultAsync(r => r.ProjectId == pass.Project.Id && r.Number == runNumber, cancel);
        if (run is not { HasModel: true } || !File.Exists(ReportBuilder.Weights(folder, run.Id))) throw new ModelRefused($"Run {runNumber} has no model on this server.");
        var maxLength = RunRecipe.FromJson(run.RecipeJson).MaxLength;
        return await model.Use(ReportBuilder.Best(folder, run.Id), TextClassifier.Load, classifier =>
        {
            var probabilities = classifier.Predict([text], maxLength)[0];
            return classifier.Labels.Select((label, i) => new Answer(label, probabilities[i])).OrderByDescending(a => a.Probability).ToList();
        }, cancel);
    }
}
