using System.IO.Compression;
using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Models;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Tests.Reports;

namespace FineTuneStudio.Tests.Models;

public sealed class ModelTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    [Fact]
    public async Task A_text_gets_a_probability_for_every_label()
    {
        var run = await FinishedRun.Make(app, "Playground");
        var answers = await run.Engineer.Do<TryModel, IReadOnlyList<TryModel.Answer>>(t => t.Handle(run.Project.Id, 1, "where is my parcel?"));
        Assert.Equal(FinishedRun.Labels, answers.Select(a => a.Label).Order());
        Assert.Equal(1, answers.Sum(a => a.Probability), 4);
        Assert.True(answers[0].Probability >= answers[1].Probability);
        Assert.Equal("There is no text yet; type one.", (await Assert.ThrowsAsync<ModelRefused>(() => run.Engineer.Do<TryModel>(t => t.Handle(run.Project.Id, 1, "  ")))).Message);
    }

    [Fact]
    public async Task A_run_without_a_model_says_so()
    {
        var run = await FinishedRun.Make(app, "No model", state: RunState.Cancelled);
        Assert.Equal("Run 1 has no model (cancelled). It can be used when the run has finished.", (await run.Engineer.Do<ReadModel, ReadModel.View?>(r => r.Handle(run.Project.Id, 1)))!.WhyNot);
    }

    [Fact]
    public async Task A_scored_file_keeps_every_row_and_no_cell_can_run_as_a_formula()
    {
        var run = await FinishedRun.Make(app, "Scoring");
        var file = "id,message\n1,the parcel was late\n2,\n3,\"=HYPERLINK(\"\"http://x\"\")\"\n4,too,many,cells\n";
        var id = await run.Engineer.Do<ScoreFile, string>(s => s.Receive(run.Project.Id, 1, "in.csv", new MemoryStream(Encoding.UTF8.GetBytes(file))));
        var look = (await run.Engineer.Do<ScoreFile, ScoreFile.View?>(s => s.Look(run.Project.Id, id)))!;
        Assert.Equal(["id", "message"], look.Columns);
        Assert.Equal((1, ScoringState.Received), (look.Column, look.State));
        Assert.Equal("The file has no column “text”; its columns are “id”, “message”.", (await Assert.ThrowsAsync<ModelRefused>(() => run.Engineer.Do<ScoreFile>(s => s.Start(run.Project.Id, id, "text")))).Message);
        await run.Engineer.Do<ScoreFile>(s => s.Start(run.Project.Id, id, "message"));
        for (var i = 0; i < 200 && look.State is not (ScoringState.Done or ScoringState.Failed); i++)
        {
            await Task.Delay(100);
            look = (await run.Engineer.Do<ScoreFile, ScoreFile.View?>(s => s.Look(run.Project.Id, id)))!;
        }
        Assert.Equal((ScoringState.Done, 4, 2), (look.State, look.Rows, look.Unscored));
        var result = (await run.Engineer.Do<ScoreFile, (string Path, string Name)?>(s => s.Result(run.Project.Id, id)))!.Value;
        var lines = (await File.ReadAllTextAsync(result.Path)).TrimEnd().Split("\r\n");
        Assert.Equal("in-scored.csv", result.Name);
        Assert.Equal("\"id\",\"message\",\"predicted label\",\"confidence\",\"probability negative\",\"probability neutral\",\"probability positive\"", lines[0].TrimStart('\uFEFF'));
        Assert.Equal(5, lines.Length);
        Assert.EndsWith(",,,,,", lines[2]);
        Assert.Contains("\"'=HYPERLINK(", lines[3]);
        Assert.Contains("line 5: The row has 4 cells; the file has 2 columns.", lines[4]);

        var other = await run.Approver();
        Assert.Null(await other.Do<ScoreFile, ScoreFile.View?>(s => s.Look(run.Project.Id, id)));
        await Assert.ThrowsAsync<AccessDenied>(() => other.Do<ScoreFile>(s => s.Result(run.Project.Id, id)));
        await run.Engineer.Do<ScoreFile>(s => s.Discard(run.Project.Id, id));
        Assert.False(File.Exists(result.Path));
    }

    [Fact]
    public async Task A_file_that_is_no_table_is_refused_and_not_kept()
    {
        var run = await FinishedRun.Make(app, "Bad file");
        await Assert.ThrowsAsync<DataFileException>(() => run.Engineer.Do<ScoreFile, string>(s => s.Receive(run.Project.Id, 1, "x.csv", new MemoryStream())));
        Assert.Empty(Directory.GetFiles(Path.Combine(app.Folder, "scored")));
    }

    [Fact]
    public async Task The_downloaded_folder_loads_back_with_the_same_answers_and_carries_its_card()
    {
        var run = await FinishedRun.Make(app, "Download");
        await run.Report();
        var zip = (await run.Engineer.Do<DownloadModel, (string Name, Func<Stream, CancellationToken, Task> Write)?>(d => d.Handle(run.Project.Id, 1)))!.Value;
        Assert.Equal("download-run-1.zip", zip.Name);
        var buffer = new MemoryStream();
        await zip.Write(buffer, default);
        var folder = Directory.CreateTempSubdirectory("fts-export-").FullName;
        try
        {
            buffer.Position = 0;
            await ZipFile.ExtractToDirectoryAsync(buffer, folder);
            var best = Path.GetDirectoryName(run.Weights)!;
            Assert.Equal(Directory.GetFiles(best).Select(Path.GetFileName).Append("README.md").Order(StringComparer.Ordinal), Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
            using TextClassifier inside = TextClassifier.Load(best), outside = TextClassifier.Load(folder);
            Assert.Equal(inside.Predict(["where is my parcel?"])[0], outside.Predict(["where is my parcel?"])[0]);
            var card = await File.ReadAllTextAsync(Path.Combine(folder, "README.md"));
            Assert.Contains("Report 1 is ready and not signed yet.", card);
            Assert.Contains("Goal not reached: macro-F1", card);
            Assert.Contains("origin random, so it does not count as pretrained", card);
            Assert.Contains("these weights: `", card);
            Assert.Contains("- text-classification\n- bert\n", card);
            Assert.Contains("Weights: one model.safetensors in F32, as training computes, whatever files and type the base model came in.", card);
        }
        finally { Directory.Delete(folder, recursive: true); }
    }
}
