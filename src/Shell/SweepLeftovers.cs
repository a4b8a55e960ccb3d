using FineTuneStudio.Pretraining;
using FineTuneStudio.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Shell;

/// Deletes what a kill left behind. Only while nothing else of the server is at work yet: what is on its way looks the same.
public static class SweepLeftovers
{
    internal static async Task Now(StudioDb db, StudioFolder folder, ILogger log)
    {
        try
        {
            var coming = (await db.Imports.Select(i => i.StoredAs).Concat(db.HubImports.Select(i => i.StoredAs)).ToListAsync()).ToHashSet();
            var texts = (await db.PretrainTexts.Select(t => t.StoredAs).ToListAsync()).ToHashSet();
            var over = await db.TrainingRuns.Where(r => r.State == RunState.Cancelled || r.Kind == PretrainRun.Pretraining && (r.State == RunState.Finished || r.State == RunState.StoppedByPerson || r.State == RunState.Failed))
                .Select(r => r.Id).ToListAsync();
            foreach (var path in Directory.EnumerateFileSystemEntries(folder.Uploads).Where(p => !coming.Contains(Path.GetFileName(p)))
                .Concat(Directory.EnumerateFiles(folder.Texts).Where(p => !texts.Contains(Path.GetFileName(p)))).Concat(over.Select(folder.Run)).ToList())
                if (Directory.Exists(path)) Directory.Delete(path, recursive: true); else File.Delete(path);
        }
        // What cannot be deleted now keeps nobody from the pages; the next start tries again.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException || DatabaseWaits.MayPass(e)) { log.LogWarning(e, "What a stop of the server left behind could not be removed"); }
    }
}
