using System.Security.Cryptography;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Ui;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Pretraining;

public sealed class UploadText(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, IConfiguration configuration, TimeProvider clock)
{
    public long MostBytes => configuration.GetValue("Uploads:MaxBytes", 2L << 30);

    /// Of the text itself: a small compressed file can unfold to any size.
    private long MostCharacters => configuration.GetValue("Pretraining:MaxCharacters", 20_000_000_000L);

    /// Streams a file to the disk and reads it once to its end. Throws ArgumentException with a sentence where it is not taken.
    [Needs(Permission.UploadData)]
    public async Task<PretrainText> Handle(string projectId, string name, Stream file, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UploadData, cancel);
        name = Path.GetFileName(name.Replace('\\', '/')).Trim();
        if (name.Length is 0 or > 200) throw new ArgumentException($"The file's name has {name.Length} characters; give it 1 to 200.");
        string stored;
        try { stored = Guid.NewGuid().ToString("N") + TextDocuments.RequireKind(name); }
        catch (TrainingException refused) { throw new ArgumentException(refused.Message, refused); }
        var path = Path.Combine(folder.Uploads, stored);
        try
        {
            var (bytes, sha256) = await Receive(file, path, name, cancel);
            var (documents, words) = await Task.Run(() => Read(path, name, cancel), cancel);
            await using var db = await databases.CreateDbContextAsync(cancel);
            await RequireNew();
            var now = clock.GetUtcNow().UtcDateTime;
            var text = new PretrainText { ProjectId = projectId, Name = name, StoredAs = stored, Bytes = bytes, Documents = documents, Words = words, Sha256 = sha256, UploadedById = pass.UserId, UploadedAt = now };
            db.PretrainTexts.Add(text);
            db.Events.Add(new ProjectEvent { ProjectId = projectId, UserId = pass.UserId, At = now, Text = $"uploaded the text “{name}” ({Say.Count(words, "word")})", Href = $"/p/{projectId}/pretraining" });
            File.Move(path, Path.Combine(folder.Texts, stored));
            try { await db.SaveChangesAsync(cancel); }
            catch (Exception e)
            {
                File.Delete(Path.Combine(folder.Texts, stored));
                // Twice at the same moment: the index lets one of them in.
                if (e.GetBaseException() is SqliteException { SqliteErrorCode: 19 }) await RequireNew();
                throw;
            }
            return text;

            async Task RequireNew()
            {
                if (await db.PretrainTexts.AsNoTracking().FirstOrDefaultAsync(t => t.ProjectId == projectId && t.Sha256 == sha256, cancel) is { } same)
                    throw new ArgumentException($"{name} is here already, byte for byte, as {same.Name}.");
            }
        }
        finally { File.Delete(path); }
    }

    private async Task<(long Bytes, string Sha256)> Receive(Stream from, string path, string name, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var to = File.Create(path);
        var (buffer, all) = (new byte[1 << 17], 0L);
        for (int read; (read = await from.ReadAsync(buffer, cancel)) > 0;)
        {
            if ((all += read) > MostBytes) throw new ArgumentException($"{name} is larger than {Say.Bytes(MostBytes)}, the limit of this server. Compress it with xz, or split it; an administrator can raise Uploads:MaxBytes.");
            hash.AppendData(buffer, 0, read);
            try { await to.WriteAsync(buffer.AsMemory(0, read), cancel); }
            catch (IOException full) { throw new ArgumentException($"The server could not store {name}: {full.Message}", full); }
        }
        return (all, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    private (long Documents, long Words) Read(string path, string name, CancellationToken cancel)
    {
        var (documents, words, characters, most) = (0L, 0L, 0L, MostCharacters);
        try
        {
            foreach (var document in TextDocuments.Read([path], cancel, Count))
            {
                cancel.ThrowIfCancellationRequested();
                (documents, words) = (documents + 1, words + PretrainText.WordsOf(document));
            }
        }
        // The engine knows the file by the name it has on the disk.
        catch (TrainingException broken) { throw new ArgumentException(broken.Message.Replace(Path.GetFileName(path), name), broken); }
        return documents > 0 ? (documents, words) : throw new ArgumentException($"{name} has no text to train on.");

        // All that unfolds, blank lines and a row's other fields too.
        void Count(int read)
        {
            if ((characters += read) > most) throw new TrainingException($"{name} holds more than {Say.Count(most)} characters, the limit of this server. Split it; an administrator can raise Pretraining:MaxCharacters.");
        }
    }
}
