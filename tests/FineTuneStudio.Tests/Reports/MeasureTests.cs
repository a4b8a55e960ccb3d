using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Models;
using FineTuneStudio.Reports;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Reports;

[Collection("training")]
public sealed class MeasureTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    [Fact]
    public void Ranges_of_true_values_keep_equal_values_together_also_in_a_large_test_part()
    {
        double[] truth = [5, 1, 2, 1, 9, 5, 1, 8, 1, 5, 7, 6], said = [.. truth.Select(t => t + 1)];
        Assert.Equal([(1, 5, 8), (6, 9, 4)], MeasureRegression.Ranges(truth, said).Select(r => (r.From, r.To, r.Rows)));
        Assert.All(MeasureRegression.Ranges(truth, said), r => Assert.Equal((1, 1), (r.Bias, r.MeanAbsoluteError)));
        // Looking for the first equal value anew for each row would take minutes here.
        double[] many = [.. Enumerable.Range(0, 300_000).Select(i => (double)i)];
        Assert.Equal(Enumerable.Repeat(60_000, 5), MeasureRegression.Ranges(many, many).Select(r => r.Rows));
    }

    [Fact]
    public void Spans_that_begin_or_end_amid_a_word_are_counted_as_out_of_reach()
    {
        const string text = "Amsterdam and Rotterdam";
        SpannedText[] rows = [new(1, text, [new(0, 9, 0), new(14, 23, 0)]), new(2, text, [new(0, 5, 0), new(19, 23, 0)]), new(3, text, [new(0, 9, 0), new(14, 20, 0)])];
        Assert.Equal((1, 2), SpanNumbers.CountUnreachable(rows));
        SpanNumbers Numbers(int begin, int? end) => new(new(0, 0, 0, 0, 0), 6, 6, begin, [], 0, []) { EndsLost = end };
        Assert.Equal("1 true span begins amid a word, and 2 true spans end amid a word, where no prediction can; they count as mistakes.", Numbers(1, 2).Unreachable);
        Assert.Equal("1 true span ends amid a word, where no prediction can; it counts as a mistake.", Numbers(0, 1).Unreachable);
        Assert.Equal("2 true spans begin amid a word, where no prediction can; they count as mistakes.", Numbers(2, null).Unreachable);
        Assert.Null(Numbers(0, 0).Unreachable);
    }

    [Fact]
    public void The_answered_rows_are_drawn_from_the_whole_test_part_and_are_the_same_each_time()
    {
        var drawn = MeasureGeneration.Drawn(1000);
        Assert.Equal(MeasureGeneration.WrittenRows, drawn.Distinct().Count());
        Assert.Equal(drawn.Order(), drawn);
        Assert.InRange(drawn.Average(), 350, 650);
        Assert.Equal(drawn, MeasureGeneration.Drawn(1000));
        Assert.Equal(Enumerable.Range(0, 30), MeasureGeneration.Drawn(30));
    }

    [Fact]
    public void What_the_lengths_cut_is_said_with_the_limit_that_cut_it_and_what_to_change()
    {
        TextLengths lengths = new(128, 128, 32, 96, new(240, 190, 1), new(30, 30, 27)), none = new(8, 64, 8, 48, new(5, 0, 0), new(1, 0, 0));
        Assert.Equal("30 prompts had more than 32 tokens, so their beginning was not read: of the model’s 128 positions, 96 are kept for the answer.", lengths.Read(30));
        Assert.Equal("1 prompt had more than 8 tokens, the run’s max length, so its beginning was not read.", none.Read(1));
        Assert.Equal("The max length of 128 tokens cut rows: of 240 train rows, 190 prompts lost their beginning and 1 answer its end; of 30 test rows, 30 prompts lost their beginning and 27 answers their end. What was cut off was neither learned nor measured: perplexity and token accuracy speak of what was left, and the model was not shown how those answers end. To change it, this model has no more than 128 positions, so shorten the texts or choose a base model with more.", lengths.Cut());
        Assert.EndsWith("To change it, launch a run with a larger max length (this model takes up to 512), or shorten the texts.", (lengths with { Positions = 512 }).Cut());
        Assert.Null(none.Cut());
    }

    [SkippableFact]
    public async Task Prompts_longer_than_the_run_learned_are_cut_wherever_the_model_is_used_and_it_is_said()
    {
        var llama = Shared.Find("goldens/llama-tiny");
        var run = await Writing(llama, "Long prompts", maxLength: 8);
        const string prompt = "Tom has 3 apples and buys 4 more. How many apples does he have?";
        var answer = await run.Engineer.Do<TryPrompt, WrittenAnswer>(t => t.Handle(run.Project.Id, 1, new(prompt, 0, 0.9, 4)));
        Assert.Equal(8, answer.PromptRead);
        Assert.Matches("^The beginning of the prompt was cut: 8 of [0-9]+ tokens were read.$", answer.PromptCut);

        var (texts, loaded, folder) = (ScoreTexts.Of(TextTask.Generation, new RunRecipe().PromptFormat), app.Services.GetRequiredService<LoadedModel>(), Path.GetDirectoryName(run.Weights)!);
        Assert.Equal(["answer", "note"], await texts.Columns(loaded, folder, default));
        var scores = await texts.Handle(loaded, folder, [prompt, "A"], 8, default);
        Assert.Equal($"\"{answer.PromptCut}\"", scores[0].Cells[1]);
        Assert.EndsWith($" ({answer.PromptCut})", scores[0].Answer);
        Assert.Equal("\"\"", scores[1].Cells[1]);

        var body = (await run.Engineer.Do<ReadReport, ReadReport.View?>(async r => await r.Handle(run.Project.Id, await run.Report())))!.Body!;
        Assert.Equal((30, 1, 30), (body.WrittenRows, body.WrittenSeed, body.CutPrompts));
        Assert.All(body.Samples!, s => Assert.StartsWith("The beginning of the prompt was cut: 8 of ", s.Cut));
        Assert.Equal(new TextLengths(8, 128, 8, 96, new(120, 120, 120), new(30, 30, 30)), body.Lengths);
        // No given answer has a letter that ROUGE counts, nor a number.
        Assert.Contains(Metric.Chrf, body.Model.Values!.Keys);
        Assert.Empty(body.Model.Values.Keys.Intersect([Metric.Rouge1, Metric.Rouge2, Metric.RougeL, Metric.LastNumber]));

        var zip = (await run.Engineer.Do<DownloadModel, (string Name, Func<Stream, CancellationToken, Task> Write)?>(d => d.Handle(run.Project.Id, 1)))!.Value;
        using var buffer = new MemoryStream();
        await zip.Write(buffer, default);
        using var archive = new System.IO.Compression.ZipArchive(new MemoryStream(buffer.ToArray()));
        using var card = new StreamReader(archive.GetEntry("README.md")!.Open());
        var said = await card.ReadToEndAsync();
        Assert.Contains("- It learned from and was measured on at most 8 tokens of a prompt; of longer ones the beginning was cut off.", said);
        Assert.Contains($"\n- {body.Lengths!.Cut()}\n", said);
    }

    /// A finished run whose task is to write: the small Llama as base and as best checkpoint, and answers in Cyrillic letters.
    private async Task<FinishedRun> Writing(string llama, string name, int maxLength)
    {
        var run = await FinishedRun.Make(app, name, new RunRecipe { MaxLength = maxLength, Metric = Metric.Perplexity });
        await using var db = app.Db;
        await db.Projects.Where(p => p.Id == run.Project.Id).ExecuteUpdateAsync(u => u.SetProperty(p => p.Task, TextTask.Generation).SetProperty(p => p.Metric, Metric.Perplexity));
        await db.VersionRows.Where(r => r.VersionId == run.VersionId).ExecuteUpdateAsync(u => u.SetProperty(r => r.Label, "сорок два"));
        await db.RunEvaluations.Where(e => e.RunId == run.RunId).ExecuteUpdateAsync(u => u.SetProperty(e => e.ScoresJson, """{"Perplexity":900,"TokenAccuracy":0.1}"""));
        var model = await db.BaseModels.SingleAsync(m => m.ProjectId == run.Project.Id);
        foreach (var folder in new[] { Path.GetDirectoryName(run.Weights)!, app.Services.GetRequiredService<StudioFolder>().BaseModel(model.StoredAs) })
        {
            Directory.Delete(folder, recursive: true);
            Directory.CreateDirectory(folder);
            foreach (var file in Directory.GetFiles(llama)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }
        return run;
    }
}
