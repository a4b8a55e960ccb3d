using System.Collections.Concurrent;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.SignalR;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Runs;

/// Who watches which run. Being in the list is no right: before every message the roles and the sign-in are read again,
/// and a connection whose person lost them is told so and dropped.
public sealed class RunWatchers(IHubContext<RunHub, IRunClient> hub, IDbContextFactory<StudioDb> databases)
{
    private readonly ConcurrentDictionary<string, Watcher> watchers = new();

    internal sealed record Watcher(string ProjectId, int RunId, string UserId, string? SecurityStamp);

    internal void Add(string connection, Watcher watcher) => watchers[connection] = watcher;

    internal void Remove(string connection) => watchers.TryRemove(connection, out _);

    internal async Task Send(int runId, RunUpdate update)
    {
        var here = watchers.Where(w => w.Value.RunId == runId).ToList();
        if (here.Count == 0) return;
        var may = await MayWatch(here[0].Value.ProjectId);
        var sends = new List<Task>();
        foreach (var (connection, watcher) in here)
            if (may.TryGetValue(watcher.UserId, out var stamp) && stamp == watcher.SecurityStamp)
                sends.Add(hub.Clients.Client(connection).Progress(update));
            else
            {
                Remove(connection);
                sends.Add(hub.Clients.Client(connection).Ended("You are no longer a member of this project, or this sign-in has ended; nothing more is shown."));
            }
        // A browser that does not read its socket must not hold up the others.
        try { await Task.WhenAll(sends).WaitAsync(TimeSpan.FromSeconds(2)); } catch (TimeoutException) { }
    }

    private async Task<Dictionary<string, string?>> MayWatch(string projectId)
    {
        await using var db = await databases.CreateDbContextAsync();
        var members = await (from m in db.Memberships where m.ProjectId == projectId
                             join u in db.Users on m.UserId equals u.Id
                             select new { m.UserId, m.Role, u.SecurityStamp }).ToListAsync();
        return members.GroupBy(m => m.UserId)
            .Where(g => g.Select(m => m.Role).ToHashSet().Allow(Permission.ViewProject))
            .ToDictionary(g => g.Key, g => (string?)g.First().SecurityStamp);
    }
}
