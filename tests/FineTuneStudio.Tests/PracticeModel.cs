using System.IO.Compression;
using FineTuneStudio.BaseModels;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests;

/// A very small BERT with random weights: trains in seconds and knows nothing.
public static class PracticeModel
{
    public static string Folder { get; } = Path.Combine(ContentRoot.Find([]), "tests", "practice-model");

    private static readonly Lazy<byte[]> Zip = new(() =>
    {
        using var memory = new MemoryStream();
        using (var zip = new ZipArchive(memory, ZipArchiveMode.Create, leaveOpen: true))
            foreach (var file in Directory.EnumerateFiles(Folder)) zip.CreateEntryFromFile(file, Path.GetFileName(file), CompressionLevel.Fastest);
        return memory.ToArray();
    });

    /// Imported into a project by its engineer, as anybody imports a model.
    public static Task<BaseModel> AddPracticeModel(this Person engineer, string projectId) =>
        engineer.Do<ImportBaseModel, BaseModel>(i => i.FromZip(projectId, new() { Name = "Practice model", Source = "Made for tests", Origin = ModelOrigin.Random }, new MemoryStream(Zip.Value)));

    /// The same by whoever began the project.
    public static async Task AddPracticeModel(this StudioFixture app, string projectId)
    {
        await using var db = app.Db;
        var who = await db.Users.SingleAsync(u => u.Id == db.Projects.Single(p => p.Id == projectId).CreatedById);
        await new Person(app, who.Id, who.Email!).AddPracticeModel(projectId);
    }
}
