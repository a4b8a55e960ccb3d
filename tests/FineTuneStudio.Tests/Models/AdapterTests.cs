using System.IO.Compression;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Models;
using FineTuneStudio.Runs;
using FineTuneStudio.Tests.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Models;

/// A classifier trained by adapters, from the launch to what a person takes home.
[Collection("training")]
public sealed class AdapterTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    [Fact]
    public async Task A_run_by_adapters_counts_what_trains_and_gives_the_whole_model_or_adapters_and_head_each_with_a_true_card()
    {
        var scene = await Scene.Make(app, "Adapters");
        var recipe = new RunRecipe { Epochs = 3, LearningRate = 1e-2, BatchSize = 8, MaxLength = 32, Method = TrainingMethod.Dora, LoraRank = 4 };
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<LaunchRun, int>(l => l.Handle(scene.Project.Id, 1, scene.Model.Number, recipe with { TrainableLayers = TrainableLayers.HeadOnly })));
        Assert.StartsWith("Trainable layers is set to only the new head, but the method is DoRA", refused.Message);
        var number = await scene.Engineer.Do<LaunchRun, int>(l => l.Handle(scene.Project.Id, 1, scene.Model.Number, recipe));
        var run = await app.Ended(scene.Project, number);
        Assert.Equal((RunState.Finished, (string?)null), (run.State, run.Failure));
        await using (var db = app.Db)
        {
            var lines = await db.RunLog.Where(l => l.RunId == run.Id).Select(l => l.Text).ToListAsync();
            Assert.Contains(lines, l => l.Contains("parameters train", StringComparison.Ordinal));
            Assert.Contains("Adapters of rank 4 on query, value train, with classifier in full; everything else stays as it is.", lines);
        }

        var view = (await scene.Engineer.Do<ReadModel, ReadModel.View?>(r => r.Handle(scene.Project.Id, number)))!;
        Assert.True(view.HasAdapter);
        var (name, files, card) = await Unzipped(await scene.Engineer.Do<DownloadModel, (string Name, Func<Stream, CancellationToken, Task> Write)?>(d => d.Adapter(scene.Project.Id, number)));
        Assert.Equal("adapters-run-1-adapter.zip", name);
        Assert.Equal(["README.md", "adapter_config.json", "adapter_model.safetensors"], files);
        const string method = "- Method: DoRA adapters of rank 4 and alpha 16 on `query`, `value`; the head was trained in full. The base model's own weights were not trained; the whole model has the adapters merged into them.";
        Assert.Contains(method, card);
        Assert.Contains("library_name: peft", card);
        Assert.Contains($"- Weights: adapter_model.safetensors in F32, the adapters and the head alone; they need the base model with a head of 3 outputs, which are in order {string.Join(", ", EncoderConfig.Read(view.Folder).Labels.Select(l => $"`{l}`"))}.", card);

        (_, files, card) = await Unzipped(await scene.Engineer.Do<DownloadModel, (string Name, Func<Stream, CancellationToken, Task> Write)?>(d => d.Handle(scene.Project.Id, number)));
        Assert.Contains("model.safetensors", files);
        Assert.Contains(method, card);
        Assert.Contains("- Weights: one model.safetensors in F32", card);
    }

    private static async Task<(string Name, string[] Files, string Card)> Unzipped((string Name, Func<Stream, CancellationToken, Task> Write)? zip)
    {
        var buffer = new MemoryStream();
        await zip!.Value.Write(buffer, default);
        buffer.Position = 0;
        await using var archive = new ZipArchive(buffer);
        using var card = new StreamReader(await archive.GetEntry("README.md")!.OpenAsync());
        return (zip.Value.Name, [.. archive.Entries.Select(e => e.Name).Order(StringComparer.Ordinal)], await card.ReadToEndAsync());
    }
}
