using System.IO.Compression;
using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Models;
using FineTuneStudio.Reports;
using FineTuneStudio.Runs;
using FineTuneStudio.Tests.BaseModels;
using FineTuneStudio.Tests.Reports;
using FineTuneStudio.Tests.Runs;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Models;

/// What the practice model's tests show for BERT, in one walk for each other family: import, run, report, try, download.
[Collection("training")]
public sealed class OtherFamiliesTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    [SkippableTheory]
    [InlineData("distilbert-tiny", false, "DistilBertForSequenceClassification", 128)]
    [InlineData("roberta-tiny", true, "RobertaForSequenceClassification", 126)]
    public async Task A_model_of_another_family_is_imported_trained_reported_tried_and_downloaded(string golden, bool inShards, string architecture, int longestText)
    {
        var folder = Shared.Find($"goldens/{golden}");
        var scene = await Scene.Make(app, golden);
        var files = Directory.GetFiles(folder).Select(f => (Path.GetFileName(f), File.ReadAllBytes(f)));
        if (inShards) files = files.Where(f => f.Item1 != "model.safetensors").Concat(Shards(Path.Combine(folder, "model.safetensors")));
        var model = await scene.Engineer.Do<ImportBaseModel, BaseModel>(i => i.FromZip(scene.Project.Id, new() { Name = golden, Source = "reference numbers", Origin = ModelOrigin.Random }, new MemoryStream(ImportBaseModelTests.Zip([.. files]))));
        Assert.Equal((true, (string?)null, architecture, longestText), (model.CanTrain, model.WhyNot, model.Architecture, model.MaxPositions));

        var recipe = new RunRecipe { Epochs = 4, LearningRate = 2e-3, BatchSize = 8, MaxLength = 32 };
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => scene.Engineer.Do<LaunchRun, int>(l => l.Handle(scene.Project.Id, 1, model.Number, recipe with { MaxLength = 200 })));
        Assert.StartsWith($"Max length is 200 tokens but the base model has only {longestText} positions", refused.Message);
        var number = await scene.Engineer.Do<LaunchRun, int>(l => l.Handle(scene.Project.Id, 1, model.Number, recipe));
        var run = await app.Ended(scene.Project, number);
        Assert.Equal((RunState.Finished, (string?)null, 1.0), (run.State, run.Failure, run.BackboneShare));

        var finished = new FinishedRun(app, scene.Project, scene.Engineer, run.Id, scene.Split.VersionId, scene.Split.Id);
        await using (var db = app.Db)
        {
            var report = await finished.Report();
            var body = ReportBody.FromJson((await db.Reports.AsNoTracking().SingleAsync(r => r.ProjectId == scene.Project.Id && r.Number == report)).BodyJson!);
            Assert.Equal(model.WeightsHash, body.Fingerprints.BaseWeights);
            Assert.True(body.Model.Of(Metric.Accuracy).Value > 0.6, $"accuracy {body.Model.Of(Metric.Accuracy).Value}");
        }
        var answers = await scene.Engineer.Do<TryModel, IReadOnlyList<TryModel.Answer>>(t => t.Handle(scene.Project.Id, number, "invoice and card"));
        Assert.Equal(1, answers.Sum(a => a.Probability), 4);

        var zip = (await scene.Engineer.Do<DownloadModel, (string Name, Func<Stream, CancellationToken, Task> Write)?>(d => d.Handle(scene.Project.Id, number)))!.Value;
        var buffer = new MemoryStream();
        await zip.Write(buffer, default);
        var outside = Directory.CreateTempSubdirectory("fts-export-").FullName;
        try
        {
            buffer.Position = 0;
            await ZipFile.ExtractToDirectoryAsync(buffer, outside);
            string[] strays = ["inputs.json", "expected.json", "expected.safetensors", "tokenizer_expected.json", "tokenizer_fast_expected.json"];
            Assert.Equal(Directory.GetFiles(folder).Select(Path.GetFileName).Except(strays).Append("README.md").Order(StringComparer.Ordinal), Directory.GetFiles(outside).Select(Path.GetFileName).Order(StringComparer.Ordinal));
            Assert.Null(ModelFolder.Inspect(outside).WhyNot);
            using var classifier = TextClassifier.Load(outside);
            var probabilities = classifier.Predict(["invoice and card"], maxLength: 32)[0];
            Assert.All(answers, a => Assert.Equal(a.Probability, probabilities[classifier.Labels.ToList().IndexOf(a.Label)], 6));
            Assert.Contains($"- text-classification\n- {(golden == "roberta-tiny" ? "roberta" : "distilbert")}\n", await File.ReadAllTextAsync(Path.Combine(outside, "README.md")));
        }
        finally { Directory.Delete(outside, recursive: true); }
    }

    /// Two files and their index, as save_pretrained writes a large model.
    private static (string, byte[])[] Shards(string weights)
    {
        var to = Directory.CreateTempSubdirectory("fts-shards-").FullName;
        try
        {
            using var file = SafetensorsFile.Open(weights);
            string Shard(int i) => $"model-0000{i % 2 + 1}-of-00002.safetensors";
            var dealt = file.Entries.Values.Select((e, i) => (Entry: e, Shard: Shard(i))).ToList();
            foreach (var shard in dealt.GroupBy(d => d.Shard))
                SafetensorsWriter.Write(Path.Combine(to, shard.Key), shard.Select(d => (d.Entry.Name, d.Entry.Dtype, d.Entry.Shape, (Func<ReadOnlyMemory<byte>>)(() => file.Bytes(d.Entry.Name).ToArray()))), file.Metadata);
            return [.. Directory.GetFiles(to).Select(f => (Path.GetFileName(f), File.ReadAllBytes(f))),
                ("model.safetensors.index.json", JsonSerializer.SerializeToUtf8Bytes(new { weight_map = dealt.ToDictionary(d => d.Entry.Name, d => d.Shard) }))];
        }
        finally { Directory.Delete(to, recursive: true); }
    }
}
