using System.IO.Compression;
using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Models;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Tests.Reports;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

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
        Assert.Equal("The models of this project read one column; choose no second one.", (await Assert.ThrowsAsync<ModelRefused>(() => run.Engineer.Do<ScoreFile>(s => s.Start(run.Project.Id, id, "message", "id")))).Message);
        await run.Engineer.Do<ScoreFile>(s => s.Start(run.Project.Id, id, "message"));
        look = await Scored(run, id);
        Assert.Equal((ScoringState.Done, 4, 2), (look.State, look.Rows, look.Unscored));
        Assert.Equal("Line 3: The text in “message” is empty.", look.WhyUnscored);
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

    private static async Task<ScoreFile.View> Scored(FinishedRun run, string id)
    {
        for (var i = 0; ; i++)
        {
            var look = (await run.Engineer.Do<ScoreFile, ScoreFile.View?>(s => s.Look(run.Project.Id, id)))!;
            if (i == 1200 || look.State is ScoringState.Done or ScoringState.Failed) return look;
            await Task.Delay(50);
        }
    }

    [Fact]
    public async Task A_file_and_the_playground_share_the_loaded_model()
    {
        var run = await FinishedRun.Make(app, "Shared model");
        var id = await run.Engineer.Do<ScoreFile, string>(s => s.Receive(run.Project.Id, 1, "in.csv", new MemoryStream("text\nthe parcel was late\n"u8.ToArray())));
        await run.Engineer.Do<ScoreFile>(s => s.Start(run.Project.Id, id, "text"));
        Assert.Equal(ScoringState.Done, (await Scored(run, id)).State);
        var loads = 0;
        TextClassifier Again(string folder) { loads++; return TextClassifier.Load(folder); }
        var labels = await app.Services.GetRequiredService<LoadedModel>().Use(Path.GetDirectoryName(run.Weights)!, Again, c => c.Labels, default);
        Assert.Equal((0, 3), (loads, labels.Count));
        await run.Engineer.Do<ScoreFile>(s => s.Discard(run.Project.Id, id));
    }

    [Fact]
    public async Task A_file_under_way_says_how_long_it_still_takes()
    {
        var run = await FinishedRun.Make(app, "Estimate");
        app.Services.GetRequiredService<ScoringDesk>().Keep(new ScoringJob
        {
            Id = "estimate", ProjectId = run.Project.Id, UserId = run.Engineer.Id, RunNumber = 1, Task = TextTask.Generation, ModelFolder = "", MaxLength = 1, PromptFormat = default, FileName = "in.csv",
            Source = Path.Combine(app.Folder, "scored", "estimate"), Format = new(FileKind.Delimited, "utf-8"), Columns = ["text"], At = DateTime.UtcNow, Began = DateTime.UtcNow.AddMinutes(-1), State = ScoringState.Scoring, Share = 0.25,
        });
        var look = (await run.Engineer.Do<ScoreFile, ScoreFile.View?>(s => s.Look(run.Project.Id, "estimate")))!;
        Assert.True(look.Left >= TimeSpan.FromMinutes(3), $"{look.Left}");
        await run.Engineer.Do<ScoreFile>(s => s.Discard(run.Project.Id, "estimate"));
    }

    [SkippableFact]
    public async Task Tagged_words_are_scored_a_sentence_a_row_as_the_import_reads_them()
    {
        var golden = Shared.Find("goldens/bert-tiny-tokencls");
        var run = await FinishedRun.Make(app, "Tagged words");
        await using (var db = app.Db) await db.Projects.Where(p => p.Id == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(p => p.Task, TextTask.TokenClassification));
        var folder = Path.GetDirectoryName(run.Weights)!;
        foreach (var file in Directory.GetFiles(folder)) File.Delete(file);
        foreach (var file in Directory.GetFiles(golden)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        var (config, names) = (Path.Combine(folder, "config.json"), new[] { "O", "B-place", "I-place", "B-day", "I-day" });
        var text = await File.ReadAllTextAsync(config);
        for (var i = 0; i < names.Length; i++) text = text.Replace($"LABEL_{i}", names[i]);
        await File.WriteAllTextAsync(config, text);

        var words = "The\tO\ntrain\tO\nleaves\tO\nNew\tB-place\nDelhi\tI-place\n\nIt\tO\narrives\tO\non\n\non\tO\nMonday\tB-day\n";
        var id = await run.Engineer.Do<ScoreFile, string>(s => s.Receive(run.Project.Id, 1, "in.conll", new MemoryStream(Encoding.UTF8.GetBytes(words))));
        var look = (await run.Engineer.Do<ScoreFile, ScoreFile.View?>(s => s.Look(run.Project.Id, id)))!;
        Assert.True(look.IsTaggedWords);
        Assert.Equal("text", look.Columns[look.Column]);
        await run.Engineer.Do<ScoreFile>(s => s.Start(run.Project.Id, id, "text"));
        look = await Scored(run, id);
        Assert.Equal((ScoringState.Done, 3, 1, (string?)null), (look.State, look.Rows, look.Unscored, look.Failure));
        Assert.Equal("Line 9: The line has 1 column; the tag is expected in column 2. The sentence around it does not come in.", look.WhyUnscored);
        Assert.Equal(["The train leaves New Delhi", "on Monday"], look.First.Select(r => r.Text));
        var lines = (await File.ReadAllTextAsync((await run.Engineer.Do<ScoreFile, (string Path, string Name)?>(s => s.Result(run.Project.Id, id)))!.Value.Path)).TrimEnd().Split("\r\n");
        Assert.Equal("\"text\",\"spans\",\"predicted spans\"", lines[0].TrimStart('\uFEFF'));
        Assert.Equal(4, lines.Length);
        Assert.StartsWith("\"The train leaves New Delhi\",\"[{\"\"start\"\":17,\"\"end\"\":26,\"\"label\"\":\"\"place\"\"}]\",\"[", lines[1]);
        Assert.Contains("line 9: The line has 1 column;", lines[2]);
        using (var tagger = SpanTagger.Load(folder)) Assert.EndsWith($",{DownloadRejected.Cell(FoundSpans.ToJson("on Monday", tagger.Predict(["on Monday"], new RunRecipe().MaxLength)[0], tagger.Types))}", lines[3]);
        await run.Engineer.Do<ScoreFile>(s => s.Discard(run.Project.Id, id));
    }

    /// The model of a finished run becomes a small language model.
    private async Task<FinishedRun> Writer(string name)
    {
        var llama = Shared.Find("goldens/llama-tiny");
        var run = await FinishedRun.Make(app, name);
        await using var db = app.Db;
        await db.Projects.Where(p => p.Id == run.Project.Id).ExecuteUpdateAsync(s => s.SetProperty(p => p.Task, TextTask.Generation));
        var folder = Path.GetDirectoryName(run.Weights)!;
        foreach (var file in Directory.GetFiles(folder)) File.Delete(file);
        foreach (var file in Directory.GetFiles(llama)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        return run;
    }

    [SkippableFact]
    public async Task Prompts_of_a_file_are_asked_with_the_column_that_was_added_to_them()
    {
        var run = await Writer("Prompts");
        Task<string> Receive(string text) => run.Engineer.Do<ScoreFile, string>(s => s.Receive(run.Project.Id, 1, "in.csv", new MemoryStream(Encoding.UTF8.GetBytes(text))));
        var id = await Receive("question,context\nHow many?,Two apples.\nWho?,\n");
        var look = (await run.Engineer.Do<ScoreFile, ScoreFile.View?>(s => s.Look(run.Project.Id, id)))!;
        Assert.Equal((0, 1), (look.Column, look.Second));
        Assert.Equal("“question” is chosen twice; choose another second column, or none.", (await Assert.ThrowsAsync<ModelRefused>(() => run.Engineer.Do<ScoreFile>(s => s.Start(run.Project.Id, id, "question", "question")))).Message);
        await run.Engineer.Do<ScoreFile>(s => s.Start(run.Project.Id, id, "question", "context"));
        look = await Scored(run, id);
        Assert.Equal((ScoringState.Done, 2, 0), (look.State, look.Rows, look.Unscored));
        Assert.Equal(["How many?\n\nTwo apples.", "Who?"], look.First.Select(r => r.Text));
        using (var model = TextGenerator.Load(Path.GetDirectoryName(run.Weights)!, default)) Assert.Equal(model.Answer("How many?\n\nTwo apples.", new() { MaxNewTokens = 256 }, new RunRecipe().MaxLength).Text, look.First[0].Label);

        await run.Engineer.Do<ScoreFile>(s => s.Discard(run.Project.Id, id));
        var many = string.Concat(Enumerable.Range(0, 1001).Select(i => $"prompt {i}\n").Prepend("prompt\n"));
        Assert.Equal("“in.csv” has 1,001 prompts; at most 1,000 are answered at once, because an answer is written word by word and others wait for the same model. Split the file.", (await Assert.ThrowsAsync<ModelRefused>(() => Receive(many))).Message);
    }

    [SkippableFact]
    public async Task A_broken_language_model_is_refused_in_words_when_it_is_asked()
    {
        var run = await Writer("Broken");
        async Task<string> Refusal() => (await Assert.ThrowsAsync<ModelRefused>(() => run.Engineer.Do<TryPrompt, WrittenAnswer>(t => t.Handle(run.Project.Id, 1, new("How many?", 0, 1, 5))))).Message;
        var whole = await File.ReadAllBytesAsync(run.Weights);
        // Every number becomes NaN.
        var nan = whole.ToArray();
        nan.AsSpan(8 + BitConverter.ToInt32(nan)).Fill(0xFF);
        await File.WriteAllBytesAsync(run.Weights, nan);
        Assert.StartsWith("The model gives no number as the score of the next token (NaN).", await Refusal());
        await File.WriteAllBytesAsync(run.Weights, whole[..100]);
        File.SetLastWriteTimeUtc(run.Weights, DateTime.UtcNow.AddMinutes(1));
        Assert.StartsWith("The model cannot be loaded: ", await Refusal());
    }

    [Fact]
    public async Task The_card_counts_rows_as_rows_and_keeps_a_licence_on_its_line()
    {
        var run = await FinishedRun.Make(app, "Card");
        var view = (await run.Engineer.Do<ReadModel, ReadModel.View?>(r => r.Handle(run.Project.Id, 1)))!;
        Project Of(TextTask task) => new() { Id = "card", Name = "Card", Purpose = "For a card.", Task = task, Metric = task.Metrics()[0], Goal = 0.5, CreatedById = run.Engineer.Id, CreatedAt = DateTime.UnixEpoch };
        string Card(ReadModel.View of) => ModelCard.Write(of, DateTime.UnixEpoch);
        Assert.Contains("\n- Data version 1, 180 labelled rows.\n", Card(view));
        view = view with { Labels = [new("a", 100), new("b", 100), new("c", 100)], LabelledRows = 100 };
        Assert.Contains("\n- Data version 1, 100 labelled rows.\n", Card(view with { Project = Of(TextTask.MultiLabel) }));
        Assert.Contains("\n- Data version 1, 300 labelled spans in 100 labelled rows.\n", Card(view with { Project = Of(TextTask.TokenClassification) }));
        var licensed = new FineTuneStudio.BaseModels.BaseModel
        {
            ProjectId = "card", Number = 1, Name = "Base", StoredAs = "x", Source = "a hub", Origin = FineTuneStudio.BaseModels.ModelOrigin.Pretrained, Architecture = "BertForSequenceClassification", WeightsHash = "", Parameters = 1, VocabularySize = 1, HiddenSize = 1,
            Blocks = 1, MaxPositions = 1, CanTrain = true, License = "mit\n\n# <b>Approved</b>", CreatedById = run.Engineer.Id, CreatedAt = DateTime.UnixEpoch,
        };
        Assert.Contains("; licence mit  # &lt;b>Approved&lt;/b>.\n", Card(view with { Base = licensed }));
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
