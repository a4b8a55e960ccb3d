using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Projects;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.BaseModels;

/// What the importer says about a model; the rest is measured.
public sealed class NewBaseModel
{
    public string Name { get; set; } = "";
    public string Source { get; set; } = "";
    /// No default: whoever imports has to say it.
    public ModelOrigin? Origin { get; set; }
}

public sealed class ImportBaseModel(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, AllowedFolders allowed, IConfiguration configuration, TimeProvider clock)
{
    /// A tokenizer's file may take many times its size while it is read, so of several imports the models are looked into in turn.
    private static readonly SemaphoreSlim OneAtATime = new(1, 1);

    public long MostBytes => configuration.GetValue("Uploads:MaxBytes", 2L << 30);

    /// One sentence for each field that cannot be taken as it is.
    public static IReadOnlyList<string> Faults(NewBaseModel form, bool saysSource = true)
    {
        var faults = new List<string>();
        if (form.Name.Trim().Length is < 2 or > 80) faults.Add($"The name has {form.Name.Trim().Length} characters; give it 2 to 80.");
        if (saysSource && form.Source.Trim().Length is < 3 or > 500) faults.Add($"The source has {form.Source.Trim().Length} characters; say in 3 to 500 where the model comes from.");
        if (form.Origin is null || !Enum.IsDefined(form.Origin.Value)) faults.Add("Say where the weights come from: pretrained, random or unknown.");
        return faults;
    }

