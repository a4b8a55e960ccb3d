using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

public sealed class RemoveText(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, TimeProvider clock)
{
    /// Takes a text from the project and from the disk. What was pretrained on it stays, and still names it.
    [Needs(Permission.UploadData)]
    public async Task Handle(string projectId, int text, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UploadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        // A start takes the same lock, so that none can come between what is looked up here and the removal.
        await using var all = await db.Database.BeginTransactionAsync(cancel);
        var found = await db.PretrainTexts.SingleOrDefaultAsync(t => t.ProjectId == projectId && t.Id == text, cancel) ?? throw new ArgumentException("This project has no such text any more; load the page again.");
        var waiting = await db.PretrainRuns.AsNoTracking().Where(r => r.ProjectId == projectId && (r.State == RunState.Queued || r.State == RunState.Running || r.State == RunState.Interrupted)).ToListAsync(cancel);
        if (waiting.FirstOrDefault(r => r.Choice.Train.Concat(r.Choice.HeldOut).Contains(text)) is { } reads) throw new ArgumentException($"{Ui.Say.Capital(reads.Called)} still reads “{found.Name}”; wait for it to end, or cancel it.");
        db.PretrainTexts.Remove(found);
        db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = clock.GetUtcNow().UtcDateTime, Text = $"removed the text “{found.Name}”", Href = $"/p/{projectId}/pretraining" });
        await db.SaveChangesAsync(cancel);
        await all.CommitAsync(cancel);
        File.Delete(Path.Combine(folder.Texts, found.StoredAs));
    }
}
