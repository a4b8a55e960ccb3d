using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Checklists;

public sealed record PartCounts(string Name, int Train, int Validation, int Test);

/// What the facts are measured on: one run with all that it rests on, or the newest data where no run rests on it yet.
public sealed class ChecklistSubject
{
    public required Project Project { get; init; }
    public DatasetVersion? Version { get; private set; }
    public Split? Split { get; private set; }
    public Run? Run { get; private set; }
    public BaseModel? BaseModel { get; private set; }
    public RunRecipe? Recipe { get; private set; }
    public IReadOnlyList<LabelCount> Labels { get; private set; } = [];
    public IReadOnlyList<PartCounts> Parts { get; private set; } = [];
    public IReadOnlyList<RunEvaluation> Evaluations { get; private set; } = [];

    /// Labels are of spans: they are counted in spans, and a part's rows by the rarest of their labels.
    public bool HasSpans => Project.Task == TextTask.TokenClassification;

    public int TrainRows => Parts.Sum(p => p.Train);
    public int ValidationRows => Parts.Sum(p => p.Validation);
    public int TestRows => Parts.Sum(p => p.Test);

    /// What always answering the most frequent train label would score: the floor of under-fitting.
    public double MajorityScore(Metric metric)
    {
        // Marking nothing finds no span; how many words it gets right is not among the counts, and no number is better than a wrong one.
        if (metric == Metric.EntityF1) return 0;
        if (metric == Metric.WordAccuracy || Project.Task == TextTask.QuestionAnswering) return double.NaN;
        // A constant answer has no correlation and explains nothing; for several labels 0 is the answer “none of them”.
        if (TrainRows == 0 || Project.Task is not TextTask.SingleLabel) return 0;
        var share = (double)Parts.Max(p => p.Train) / TrainRows;
        return metric == Metric.Accuracy ? share : 2 * share / (1 + share) / Parts.Count;
    }

    internal static async Task<ChecklistSubject> Find(StudioDb db, Project project, int? runNumber, CancellationToken cancel)
    {
        var subject = new ChecklistSubject { Project = project };
        var runs = db.Runs.AsNoTracking().Where(r => r.ProjectId == project.Id);
        var newest = await db.Versions.AsNoTracking().Where(v => v.ProjectId == project.Id).OrderByDescending(v => v.Number).FirstOrDefaultAsync(cancel);
        if (runNumber is { } number) subject.Run = await runs.SingleOrDefaultAsync(r => r.Number == number, cancel);
        else if (newest is not null)
        {
            var onNewest = await runs.Where(r => db.Splits.Any(s => s.Id == r.SplitId && s.VersionId == newest.Id)).OrderByDescending(r => r.Number).Take(100).ToListAsync(cancel);
            subject.Run = onNewest.FirstOrDefault(r => r.HasModel) ?? onNewest.FirstOrDefault();
        }
        subject.Split = subject.Run is { } run
            ? await db.Splits.AsNoTracking().SingleAsync(s => s.Id == run.SplitId, cancel)
            : newest is null ? null : await db.Splits.AsNoTracking().Where(s => s.VersionId == newest.Id).OrderByDescending(s => s.Number).FirstOrDefaultAsync(cancel);
        subject.Version = subject.Split is { } split ? await db.Versions.AsNoTracking().SingleAsync(v => v.Id == split.VersionId, cancel) : newest;
        if (subject.Version is { } version) subject.Labels = LabelCount.FromJson(version.LabelsJson);
        if (subject.Split is not null) subject.Parts = JsonSerializer.Deserialize<List<PartCounts>>(subject.Split.CountsJson) ?? [];
        if (subject.Run is null) return subject;
        subject.BaseModel = await db.BaseModels.AsNoTracking().SingleAsync(b => b.Id == subject.Run.BaseModelId, cancel);
        subject.Recipe = RunRecipe.FromJson(subject.Run.RecipeJson);
        subject.Evaluations = await db.RunEvaluations.AsNoTracking().Where(e => e.RunId == subject.Run.Id).OrderBy(e => e.Step).ToListAsync(cancel);
        return subject;
    }
}
