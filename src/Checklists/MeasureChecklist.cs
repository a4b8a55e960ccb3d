using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Checklists;

/// The ten do's and don'ts with the facts that exist by now and the answers people gave.
public sealed class MeasureChecklist(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    [Needs(Permission.ViewProject)]
    public async Task<MeasuredChecklist> Handle(string projectId, int? runNumber = null, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await Measure(db, pass.Project, runNumber, cancel);
    }

    /// The numbers of the runs that have a model, newest first: each can be measured.
    [Needs(Permission.ViewProject)]
    public async Task<IReadOnlyList<int>> Runs(string projectId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return [.. (await db.Runs.AsNoTracking().Where(r => r.ProjectId == projectId).OrderByDescending(r => r.Number).ToListAsync(cancel)).Where(r => r.HasModel).Select(r => r.Number)];
    }

    /// For the report's builder too, which works without a person at the door.
    internal static async Task<MeasuredChecklist> Measure(StudioDb db, Project project, int? runNumber, CancellationToken cancel)
    {
        var subject = await ChecklistSubject.Find(db, project, runNumber, cancel);
        var answers = await (from a in db.ChecklistAnswers.AsNoTracking()
                             where a.ProjectId == project.Id
                             join u in db.Users on a.UserId equals u.Id
                             orderby a.Id descending
                             select new { a.Item, Given = new GivenAnswer(a.Id, a.Verdict, a.Reason, u.DisplayName, a.At) }).ToListAsync(cancel);
        var steps = subject.Run is { } run ? await db.RunSteps.AsNoTracking().Where(s => s.RunId == run.Id).OrderBy(s => s.Step).ToListAsync(cancel) : new List<RunStep>();
        var (experiment, noDefaults) = await RunFacts.Tried(db, subject, cancel);
        var (monitor, notIgnored) = FitVerdict.Facts(subject, steps);
        var facts = new Dictionary<string, IReadOnlyList<Fact>>
        {
            [DosAndDonts.QualityData] = await DataFacts.Quality(db, subject, cancel), [DosAndDonts.NoPoorLabels] = await DataFacts.Balance(db, subject, cancel),
            [DosAndDonts.Validate] = ValidationFacts.Regularly(subject), [DosAndDonts.NoSkippedValidation] = await ValidationFacts.NotSkipped(db, subject, cancel),
            [DosAndDonts.Pretrained] = RunFacts.Pretrained(subject), [DosAndDonts.NoScratch] = RunFacts.NotFromScratch(subject),
            [DosAndDonts.Experiment] = experiment, [DosAndDonts.NoDefaults] = noDefaults, [DosAndDonts.Monitor] = monitor, [DosAndDonts.NoIgnoredFit] = notIgnored,
        };
        return new(subject.Version?.Number, subject.Split?.Number, subject.Run?.Number,
            [.. DosAndDonts.All.Select(i => new ChecklistLine(i.Key, i.IsDo, i.Title, facts[i.Key], [.. answers.Where(a => a.Item == i.Key).Select(a => a.Given)]))]);
    }
}