    /// Reads the zip to its end, unpacks what it knows of it and puts the model into the catalogue. Throws ModelRefused with a sentence.
    [Needs(Permission.ImportBaseModel)]
    public async Task<BaseModel> FromZip(string projectId, NewBaseModel form, Stream zip, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ImportBaseModel, cancel);
        Check(form);
        var (file, unpacked) = (Path.Combine(folder.Uploads, Guid.NewGuid().ToString("N")), Staging());
        try
        {
            await using (var to = File.Create(file)) await CopyAtMost(zip, to, MostBytes, cancel);
            await Task.Run(() => UnpackModelZip.To(unpacked, file, MostBytes), cancel);
            return await Enter(pass, unpacked, form, cancel: cancel);
        }
        finally { File.Delete(file); Discard(unpacked); }
    }

    /// Copies a model folder that lies on the server, inside a folder that the administrator listed.
    [Needs(Permission.ImportBaseModel)]
    public async Task<BaseModel> FromServer(string projectId, NewBaseModel form, string path, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ImportBaseModel, cancel);
        Check(form);
        var from = allowed.Resolve(path.Trim());
        var copy = Staging();
        try
        {
            await Task.Run(() => Copy(from, copy, allowed), cancel);
            return await Enter(pass, copy, form, cancel: cancel);
        }
        finally { Discard(copy); }
    }

    /// Puts what was downloaded from the hub into the catalogue, for the person who began it, if they still may.
    internal async Task<BaseModel> FromHub(HubImport import, string files, CancellationToken cancel)
    {
        var pass = await Pass(import.ProjectId, import.CreatedById, Permission.ImportBaseModel, "Whoever began this import may not import models into this project any more, so nothing was imported.", cancel);
        return await Enter(pass, files, new() { Name = import.Name, Source = import.Source, Origin = import.Origin }, from: import, cancel: cancel);
    }

    /// What a pretraining of the project made, and the model that it began with, if any.
    internal sealed record Made(int Pretraining, BaseModel? From);

    /// Puts what was pretrained here into the catalogue, in the name of whoever launched that, if they still may. A second time, after a kill, answers with the first.
    internal async Task<BaseModel> FromPretraining(string projectId, string userId, Made made, NewBaseModel form, string files, CancellationToken cancel)
    {
        var pass = await Pass(projectId, userId, Permission.LaunchRun, "Whoever launched this pretraining may not launch one in this project any more, so its model is kept but not in the catalogue. Someone who may can restart it, and it comes there in their name; or cancel it.", cancel);
        var copy = Staging();
        try
        {
            Copy(files, copy, null);
            return await Enter(pass, copy, form, made: made, cancel: cancel);
        }
        finally { Discard(copy); }
    }

    /// Of a person for whom something ends long after they asked for it; refused where they have lost the role meanwhile.
    private async Task<ProjectPass> Pass(string projectId, string userId, Permission needed, string refusal, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var roles = (await db.Memberships.Where(m => m.ProjectId == projectId && m.UserId == userId).Select(m => m.Role).ToListAsync(cancel)).ToHashSet();
        return roles.Allow(needed) ? new(await db.Projects.AsNoTracking().SingleAsync(p => p.Id == projectId, cancel), userId, roles) : throw new ModelRefused(refusal);
    }

    private async Task<BaseModel> Enter(ProjectPass pass, string files, NewBaseModel form, HubImport? from = null, Made? made = null, CancellationToken cancel = default)
    {
        ModelFacts facts;
        await OneAtATime.WaitAsync(cancel);
        try { facts = await Task.Run(() => Measure(files), cancel); }
        finally { OneAtATime.Release(); }
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var all = await db.Database.BeginTransactionAsync(cancel);
        if (made is not null && await db.BaseModels.AsNoTracking().FirstOrDefaultAsync(m => m.ProjectId == pass.Project.Id && m.PretrainingNumber == made.Pretraining, cancel) is { } before) return before;
        var number = (await db.BaseModels.Where(m => m.ProjectId == pass.Project.Id).MaxAsync(m => (int?)m.Number, cancel) ?? 0) + 1;
        var now = clock.GetUtcNow().UtcDateTime;
        var model = new BaseModel
        {
            ProjectId = pass.Project.Id, Number = number, Name = form.Name.Trim(), StoredAs = Guid.NewGuid().ToString("N"), Source = form.Source.Trim(), Origin = form.Origin!.Value,
            PretrainingNumber = made?.Pretraining, SuggestedLearningRate = made?.From?.SuggestedLearningRate, Architecture = facts.Architecture, Parameters = facts.Parameters, VocabularySize = facts.VocabularySize,
            HiddenSize = facts.HiddenSize, Blocks = facts.Layers, MaxPositions = facts.MaxPositions, License = facts.License ?? from?.License ?? made?.From?.License, WeightsHash = facts.Sha256,
            CanTrain = facts.CanTrain, WhyNot = facts.WhyNot, CreatedById = pass.UserId, CreatedAt = now,
        };
        db.BaseModels.Add(model);
        db.Events.Add(new ProjectEvent { ProjectId = pass.Project.Id, UserId = pass.UserId, At = now, Text = $"{(made is null ? "imported" : "pretrained")} the base model “{model.Name}” ({Say.Count(model.Parameters)} parameters)", Href = $"/p/{pass.Project.Id}/base-models" });
        await db.SaveChangesAsync(cancel);
        // Who cancels in the last moment finds nothing imported.
        if (from is not null && await db.HubImports.Where(i => i.Id == from.Id && i.State == HubImportState.Downloading)
            .ExecuteUpdateAsync(s => s.SetProperty(i => i.State, HubImportState.Imported).SetProperty(i => i.BaseModelId, model.Id), cancel) == 0) throw new OperationCanceledException();
        Directory.Move(files, folder.BaseModel(model.StoredAs));
        await all.CommitAsync(cancel);
        return model;
    }

    private static ModelFacts Measure(string files)
    {
        ModelFiles.RequireModel([.. Directory.EnumerateFiles(files).Select(f => Path.GetFileName(f)!)], "the folder");
        try
        {
            if (!ModelWeights.Exist(files)) return ModelFolder.Inspect(files);
            ModelWeights.Open(files).Dispose();
            var facts = ModelFolder.Inspect(files);
            // Whatever else looks like weights is none of this model: it only takes room.
            foreach (var stray in Directory.EnumerateFiles(files).Where(f => Path.GetExtension(f) is ".safetensors" or ".bin").ExceptBy(ModelWeights.FilesOf(files), f => Path.GetFileName(f)!)) File.Delete(stray);
            return facts;
        }
        catch (WeightFileException e) { throw new ModelRefused(e.Message); }
    }

    private static void Check(NewBaseModel form)
    {
        if (Faults(form) is { Count: > 0 } faults) throw new ModelRefused(string.Join(" ", faults));
    }

    private static void Copy(string from, string to, AllowedFolders? allowed)
    {
        var names = Directory.EnumerateFiles(from).Select(f => Path.GetFileName(f)!).ToList();
        ModelFiles.RequireModel(names, "that folder");
        Directory.CreateDirectory(to);
        foreach (var name in ModelFiles.Taken(names))
            File.Copy(allowed is null ? Path.Combine(from, name) : allowed.Resolve(Path.Combine(from, name)), Path.Combine(to, name));
    }

    private static async Task CopyAtMost(Stream from, Stream to, long most, CancellationToken cancel)
    {
        var buffer = new byte[1 << 17];
        long all = 0;
        for (int read; (read = await from.ReadAsync(buffer, cancel)) > 0;)
        {
            if ((all += read) > most) throw new ModelRefused($"The zip is larger than {Say.Bytes(most)}, the limit of this server. An administrator can raise Uploads:MaxBytes.");
            await to.WriteAsync(buffer.AsMemory(0, read), cancel);
        }
    }

    private string Staging() => Path.Combine(folder.Uploads, Guid.NewGuid().ToString("N"));

    private static void Discard(string staging) { if (Directory.Exists(staging)) Directory.Delete(staging, recursive: true); }
}
