using System.Text;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Pretraining;
using FineTuneStudio.Projects;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using FineTuneStudio.Tests.Runs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Pretraining;

[Collection("training")]
public sealed class PretrainingTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    internal static readonly RunRecipe Quick = PlanPretraining.Standard(null) with { BatchSize = 16, MaxLength = 32, LearningRate = 3e-3, EvaluationsPerEpoch = 2 };

    /// The sample's messages, each a document.
    internal static string Messages(int from = 0, int count = 600) =>
        string.Join("\n\n", File.ReadLines(Path.Combine(ContentRoot.Find([]), "sample", "customer-messages.csv")).Where(line => line.Trim().Length > 0).Skip(1 + from).Take(count));

    internal static PretrainChoice From(BaseModel? model, params int[] texts) => new("Our model", model?.Number, NewSize.Tiny, 500, texts, [], 0.1, null);

    internal static Task<PretrainText> Upload(Scene scene, string name, string text) => Upload(scene, name, Encoding.UTF8.GetBytes(text));

    private static Task<PretrainText> Upload(Scene scene, string name, byte[] bytes) => scene.Engineer.Do<UploadText, PretrainText>(u => u.Handle(scene.Project.Id, name, new MemoryStream(bytes)));

    internal static Task<int> Start(Scene scene, PretrainChoice choice, RunRecipe? recipe = null) => scene.Engineer.Do<StartPretraining, int>(s => s.Handle(scene.Project.Id, choice, recipe ?? Quick));

    internal static async Task<string> Refusal(Task work) => (await Assert.ThrowsAsync<ArgumentException>(() => work)).Message;

    internal static async Task<PretrainView> Until(Scene scene, int number, Func<PretrainView, bool> so)
    {
        for (var i = 0; i < 900; i++)
        {
            var view = (await scene.Engineer.Do<ShowPretraining, PretrainView?>(s => s.Handle(scene.Project.Id, number)))!;
            if (so(view)) return view;
            if (view.Run.IsOver) throw new InvalidOperationException($"It is over: {view.Run.State} {view.Run.Failure}");
            await Task.Delay(100);
        }
        throw new TimeoutException($"Pretraining {number} did not get there in 90 s.");
    }

    [Fact]
    public async Task A_base_model_goes_on_with_text_and_becomes_a_base_model_from_which_a_run_can_start()
    {
        var scene = await Scene.Make(app, "Pretrained");
        var text = await Upload(scene, "messages.txt", Messages());
        Assert.Equal((600, PretrainText.WordsOf(Messages())), (text.Documents, text.Words));
        var number = await Start(scene, From(scene.Model, text.Id));
        var view = await Until(scene, number, v => v.Run.IsOver);

        Assert.Equal((RunState.Finished, (string?)null), (view.Run.State, view.Run.Failure));
        // Some messages are the same as a held-out one.
        Assert.InRange(view.Run.TrainWords!.Value + view.Run.HeldOutWords!.Value, 0.99 * text.Words, text.Words);
        Assert.InRange(view.Run.HeldOutWords!.Value, 0.05 * text.Words, 0.15 * text.Words);
        Assert.Equal([0, .. view.Evaluations.Skip(1).Select(e => e.Step)], view.Evaluations.Select(e => e.Step));
        var (before, best) = (view.Evaluations[0], view.Evaluations.Last(e => e.IsBest));
        Assert.True(best.ValidationLoss < before.ValidationLoss, $"{before.ValidationLoss} to {best.ValidationLoss}");
        Assert.StartsWith("Finished. Perplexity on the held-out text went from ", view.Sentence);
        var made = view.Made!;
        Assert.Equal(("Our model", ModelOrigin.Pretrained, true, number, 1e-3), (made.Name, made.Origin, made.CanTrain, made.PretrainingNumber, made.SuggestedLearningRate));
        Assert.Equal($"Pretrained here on {FineTuneStudio.Ui.Say.Count(view.Run.TrainWords!.Value)} words of messages.txt, from “Practice model”; held-out loss {FineTuneStudio.Ui.Say.Number(before.ValidationLoss)} before, {FineTuneStudio.Ui.Say.Number(best.ValidationLoss)} after", made.Source);
        Assert.Equal(view.Run.WeightsHash, made.WeightsHash);
        Assert.False(Directory.Exists(app.Services.GetRequiredService<StudioFolder>().Run(view.Run.Id)));
        var line = Assert.Single(await scene.Engineer.Do<ListPretraining, IReadOnlyList<PretrainLine>>(l => l.Handle(scene.Project.Id)));
        Assert.Equal(("Practice model", "Our model", "Engineer"), (line.From, line.Made, line.LaunchedBy));

        var run = await scene.Engineer.Do<LaunchRun, int>(l => l.Handle(scene.Project.Id, 1, made.Number, RunRecipe.For(Metric.MacroF1) with { Epochs = 1, MaxLength = 32 }));
        Assert.True((await app.Ended(scene.Project, run)).HasModel);
        await using var db = app.Db;
        Assert.Equal(["launched pretraining 1 of “Practice model”", "pretrained the base model “Our model”"],
            (await db.Events.Where(e => e.ProjectId == scene.Project.Id && (e.Text.Contains("launched pretraining") || e.Text.StartsWith("pretrained"))).OrderBy(e => e.Id).Select(e => e.Text).ToListAsync()).Select(t => t.Split(" (")[0]));
        Assert.Contains(await db.Events.Where(e => e.ProjectId == scene.Project.Id).Select(e => e.Text).ToListAsync(), t => t.StartsWith("pretraining 1: finished; the best checkpoint is of step ") && t.EndsWith("“Our model” is a base model of the project now."));
    }

    [Fact]
    public async Task New_weights_learn_from_some_texts_and_are_measured_on_another()
    {
        var scene = await Scene.Make(app, "New weights");
        var (train, held) = (await Upload(scene, "train.txt", Messages()), await Upload(scene, "held.jsonl", string.Join('\n', Messages(600, 60).Split("\n\n").Select(m => System.Text.Json.JsonSerializer.Serialize(new { text = m })))));
        Assert.Equal(60, held.Documents);
        var number = await Start(scene, From(null, train.Id) with { HeldOut = [held.Id], Steps = 6 });
        var view = await Until(scene, number, v => v.Run.IsOver);
        Assert.Equal((RunState.Finished, (string?)null, 6), (view.Run.State, view.Run.Failure, view.Run.StepsDone));
        Assert.Equal((train.Words, held.Words), (view.Run.TrainWords, view.Run.HeldOutWords));
        Assert.Equal(("BertForPreTraining", 2, 128, 32), (view.Made!.Architecture, view.Made.Blocks, view.Made.HiddenSize, view.Made.MaxPositions));
        Assert.Contains("from new weights", view.Made.Source);
        Assert.Contains(view.Log, l => l.Text.StartsWith("Learned a vocabulary of "));
    }

    [Fact]
    public async Task A_project_that_answers_prompts_pretrains_a_language_model_and_goes_on_with_it()
    {
        var engineer = await app.NewPerson("Engineer");
        var scene = new Scene(app, await app.NewProject(engineer, "Answers", TextTask.Generation), engineer, null!, null!);
        var text = await Upload(scene, "messages.txt", Messages());
        var first = await Until(scene, await Start(scene, From(null, text.Id) with { Steps = 6 }), v => v.Run.IsOver);
        Assert.Equal((RunState.Finished, (string?)null, "GPT2LMHeadModel"), (first.Run.State, first.Run.Failure, first.Made?.Architecture));
        var second = await Until(scene, await Start(scene, From(first.Made, text.Id) with { Name = "Gone on", Share = 0, Steps = 3 }), v => v.Run.IsOver);
        Assert.Equal((RunState.Finished, (string?)null, 3), (second.Run.State, second.Run.Failure, second.Run.BestStep));
        Assert.Equal("Finished. Nothing is held out, so nothing is measured.", second.Sentence);
        Assert.Equal($"Pretrained here on {FineTuneStudio.Ui.Say.Count(text.Words)} words of messages.txt, from “Our model”; nothing was held out to measure it on", second.Made!.Source);
    }

    [Fact]
    public async Task The_texts_of_test_parts_are_not_learned_and_the_model_says_so()
    {
        var scene = await Scene.Make(app, "Locked");
        string[] tested;
        await using (var db = app.Db)
        {
            var rows = await db.Rows.Where(r => db.SplitRows.Any(s => s.SplitId == scene.Split.Id && s.RowId == r.Id && s.Part == SplitPart.Test)).ToListAsync();
            tested = [.. rows.Select(r => r.Text)];
            foreach (var row in rows) await db.Rows.Where(r => r.Id == row.Id).ExecuteUpdateAsync(s => s.SetProperty(r => r.TextKey, TextKey.Of(row.Text)));
        }
        var text = await Upload(scene, "messages.txt", $"{Messages()}\n\n{tested[0].ToUpperInvariant()}\n\n{tested[1]}\nand a line below it");
        var view = await Until(scene, await Start(scene, From(scene.Model, text.Id) with { Steps = 3 }), v => v.Run.IsOver);
        Assert.Equal((RunState.Finished, (string?)null), (view.Run.State, view.Run.Failure));
        Assert.Contains(view.Log, l => l.Text == "2 texts that are in a test part of this project were left out.");
        Assert.EndsWith("; 2 texts that are in a test part of this project were left out", view.Made!.Source);
    }

    [Fact]
    public async Task One_that_is_stopped_keeps_its_best_model_and_one_that_is_cancelled_keeps_nothing()
    {
        var scene = await Scene.Make(app, "Stopped");
        var text = await Upload(scene, "messages.txt", Messages());
        var first = await Start(scene, From(scene.Model, text.Id), Quick with { Epochs = 100 });
        var second = await Start(scene, From(scene.Model, text.Id), Quick with { Epochs = 100 });
        var third = await Start(scene, From(scene.Model, text.Id) with { Share = 0.4 });
        await Until(scene, first, v => v.Evaluations.Any(e => e.IsBest));
        Assert.Equal("Waiting: 2 runs before this one.", (await Until(scene, third, _ => true)).Sentence);
        Assert.Equal("Pretraining 1 still reads “messages.txt”; wait for it to end, or cancel it.", await Refusal(scene.Engineer.Do<RemoveText>(r => r.Handle(scene.Project.Id, text.Id))));
        Assert.Equal("Pretraining 3 is not running; cancel it, or restart it first.", await Refusal(scene.Engineer.Do<StopPretraining>(s => s.Stop(scene.Project.Id, third))));
        // Of 40 %, every second document: that is what is held out, and what is said.
        var waiting = await Until(scene, third, _ => true);
        Assert.Equal((0.5, "one document of 2"), (waiting.Run.Choice.Share, waiting.HeldOutSaid));
        await scene.Engineer.Do<StopPretraining>(s => s.Cancel(scene.Project.Id, third));
        Assert.Equal(RunState.Cancelled, (await Until(scene, third, v => v.Run.IsOver)).Run.State);

        await scene.Engineer.Do<StopPretraining>(s => s.Stop(scene.Project.Id, first));
        var stopped = await Until(scene, first, v => v.Run.IsOver);
        Assert.Equal((RunState.StoppedByPerson, "Our model"), (stopped.Run.State, stopped.Made?.Name));
        await Until(scene, second, v => v.Run.State == RunState.Running);
        await scene.Engineer.Do<StopPretraining>(s => s.Cancel(scene.Project.Id, second));
        var cancelled = await Until(scene, second, v => v.Run.IsOver);
        Assert.Equal((RunState.Cancelled, (BaseModel?)null), (cancelled.Run.State, cancelled.Made));
        Assert.Equal("Pretraining 2 is over already; there is nothing to stop.", await Refusal(scene.Engineer.Do<StopPretraining>(s => s.Stop(scene.Project.Id, second))));
        Assert.Equal("Pretraining 2 is not interrupted, so it cannot be restarted.", await Refusal(scene.Engineer.Do<StopPretraining>(s => s.Restart(scene.Project.Id, second))));

        await scene.Engineer.Do<RemoveText>(r => r.Handle(scene.Project.Id, text.Id));
        Assert.False(File.Exists(Path.Combine(app.Services.GetRequiredService<StudioFolder>().Texts, text.StoredAs)));
        Assert.Equal("messages.txt", (await Until(scene, first, _ => true)).Run.TextNames);
    }

    [Fact]
    public async Task What_is_no_text_is_refused_by_the_name_that_it_was_sent_with_and_leaves_nothing_behind()
    {
        var scene = await Scene.Make(app, "Refused");
        Assert.Equal("report.pdf is of no kind that is read as text; expected .txt, .txt.xz, .jsonl or .jsonl.xz.", await Refusal(Upload(scene, "C:\\texts\\report.pdf", "x")));
        Assert.Equal("empty.txt has no text to train on.", await Refusal(Upload(scene, "empty.txt", "\n\n")));
        Assert.Equal("latin.txt is not UTF-8 near line 1; save it as UTF-8.", await Refusal(Upload(scene, "../../latin.txt", [0x47, 0xfc, 0x6e])));
        Assert.Equal("Line 2 of rows.jsonl is no valid JSON: each line of a JSONL file must be an object such as {\"text\": \"...\"}.", await Refusal(Upload(scene, "rows.jsonl", "{\"text\": \"a\"}\n{")));
        Assert.Equal("cut.txt.xz is no complete xz file (near line 1); copy or download it again.", await Refusal(Upload(scene, "cut.txt.xz", "no xz")));
        await Upload(scene, "first.txt", "one text\n\nand one more");
        Assert.Equal("again.txt is here already, byte for byte, as first.txt.", await Refusal(Upload(scene, "again.txt", "one text\n\nand one more")));
        var folder = app.Services.GetRequiredService<StudioFolder>();
        await using var db = app.Db;
        Assert.Equal((await db.PretrainTexts.Select(t => t.StoredAs).ToListAsync()).Order(), Directory.EnumerateFiles(folder.Texts).Select(f => Path.GetFileName(f)).Order());
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Uploads));
    }

    [Fact]
    public async Task A_small_file_that_unfolds_to_too_much_is_refused_also_where_it_holds_no_text()
    {
        var scene = await Scene.Make(app, "Unfolding");
        var settings = app.Services.GetRequiredService<Microsoft.Extensions.Configuration.IConfiguration>();
        settings["Pretraining:MaxCharacters"] = "200000";
        try
        {
            const string limit = "holds more than 200,000 characters, the limit of this server. Split it; an administrator can raise Pretraining:MaxCharacters.";
            // 300,000 line feeds by xz 5.4.
            Assert.Equal($"blank.txt.xz {limit}", await Refusal(Upload(scene, "blank.txt.xz", Convert.FromBase64String("/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM5JPfAG9dAAVv+7/+o7Fe5fg/sqomVfhocEFwFQ+N/R5MG4pCtxn0aRhxrmYjiopNL6MN2X+m44wjEVPgWRjFdYrid/i2lH8MasDedElk4ulcU7IE2PdEDKtfDW1G6eXDdoi3llestk3haR1v+0uIEGw1jEDBAAAAdAD/Aqdi1OoAAYsB4KcSAHhj/vixxGf7AgAAAAAEWVo="))));
            Assert.Equal($"fields.jsonl {limit}", await Refusal(Upload(scene, "fields.jsonl", $$"""{"text": "short", "other": "{{new string('x', 250_000)}}"}""")));
        }
        finally { settings["Pretraining:MaxCharacters"] = null; }
    }

    [Fact]
    public async Task The_same_text_uploaded_twice_at_the_same_moment_is_taken_once()
    {
        var scene = await Scene.Make(app, "Twice");
        using var both = new CountdownEvent(2);
        var ends = await Task.WhenAll(new[] { "one.txt", "two.txt" }.Select(name => Task.Run(async () =>
        {
            try { await scene.Engineer.Do<UploadText, PretrainText>(u => u.Handle(scene.Project.Id, name, new EndsWithTheOther(Encoding.UTF8.GetBytes(Messages()), both))); return null; }
            catch (ArgumentException refused) { return refused.Message; }
        })));
        await using var db = app.Db;
        var taken = await db.PretrainTexts.AsNoTracking().SingleAsync(t => t.ProjectId == scene.Project.Id);
        Assert.Equal([null, $"{(taken.Name == "one.txt" ? "two.txt" : "one.txt")} is here already, byte for byte, as {taken.Name}."], ends.Order());
        var folder = app.Services.GetRequiredService<StudioFolder>();
        Assert.Equal((await db.PretrainTexts.Select(t => t.StoredAs).ToListAsync()).Order(), Directory.EnumerateFiles(folder.Texts).Select(f => Path.GetFileName(f)).Order());
        db.PretrainTexts.Add(new PretrainText { ProjectId = taken.ProjectId, Name = "x", StoredAs = "x.txt", Bytes = 1, Documents = 1, Words = 1, Sha256 = taken.Sha256, UploadedById = taken.UploadedById, UploadedAt = taken.UploadedAt });
        await Assert.ThrowsAsync<DbUpdateException>(() => db.SaveChangesAsync());
    }

    private sealed class EndsWithTheOther(byte[] bytes, CountdownEvent both) : MemoryStream(bytes)
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken cancel = default)
        {
            if (Position < Length) return Read(into.Span);
            both.Signal();
            await Task.Run(() => both.Wait(cancel), cancel);
            return 0;
        }
    }

    [Fact]
    public async Task A_text_that_is_removed_while_a_pretraining_starts_is_either_read_or_gone()
    {
        var scene = await Scene.Make(app, "At once");
        var (gone, read) = (await Upload(scene, "gone.txt", Messages(0, 300)), await Upload(scene, "read.txt", Messages(300, 300)));
        await using (var db = app.Db)
        {
            await using var removal = await db.Database.BeginTransactionAsync();
            await db.PretrainTexts.Where(t => t.Id == gone.Id).ExecuteDeleteAsync();
            var start = Task.Run(() => Start(scene, From(scene.Model, gone.Id)));
            await Task.Delay(500);
            await removal.CommitAsync();
            File.Delete(Path.Combine(app.Services.GetRequiredService<StudioFolder>().Texts, gone.StoredAs));
            Assert.Equal("One of the texts is not in the project any more; load the page again.", await Refusal(start));
        }
        await using (var db = app.Db)
        {
            await using var start = await db.Database.BeginTransactionAsync();
            var run = new PretrainRun
            {
                ProjectId = scene.Project.Id, Number = 1, ChoiceJson = System.Text.Json.JsonSerializer.Serialize(From(scene.Model, read.Id)), FromModelId = scene.Model.Id, TextNames = read.Name,
                RecipeJson = Quick.ToJson(), RecipeHash = Quick.Sha256(), LaunchedById = scene.Engineer.Id, QueuedAt = DateTime.UtcNow,
            };
            run.Start(DateTime.UtcNow);
            run.Interrupt();
            db.PretrainRuns.Add(run);
            await db.SaveChangesAsync();
            var removal = Task.Run(() => scene.Engineer.Do<RemoveText>(r => r.Handle(scene.Project.Id, read.Id)));
            await Task.Delay(500);
            await start.CommitAsync();
            Assert.Equal("Pretraining 1 still reads “read.txt”; wait for it to end, or cancel it.", await Refusal(removal));
        }
    }

    [Fact]
    public async Task What_stands_against_a_start_is_said_before_it()
    {
        var scene = await Scene.Make(app, "Against");
        var (one, many) = (await Upload(scene, "one.txt", string.Join(' ', Enumerable.Repeat("word", 400))), await Upload(scene, "many.txt", Messages(0, 60)));
        var good = From(scene.Model, many.Id);
        Assert.Equal("No text is chosen to learn from; upload one, or set one to “learn from”.", await Refusal(Start(scene, good with { Train = [] })));
        Assert.Equal("One of the texts is not in the project any more; load the page again.", await Refusal(Start(scene, good with { Train = [many.Id, 999_999] })));
        Assert.Equal("A text is both learned from and held out; a model must be measured on text that it did not learn from.", await Refusal(Start(scene, good with { HeldOut = [many.Id] })));
        Assert.StartsWith("The train text is one document, so none can be held out of it", await Refusal(Start(scene, good with { Train = [one.Id] })));
        Assert.Equal("Max length is 512 tokens but the base model has only 128 positions; set it to 128 or less.", await Refusal(Start(scene, good, Quick with { MaxLength = 512 })));
        Assert.Equal("About 6 words are held out, which is less than one block of 32 tokens; hold out more, or set max length to fewer.",
            await Refusal(Start(scene, good with { Train = [(await Upload(scene, "short.txt", string.Join("\n\n", Enumerable.Repeat("six words are in this line", 10)))).Id] })));
        Assert.Equal("There is no base model 9 in this project; choose one from the catalogue.", await Refusal(Start(scene, good with { Model = 9 })));
        Assert.Equal("Evaluations per epoch is 0, so nothing would be measured on what is held out; set it to 1 or more, or hold nothing out.", await Refusal(Start(scene, good, Quick with { EvaluationsPerEpoch = 0 })));
        // None in a build with the repository's own binding.
        var bf16 = Quick with { Precision = Precision.Bf16 };
        Assert.Equal(MixedPrecision.Problem(bf16) is { } unsupported ? [unsupported] : Array.Empty<string>(), PlanPretraining.Problems(good, bf16, scene.Model, [many]));
        var settings = app.Services.GetRequiredService<IConfiguration>();
        settings["Pretraining:KeepFree"] = $"{1L << 60}";
        try { Assert.Matches("^The server's disk has .* free; this pretraining needs about .* for its text and its checkpoints, and .* must stay free. Make room on the server first, or take less text or a smaller model.$", await Refusal(Start(scene, good))); }
        finally { settings["Pretraining:KeepFree"] = null; }
        Assert.Empty(await scene.Engineer.Do<ListPretraining, IReadOnlyList<PretrainLine>>(l => l.Handle(scene.Project.Id)));
    }

    [Fact]
    public async Task An_encoder_other_than_BERT_is_not_offered_and_refused_with_the_reason()
    {
        var scene = await Scene.Make(app, "Unfit");
        var text = await Upload(scene, "messages.txt", Messages(0, 60));
        var folder = app.Services.GetRequiredService<StudioFolder>();
        var config = Path.Combine(folder.BaseModel(scene.Model.StoredAs), "config.json");
        await File.WriteAllTextAsync(config, (await File.ReadAllTextAsync(config)).Replace("\"bert\"", "\"roberta\""));
        var choices = await scene.Engineer.Do<PlanPretraining, PretrainChoices>(p => p.Choices(scene.Project.Id));
        Assert.Empty(choices.Models);
        Assert.Equal([$"“Practice model” ({scene.Model.Architecture}) cannot be pretrained here; of encoders, BERT can."], choices.Unfit);
        Assert.Equal(choices.Unfit[0], await Refusal(Start(scene, From(scene.Model, text.Id))));
    }
}
