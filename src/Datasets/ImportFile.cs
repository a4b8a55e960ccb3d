using FineTuneStudio.Engine.Training;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

/// Imports a file that the server itself has on its disk, such as the sample's. Internal: no page or endpoint may name a path.
public sealed class ImportFile(IDbContextFactory<StudioDb> databases, ReceiveFile receive, WriteVersion write, TimeProvider clock)
{
    /// Without a mapping or a format, what is detected is taken. The caller has checked who asks.
    internal async Task<DatasetVersion> Handle(string projectId, string userId, string path, string fileName, ColumnMapping? mapping = null, FileFormat? format = null, string? note = null, CancellationToken cancel = default)
    {
        var import = new Import
        {
            ProjectId = projectId, FileName = fileName, Size = new FileInfo(path).Length, Received = new FileInfo(path).Length, State = ImportState.Received,
            StoredAs = Guid.NewGuid().ToString("N"), CreatedById = userId, CreatedAt = clock.GetUtcNow().UtcDateTime,
        };
        TextTask task;
        await using (var db = await databases.CreateDbContextAsync(cancel)) task = await db.Projects.Where(p => p.Id == projectId).Select(p => p.Task).SingleAsync(cancel);
        ExamineFile.Look look;
        await using (var file = File.OpenRead(path)) look = ExamineFile.See(import, file, task, format);
        if (look.Problem is not null) throw new DataFileException(look.Problem);
        import.FormatJson = look.Format!.ToJson();
        import.MappingJson = (mapping ?? look.Mapping).ToJson();
        File.Copy(path, receive.PathOf(import));
        await using (var db = await databases.CreateDbContextAsync(cancel))
        {
            db.Imports.Add(import);
            await db.SaveChangesAsync(cancel);
        }
        return await write.Handle(import.Id, note, null, cancel);
    }
}
