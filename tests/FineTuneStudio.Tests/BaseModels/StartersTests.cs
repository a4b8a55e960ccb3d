using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Shell;
using FineTuneStudio.Tests.Runs;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.BaseModels;

/// Models that come with the app are in every project without an upload; here small ones of the same form stand in for them.
[Collection("training")]
public sealed class StartersTests : IAsyncLifetime
{
    private readonly string starters = Directory.CreateTempSubdirectory("fts-starters-").FullName;
    private readonly StudioFixture app;

    public StartersTests()
    {
        MakeEncoder();
        app = new() { Settings = { ["BaseModels:StartersFolder"] = starters } };
    }

    public Task InitializeAsync() => app.InitializeAsync();

    public async Task DisposeAsync()
    {
        await ((IAsyncLifetime)app).DisposeAsync();
        Directory.Delete(starters, recursive: true);
    }

    private void MakeEncoder()
    {
        var to = Directory.CreateDirectory(Path.Combine(starters, "encoder")).FullName;
        foreach (var file in Directory.EnumerateFiles(PracticeModel.Folder)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        File.WriteAllText(Path.Combine(to, "README.md"), "---\nlicense: cc-by-sa-4.0\n---\n# Starter encoder\n");
    }

    [Fact]
    public async Task A_new_project_has_the_encoder_that_comes_with_the_app_with_its_origin_and_licence_and_one_that_writes_has_nothing_of_it()
    {
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer, "Judges");
        var catalogue = await engineer.Do<ListBaseModels, Catalogue>(l => l.Handle(project.Id));
        var model = Assert.Single(catalogue.Models);
        Assert.Equal((1, "Starter encoder", true, ModelOrigin.Pretrained, "cc-by-sa-4.0", (double?)5e-4), (model.Number, model.Name, model.IsStarter, model.Origin, model.License, model.SuggestedLearningRate));
        Assert.Equal(("Comes with FineTuneStudio: trained by its own engine on openly licensed text", "pretrained by this app's own engine", " (starter)"), (model.Source, model.OriginWords(), model.Mark()));
        Assert.Equal(ModelWeights.Sha256(PracticeModel.Folder), model.WeightsHash);
        Assert.True(model is { CanTrain: true, WhyNot: null, Parameters: > 100_000, Blocks: 2, MaxPositions: 128 });

        var writes = await app.NewProject(engineer, "Writes", TextTask.Generation);
        Assert.Empty((await engineer.Do<ListBaseModels, Catalogue>(l => l.Handle(writes.Id))).Models);
    }

    [Fact]
    public async Task The_sample_project_starts_from_the_encoder_and_a_run_from_it_is_declared_pretrained_and_probed()
    {
        var engineer = await app.NewPerson("Engineer");
        var sample = await engineer.Do<StartSample, Project>(s => s.Handle());
        Assert.Equal(["Starter encoder"], (await engineer.Do<ListBaseModels, Catalogue>(l => l.Handle(sample.Id))).Models.Select(m => m.Name));
        var project = await app.NewProject(engineer, "Trained from it");
        await using (var db = app.Db) await Scene.FreezeRows(db, project.Id, engineer.Id, 120);
        var number = await engineer.Do<LaunchRun, int>(l => l.Handle(project.Id, 1, 1, new RunRecipe { Epochs = 1, BatchSize = 16, MaxLength = 16, LearningRate = 5e-4 }));
        var run = await app.Ended(project, number);
        Assert.Equal((RunState.Finished, 1.0), (run.State, run.BackboneShare));
        Assert.NotNull(run.ProbeGain);
    }

