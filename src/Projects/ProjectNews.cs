using System.Data.Common;
using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace FineTuneStudio.Projects;

/// Tells open pages of a project that something happened in it. What brings a project on its way, also in the background, writes a line for the
/// activity list: with that line's commit, and not before, the news is out. What writes none tells it here.
public sealed class ProjectNews : SaveChangesInterceptor, IDbTransactionInterceptor
{
    private readonly ConditionalWeakTable<DbContext, HashSet<string>> waiting = [];

    /// Raised with the project's id, on a thread of its own: whoever saves does not wait for who listens.
    public event Action<string>? Happened;

    public override InterceptionResult<int> SavingChanges(DbContextEventData saving, InterceptionResult<int> result)
    {
        Note(saving.Context);
        return result;
    }

    public override ValueTask<InterceptionResult<int>> SavingChangesAsync(DbContextEventData saving, InterceptionResult<int> result, CancellationToken cancellationToken = default) => new(SavingChanges(saving, result));

    public override int SavedChanges(SaveChangesCompletedEventData saved, int result)
    {
        if (saved.Context?.Database.CurrentTransaction is null) Tell(saved.Context);
        return result;
    }

    public override ValueTask<int> SavedChangesAsync(SaveChangesCompletedEventData saved, int result, CancellationToken cancellationToken = default) => new(SavedChanges(saved, result));

    public void TransactionCommitted(DbTransaction transaction, TransactionEndEventData committed) => Tell(committed.Context);

    public Task TransactionCommittedAsync(DbTransaction transaction, TransactionEndEventData committed, CancellationToken cancellationToken = default)
    {
        Tell(committed.Context);
        return Task.CompletedTask;
    }

    /// For what changes a project's road without a line for the activity list.
    internal void Tell(string projectId)
    {
        if (Happened is { } listeners) Task.Run(() => listeners(projectId));
    }

    private void Note(DbContext? db)
    {
        if (db is null) return;
        // Lines are only ever added, so that there is no need to look through all rows of an import for changes once more.
        var (tracker, detects) = (db.ChangeTracker, db.ChangeTracker.AutoDetectChangesEnabled);
        tracker.AutoDetectChangesEnabled = false;
        foreach (var line in tracker.Entries<ProjectEvent>().Where(e => e.State == EntityState.Added)) waiting.GetOrCreateValue(db).Add(line.Entity.ProjectId);
        tracker.AutoDetectChangesEnabled = detects;
    }

    private void Tell(DbContext? db)
    {
        if (db is null || !waiting.TryGetValue(db, out var projects)) return;
        waiting.Remove(db);
        foreach (var project in projects) Tell(project);
    }
}
