using System.IO.Compression;
using System.Text;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Models;

/// The model as a Hugging Face folder in a zip, with a model card, written while it is sent.
public sealed class DownloadModel(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, TimeProvider clock)
{
    /// The file name and what writes the zip; null where the run has no model.
    [Needs(Permission.DownloadModel)]
    public Task<(string Name, Func<Stream, CancellationToken, Task> Write)?> Handle(string projectId, int runNumber, CancellationToken cancel = default) => Find(projectId, runNumber, adapter: false, cancel);

    /// The same of the adapter alone; null where the run trained none.
    [Needs(Permission.DownloadModel)]
    public Task<(string Name, Func<Stream, CancellationToken, Task> Write)?> Adapter(string projectId, int runNumber, CancellationToken cancel = default) => Find(projectId, runNumber, adapter: true, cancel);

    private async Task<(string Name, Func<Stream, CancellationToken, Task> Write)?> Find(string projectId, int runNumber, bool adapter, CancellationToken cancel)
    {
        var pass = await access.Require(projectId, Permission.DownloadModel, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await ReadModel.Find(db, folder, pass.Project, runNumber, cancel) is not { WhyNot: null } view || adapter && !view.HasAdapter) return null;
        var now = clock.GetUtcNow().UtcDateTime;
        db.Events.Add(new ProjectEvent { ProjectId = pass.Project.Id, UserId = pass.UserId, At = now, Text = $"downloaded the {(adapter ? "adapter" : "model")} of run {runNumber}", Href = $"/p/{pass.Project.Id}/model/{runNumber}" });
        await db.SaveChangesAsync(cancel);
        return ($"{pass.Project.Id}-run-{runNumber}{(adapter ? "-adapter" : "")}.zip", (to, stop) => Zip(to, adapter ? view.AdapterFolder : view.Folder, ModelCard.Write(view, now, adapter), stop));
    }

    private static async Task Zip(Stream to, string from, string card, CancellationToken cancel)
    {
        await using var zip = await ZipArchive.CreateAsync(to, ZipArchiveMode.Create, leaveOpen: true, Encoding.UTF8, cancel);
        foreach (var path in Directory.GetFiles(from).Where(p => Path.GetFileName(p) is not "README.md").Order(StringComparer.Ordinal))
        {
            // Weights are noise to a compressor.
            var entry = zip.CreateEntry(Path.GetFileName(path), path.EndsWith(".safetensors", StringComparison.Ordinal) ? CompressionLevel.NoCompression : CompressionLevel.Fastest);
            await using var part = await entry.OpenAsync(cancel);
            await using var file = File.OpenRead(path);
            await file.CopyToAsync(part, cancel);
        }
        await using var readme = await zip.CreateEntry("README.md").OpenAsync(cancel);
        await readme.WriteAsync(Encoding.UTF8.GetBytes(card), cancel);
    }
}