    [Fact]
    public async Task Where_a_GPT_comes_with_the_app_too_a_project_that_writes_has_that_and_no_other_project_has()
    {
        NewModelFolder.Gpt2(Path.Combine(starters, "gpt"), TrainVocabulary.ByteLevelBpe(["the parcel is late and the invoice is wrong"], 270, minFrequency: 1), new(1, 16, 2, 32), seed: 1);
        await Restarted(async second =>
        {
            var engineer = await second.NewPerson("Engineer");
            async Task<IEnumerable<string>> Of(TextTask task) => (await engineer.Do<ListBaseModels, Catalogue>(async l => await l.Handle((await second.NewProject(engineer, $"With {task}", task)).Id))).Models.Select(m => m.Name);
            Assert.Equal(["Starter GPT"], await Of(TextTask.Generation));
            Assert.Equal(["Starter encoder"], await Of(TextTask.Regression));
        });
    }

    [Fact]
    public async Task Projects_from_before_have_it_from_the_next_start_on_once_and_a_newer_one_stands_beside_the_older()
    {
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer, "Older");
        await app.Services.GetRequiredService<Starters>().ExecuteTask!;
        await using (var db = app.Db) await db.BaseModels.Where(m => m.ProjectId == project.Id).ExecuteDeleteAsync();
        await engineer.AddPracticeModel(project.Id);
        async Task<List<(int, string, bool)>> Models(int count)
        {
            for (var i = 0; ; i++)
            {
                await using var db = app.Db;
                var models = await db.BaseModels.AsNoTracking().Where(m => m.ProjectId == project.Id).OrderBy(m => m.Number).ToListAsync();
                if (models.Count == count || i == 300) return [.. models.Select(m => (m.Number, m.Name, m.IsStarter))];
                await Task.Delay(100);
            }
        }
        await Restarted(async _ => Assert.Equal([(1, "Practice model", false), (2, "Starter encoder", true)], await Models(2)));

        var weights = Path.Combine(starters, "encoder", "model.safetensors");
        var bytes = await File.ReadAllBytesAsync(weights);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(weights, bytes);
        await Restarted(async _ => Assert.Equal([(1, "Practice model", false), (2, "Starter encoder", true), (3, "Starter encoder", true)], await Models(3)));
        await Restarted(async again =>
        {
            await again.Services.GetRequiredService<Starters>().ExecuteTask!;
            Assert.Equal(3, (await Models(3)).Count);
        });
        Assert.Equal(2, Directory.GetDirectories(Path.Combine(app.Folder, "models"), "starter-encoder-*").Length);
    }

    [Fact]
    public async Task A_corrected_card_is_shown_from_the_next_start_on()
    {
        var engineer = await app.NewPerson("Engineer");
        var project = await app.NewProject(engineer, "Card");
        await File.WriteAllTextAsync(Path.Combine(starters, "encoder", "README.md"), "# Starter encoder\n\nCredit to all.\n");
        await Restarted(_ => Task.CompletedTask);
        var view = await engineer.Do<ShowBaseModel, BaseModelView?>(s => s.Handle(project.Id, 1));
        Assert.Equal(["Credit to all."], view!.Card!.OfType<MarkdownParagraph>().Select(p => Markdown.Plain(p.Line)));
    }

    [Fact]
    public async Task A_starter_with_broken_files_is_not_offered_and_the_server_starts()
    {
        await File.WriteAllTextAsync(Path.Combine(starters, "encoder", "model.safetensors"), "no weights");
        await Restarted(async second =>
        {
            var engineer = await second.NewPerson("Engineer");
            var project = await second.NewProject(engineer, "Without");
            Assert.Empty((await engineer.Do<ListBaseModels, Catalogue>(l => l.Handle(project.Id))).Models);
        });
    }

    /// Another server on the same data, as after a restart.
    private async Task Restarted(Func<StudioFixture, Task> work)
    {
        var second = new StudioFixture { Settings = { ["BaseModels:StartersFolder"] = starters, ["DataFolder"] = app.Folder } };
        await second.InitializeAsync();
        try { await work(second); }
        finally { await ((IAsyncLifetime)second).DisposeAsync(); }
    }
}
