using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Splits;

public sealed class SplitForm
{
    public int VersionNumber { get; set; }
    /// Shares in per cent; the three add up to 100.
    public int Train { get; set; } = 80;
    public int Validation { get; set; } = 10;
    public int Test { get; set; } = 10;
    public int Seed { get; set; } = 42;

    public IReadOnlyList<string> Faults()
    {
        var faults = new List<string>();
        foreach (var (name, share) in new[] { ("training", Train), ("validation", Validation), ("test", Test) })
            if (share is < 1 or > 98) faults.Add($"The {name} share is {share} %; give every part 1 to 98 %, so that none is empty.");
        if (Train + Validation + Test != 100) faults.Add($"The shares add up to {Train + Validation + Test} %; they must make 100 %.");
        if (Seed < 0) faults.Add($"The seed is {Seed}; take a whole number from 0 to {int.MaxValue}.");
        return faults;
    }
}

/// A label's rows in each part; the JSON of Split.CountsJson is a list of these, ordered by name.
public sealed record LabelParts(string Name, int Train, int Validation, int Test)
{
    public int Total => Train + Validation + Test;
}

/// Shows what a split would be, before it is frozen.
public sealed class PreviewSplit(IDbContextFactory<StudioDb> databases, ProjectAccess access)
{
    /// A version that can be split; newest first.
    public sealed record Choice(int Number, string Note, int RowCount, int LabeledCount, DateTime CreatedAt);

    /// Refusal says why this cannot be split at all; Warnings what a person should know before freezing.
    public sealed record Result(int VersionNumber, IReadOnlyList<LabelParts> Labels, string? Refusal, IReadOnlyList<string> Warnings, int Unlabelled, int KeptTogether, int SharingPart, string Hash)
    {
        /// Rows whose text occurs with more than one label.
        public int Conflicting { get; init; }
    }

    // A version never changes, so the rows read for one preview serve the next one of the same page.
    private (int VersionId, LabelledRows Rows)? read;

    [Needs(Permission.MakeSplit)]
    public async Task<IReadOnlyList<Choice>> Versions(string projectId, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.MakeSplit, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await db.Versions.AsNoTracking().Where(v => v.ProjectId == projectId).OrderByDescending(v => v.Number)
            .Select(v => new Choice(v.Number, v.Note, v.RowCount, v.LabeledCount, v.CreatedAt)).ToListAsync(cancel);
    }

    [Needs(Permission.MakeSplit)]
    public async Task<Result> Handle(string projectId, SplitForm form, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.MakeSplit, cancel);
        if (form.Faults() is { Count: > 0 } faults) throw new ArgumentException(string.Join(" ", faults));
        await using var db = await databases.CreateDbContextAsync(cancel);
        var version = await db.Versions.AsNoTracking().SingleOrDefaultAsync(v => v.ProjectId == projectId && v.Number == form.VersionNumber, cancel)
            ?? throw new ArgumentException(NoVersion(form));
        if (read?.VersionId != version.Id) read = (version.Id, await Task.Run(() => LabelledRows.Read(db, version.Id, Answers.Of(pass.Project.Task), cancel), cancel));
        return SplitPlan.Make(version, read.Value.Rows, await LabelledRows.Locked(db, projectId, cancel), form).Shown;
    }

    internal static string NoVersion(SplitForm form) => $"There is no version {form.VersionNumber} in this project; choose one from the list.";
}
