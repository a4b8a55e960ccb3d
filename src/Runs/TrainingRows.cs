using System.Text.Json;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// The rows a run may see: train and validation. There is no way to ask it for the test part.
internal sealed record TrainingRows(TextTask Task, IReadOnlyList<string> Labels, IReadOnlyList<TrainingExample> Train, IReadOnlyList<TrainingExample> Validation)
{
    public static async Task<TrainingRows> Read(StudioDb db, Split split, CancellationToken cancel = default)
    {
        var task = await db.Projects.Where(p => p.Id == split.ProjectId).Select(p => p.Task).SingleAsync(cancel);
        var (answers, labels) = (Answers.Of(task), await LabelsOf(db, split, cancel));
        var index = labels.Select((name, i) => (name, i)).ToDictionary(l => l.name, l => l.i);
        var rows = await (from s in db.SplitRows.AsNoTracking()
                          where s.SplitId == split.Id && s.Part != SplitPart.Test
                          join v in db.VersionRows on new { VersionId = split.VersionId, s.RowId } equals new { v.VersionId, v.RowId }
                          join r in db.Rows on s.RowId equals r.Id
                          orderby v.Position
                          select new { s.Part, s.RowId, v.Label, r.Text }).ToListAsync(cancel);
        var read = rows.Where(r => r.Label is not null).Select(r => (r.Part, Row: answers.Example(r.RowId, r.Text, r.Label!, index))).ToList();
        return new(task, labels, [.. read.Where(r => r.Part == SplitPart.Train).Select(r => r.Row)], [.. read.Where(r => r.Part == SplitPart.Validation).Select(r => r.Row)]);
    }

    /// The version's labels in ordinal order; a label's index is its class.
    public static async Task<IReadOnlyList<string>> LabelsOf(StudioDb db, Split split, CancellationToken cancel = default)
    {
        var json = await db.Versions.Where(v => v.Id == split.VersionId).Select(v => v.LabelsJson).SingleAsync(cancel);
        return [.. JsonDocument.Parse(json).RootElement.EnumerateArray().Select(l => l.GetProperty("Name").GetString()!)];
    }
}
