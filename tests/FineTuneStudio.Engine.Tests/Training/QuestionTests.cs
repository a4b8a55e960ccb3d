using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>Question answering: windows, decoding, and whole runs on the practice model.</summary>
[Collection("training")]
public sealed class QuestionTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private FineTuneJob Job(string output, RunRecipe? recipe = null) => new(recipe ?? SmallTexts.Recipe with { Metric = Metric.AnswerF1, Epochs = 12, LearningRate = 3e-3, MaxLength = 64 },
        Repository.PracticeModel, [], SmallQuestions.Rows(320, 1), SmallQuestions.Rows(80, 2), folder.File(output), TextTask.QuestionAnswering);

    [Fact]
    public void A_run_learns_answers_and_silence_resumes_exactly_and_its_folder_finds_them()
    {
        var job = Job("whole");
        var (result, events) = SmallTexts.Run(job);
        var evaluations = events.OfType<EvaluationDone>().ToList();
        Assert.Equal([Metric.AnswerF1, Metric.ExactMatch], evaluations[0].Scores.Keys);
        Assert.True(result.BestMetric > 0.8, $"answer F1 {result.BestMetric}");
        Assert.True(evaluations[^1].ValidationLoss < 0.5 * evaluations[0].ValidationLoss);

        List<QuestionedText> rows = [.. job.Validation.Cast<QuestionedText>()];
        using var finder = AnswerFinder.Load(result.BestFolder!);
        var found = finder.Predict([.. rows.Select(r => r.Text)], maxLength: 64);
        Assert.Equal(result.BestMetric, rows.Select((r, i) => AnswerOverlap.F1(found[i].Text, [.. r.Answers.Select(a => a.Text)])).Average(), 1e-6);
        Assert.All(rows.Zip(found), p => Assert.Equal(p.Second.Text, p.First.Context[p.Second.Start..(p.Second.Start + p.Second.Text.Length)]));
        Assert.Contains(rows.Zip(found), p => p.First.Answers.Count == 0 && p.Second.IsNone);
        Assert.All(found, f => Assert.InRange(f.Probability, 0.0, 1.0));

        var cut = job with { OutputFolder = folder.File("cut"), Recipe = job.Recipe with { Epochs = 2 } };
        var (uncut, _) = SmallTexts.Run(cut with { OutputFolder = folder.File("uncut") });
        var before = new List<TrainingEvent>();
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(cut, e =>
        {
            before.Add(e);
            if (e is StepDone { Step: 50 }) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        var (resumed, _) = SmallTexts.Run(cut, resume: true);
        Assert.Equal(uncut with { BestFolder = null }, resumed with { BestFolder = null });
    }

    [SkippableFact]
    public void The_folder_has_the_files_keys_shapes_types_and_fields_of_the_references_own()
    {
        var golden = Shared.Find("goldens/bert-tiny-qa");
        var (result, _) = SmallTexts.Run(Job("fields", SmallTexts.Recipe with { Metric = Metric.ExactMatch, Epochs = 1 }));
        string[] Fields(string path) => [.. Repository.Json(Path.Combine(path, "config.json")).EnumerateObject().Select(p => p.Name).Order()];
        Assert.Equal(Fields(golden), Fields(result.BestFolder!));
        Assert.Equal("BertForQuestionAnswering", Repository.Json(Path.Combine(result.BestFolder!, "config.json")).GetProperty("architectures")[0].GetString());
        using (SafetensorsFile theirs = SafetensorsFile.Open(Path.Combine(golden, "model.safetensors")), ours = SafetensorsFile.Open(Path.Combine(result.BestFolder!, "model.safetensors")))
            // The golden has one block and the practice model two.
            Assert.Equal(theirs.Entries.Keys.Order(), ours.Entries.Keys.Where(k => !k.Contains(".layer.1.")).Order());

        // The golden itself, trained on and written again, comes out with its own files, keys, shapes, types and fields.
        var (model, _, newHead) = LoadClassifier.ForTraining(golden, [], null, 1, EncoderHead.Answer);
        using (model)
        {
            Assert.False(newHead);
            SaveModelFolder.Write(model, [], golden, folder.File("again"));
        }
        Assert.Equal(Directory.GetFiles(golden).Select(Path.GetFileName).Where(f => f != "expected.json").Order(), Directory.GetFiles(folder.File("again")).Select(Path.GetFileName).Order());
        Assert.Equal(Repository.Json(Path.Combine(golden, "config.json")).EnumerateObject().Select(p => (p.Name, p.Value.ToString())), Repository.Json(Path.Combine(folder.File("again"), "config.json")).EnumerateObject().Select(p => (p.Name, p.Value.ToString())));
        using SafetensorsFile before = SafetensorsFile.Open(Path.Combine(golden, "model.safetensors")), after = SafetensorsFile.Open(Path.Combine(folder.File("again"), "model.safetensors"));
        Assert.Equal(before.Entries.Values.OrderBy(e => e.Name).Select(e => (e.Name, e.Dtype, string.Join(',', e.Shape))), after.Entries.Values.OrderBy(e => e.Name).Select(e => (e.Name, e.Dtype, string.Join(',', e.Shape))));
    }

    [SkippableTheory]
    [InlineData("bert-tiny")]
    [InlineData("distilbert-tiny")]
    [InlineData("roberta-tiny")]
    public void A_base_model_of_another_task_gets_a_new_head_and_the_saved_folder_answers_the_same(string golden)
    {
        var path = Shared.Find($"goldens/{golden}");
        var (model, report, newHead) = LoadClassifier.ForTraining(path, [], dropout: null, seed: 5, EncoderHead.Answer);
        using (model)
        {
            Assert.Equal((1.0, true), (report.BackboneShare, newHead));
            SaveModelFolder.Write(model, [], path, folder.File("finder"));
        }
        Assert.Equal((EncoderConfig.Read(path).ArchitectureWith(EncoderHead.Answer), true), (ModelFolder.Inspect(folder.File("finder")).Architecture, ModelFolder.Inspect(folder.File("finder")).CanTrain));
        Assert.StartsWith($"config.json says the model is a {EncoderConfig.Read(path).ArchitectureWith(EncoderHead.Answer)}; expected a ", Assert.Throws<WeightFileException>(() => LoadClassifier.ForPrediction(folder.File("finder"), EncoderHead.Token)).Message);
        string[] texts = [TextPair.Join("Who met Bob?", "Anna 🙂 met Bob Lee in New York."), "no context", TextPair.Join("", ""), TextPair.Join("Where?", string.Join(' ', Enumerable.Repeat("a parcel for Zürich 🙂 and", 40))), TextPair.Join(string.Join(' ', Enumerable.Repeat("a very long question", 40)), "short")];
        using var finder = AnswerFinder.Load(folder.File("finder"));
        Assert.Empty(finder.Predict([]));
        var found = finder.Predict(texts, maxLength: 24, batchSize: 4);
        Assert.True(found[1].IsNone && found[2].IsNone);
        for (var i = 0; i < texts.Length; i++)
        {
            var alone = finder.Predict([texts[i]], maxLength: 24, batchSize: 1)[0];
            Assert.Equal((found[i].Start, found[i].Text), (alone.Start, alone.Text));
            Assert.Equal(found[i].Probability, alone.Probability, 1e-4);
            Assert.Equal(found[i].Text, (TextPair.Split(texts[i]).Second ?? "").Substring(found[i].Start, found[i].Text.Length));
        }
    }

    [SkippableTheory]
    [InlineData("bert-tiny")]
    [InlineData("roberta-tiny")]
    [InlineData("tokenizer-unigram-xlmr")]
    public void Windows_hold_the_answer_where_the_sum_says_so_and_only_the_context_is_cut(string golden)
    {
        var path = Shared.Find($"goldens/{golden}");
        var (tokenizer, random) = (Tokenizer.Load(path), new Random(3));
        string[] words = ["the", "parcel", "🙂", "unbelievably", "Zürich,", "late", "(42)", "naïve"];
        List<QuestionedText> rows = [.. Enumerable.Range(0, 60).Select(i =>
        {
            List<string> said = [.. Enumerable.Range(0, random.Next(3, 90)).Select(_ => words[random.Next(words.Length)])];
            var (at, length) = (random.Next(said.Count), random.Next(1, 12));
            var answer = string.Join(' ', said.Skip(at).Take(length));
            return new QuestionedText(i, TextPair.Join(string.Join(' ', Enumerable.Repeat("what", random.Next(1, i % 10 == 0 ? 40 : 6))), string.Join(' ', said)), [new(answer, at == 0 ? 0 : string.Join(' ', said.Take(at)).Length + 1)]);
        })];
        var (places, lengths) = AnswerPlace.Of(rows, tokenizer);
        Assert.Equal(rows.Count, places.Count);
        Assert.Equal(lengths, places.Select(p => p.Length));
        foreach (var maxLength in new[] { 12, 24, 40, 512 })
        {
            var windowed = WindowedQuestion.Of([.. rows.Select(r => r.Text)], tokenizer, maxLength);
            for (var i = 0; i < rows.Count; i++)
            {
                var (row, windows) = (windowed[i], windowed[i].Windows);
                Assert.All(windows, w => Assert.InRange(w.Ids.Length, 3, maxLength));
                // A question that is cut can come out a token or two shorter than its half, so such rows are left to the look at the windows.
                if (!places[i].CutsQuestion(maxLength)) Assert.Equal(places[i].IsHeld(maxLength), row.Holds(rows[i].Answers[0]));
                Assert.Equal(maxLength == 512 && !places[i].CutsQuestion(maxLength), maxLength == 512 && windows.Count == 1);
                foreach (var (w, window) in windows.Index())
                {
                    var (start, end) = row.Places(w, rows[i].Answers[0]);
                    if (!window.IsContext(start)) { Assert.Equal((0, 0), (start, end)); continue; }
                    // Tokens may be larger than the answer, never smaller.
                    Assert.Contains(rows[i].Answers[0].Text, row.Context[window.Offsets[start].Start..window.Offsets[end].End]);
                }
                Assert.Equal(Enumerable.Range(0, row.Context.Length).Where(c => char.IsLetter(row.Context[c])), Enumerable.Range(0, row.Context.Length).Where(c => char.IsLetter(row.Context[c]) && windows.Any(w => w.Offsets.Any(o => o.Start <= c && c < o.End))));
            }
        }
    }

    [Fact]
    public void The_best_span_over_all_windows_wins_unless_no_answer_scores_more()
    {
        // [CLS] q [SEP] four tokens of context, in two windows that share two tokens.
        (int, int)[] Offsets(params (int, int)[] context) => [(0, 0), (0, 0), (0, 0), .. context];
        WindowedQuestion question = new("aa bb cc dd ee ff",
            [new(new int[7], new int[7], 0, Offsets((0, 2), (3, 5), (6, 8), (9, 11))), new(new int[7], new int[7], 0, Offsets((6, 8), (9, 11), (12, 14), (15, 17)))]);
        FoundAnswer Find(float[] s1, float[] e1, float[] s2, float[] e2) => AnswerSpans.Find(question, [(s1, e1), (s2, e2)]);
        // The best end stands before the best beginning, so the pair is none; tokens of the question are never taken.
        var found = Find([1, 9, 0, 0, 5, 0, 0], [1, 9, 0, 6, 0, 2, 0], [3, 0, 0, 0, 0, 4, 0], [3, 0, 0, 0, 0, 2.5f, 2]);
        Assert.Equal((3, "bb cc"), (found.Start, found.Text));
        Assert.InRange(found.Probability, 0.3, 0.9);
        // "No answer" has the lowest of the windows' scores.
        found = Find([9, 0, 0, 0, 2, 0, 0], [9, 0, 0, 0, 2, 0, 0], [1, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]);
        Assert.Equal("bb", found.Text);
        Assert.True(Find([9, 0, 0, 0, 2, 0, 0], [9, 0, 0, 0, 2, 0, 0], [3, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0]).IsNone);
        Assert.True(Find([1, 0, 0, float.NaN, float.NaN, float.NaN, float.NaN], [0, 0, 0, 0, 0, 0, 0], new float[7], new float[7]).Probability is >= 0 and <= 1);

        FoundAnswer FindLong(int tokens) => AnswerSpans.Find(new(new('x', 200), [new(new int[101], new int[101], 0, [(0, 0), .. Enumerable.Range(0, 100).Select(i => (i, i + 1))])]),
            [([0, 9, .. new float[99]], [0, .. Enumerable.Range(1, 100).Select(i => i == tokens ? 9f : 0f)])]);
        Assert.Equal((AnswerSpans.MostTokens, 1), (FindLong(AnswerSpans.MostTokens).Text.Length, FindLong(AnswerSpans.MostTokens + 1).Text.Length is var over && over <= AnswerSpans.MostTokens ? 1 : over));
    }

    [Fact]
    public void Padding_and_the_other_rows_of_a_batch_do_not_change_a_rows_loss()
    {
        using var scope = NewDisposeScope();
        var (model, _, _) = LoadClassifier.ForTraining(Repository.PracticeModel, [], 0, 3, EncoderHead.Answer);
        using var owned = model;
        model.eval();
        var rows = WindowedQuestion.Of([TextPair.Join("Who?", "Anna met Bob."), TextPair.Join("Where?", string.Join(' ', Enumerable.Repeat("in Dover", 20)))], Tokenizer.Load(Repository.PracticeModel), 64);
        double Loss(params int[] which)
        {
            var (logits, mask) = WindowedQuestion.Logits(batch => batch.Through(model, batch.AllRows), [.. which.Select(i => rows[i].Windows[0])], 0);
            return AnswerSpans.Loss(logits, tensor(which.Select(_ => 4L).ToArray()), tensor(which.Select(_ => 5L).ToArray()), mask).item<float>();
        }
        Assert.Equal((Loss(0) + Loss(1)) / 2, Loss(0, 1), 1e-5);
    }

    [Fact]
    public void Rows_that_teach_nothing_are_refused_with_a_sentence_and_long_ones_are_learned_in_windows()
    {
        string Message(FineTuneJob job) => Assert.Throws<TrainingException>(() => SmallTexts.Run(job)).Message;
        var job = Job("bad");
        Assert.Equal("Row 7 has a question without a context.", Message(job with { Train = [new QuestionedText(7, "Who?", [])] }));
        Assert.Equal("Row 7 has an answer at 3 that does not stand there in its context, which has 5 characters.", Message(job with { Train = [new QuestionedText(7, TextPair.Join("Who?", "short"), [new("short", 3)])] }));
        Assert.Equal("No train row has an answer; there is nothing to learn.", Message(job with { Train = [new QuestionedText(7, TextPair.Join("Who?", "short"), [])] }));
        var context = string.Join(' ', Enumerable.Range(0, 300).Select(i => i == 200 ? "Dover" : "parcel"));
        List<TrainingExample> rows = [.. SmallQuestions.Rows(15, 3), new QuestionedText(99, TextPair.Join("Where?", context), [new("Dover", context.IndexOf("Dover", StringComparison.Ordinal))])];
        var (result, events) = SmallTexts.Run(job with { Train = rows, Recipe = job.Recipe with { Epochs = 1, BatchSize = 4, MaxLength = 32 } });
        Assert.Equal(FineTuneOutcome.Finished, result.Outcome);
        Assert.All(events.OfType<StepDone>(), s => Assert.True(double.IsFinite(s.TrainLoss)));
        Assert.Contains(events.OfType<LogLine>(), l => l.Text.EndsWith("are longer than 32 tokens and are read in several windows."));
        // A very long context teaches the window of its answer and some others.
        var windowed = WindowedQuestion.Of(rows[^1].Text, Tokenizer.Load(Repository.PracticeModel), 32);
        QuestionTexts texts = new([windowed], [((QuestionedText)rows[^1]).Answers], 0);
        Assert.True(windowed.Windows.Count > 12);
        Assert.Equal(8, texts.Learned(0).Count);
        Assert.Contains(texts.Learned(0), w => w.Window.IsContext(w.Start));
        Assert.Equal(8, texts.Learned(0).Select(w => w.Window).Distinct().Count());
    }

    [Fact]
    public void The_pre_flight_tells_answers_that_no_window_holds()
    {
        List<AnswerPlace> places = [.. Enumerable.Range(0, 90).Select(_ => new AnswerPlace(6, 40, 3, 4, 3)), .. Enumerable.Range(0, 10).Select(_ => new AnswerPlace(6, 400, 50, 110, 3))];
        PreFlightFacts facts = new(100, 20, 1, [.. places.Select(p => p.Length)], 512, 2, null, "pretrained", Task: TextTask.QuestionAnswering) { AnswerPlaces = places };
        IReadOnlyList<PreFlightFinding> Check(int length) => PreFlight.Check(new RunRecipe { Metric = Metric.AnswerF1, MaxLength = length }, facts);
        Assert.Equal("10.0 % of the train rows' answers (10 of 100) are in no window whole, or have more than 64 tokens: the model learns that there is no answer in them. A larger max length makes windows and their overlap longer; shorten answers that are too long.", Check(64).Single(f => f.Id == "answers-lost").Sentence);
        Assert.Equal("10.0 % of the train rows (10 of 100) have more than 64 tokens with their question, and their contexts are read in windows that overlap by a quarter (the longest row has 409).", Check(64).Single(f => f.Id == "several-windows").Sentence);
        Assert.DoesNotContain(Check(512), f => f.Field == "MaxLength");
        Assert.Equal("100.0 % of the train rows' questions (100 of 100) take more than half of 12 tokens and lose their end; set a larger max length.", Check(12).Single(f => f.Id == "questions-cut").Sentence);
        Assert.DoesNotContain(Check(64), f => f.Id is "text-cut" or "few-rows-per-label");
        var cost = DryRun.Measure(new(SmallTexts.Recipe with { Metric = Metric.AnswerF1, MaxLength = 64 }, Repository.PracticeModel, 0, facts.TokenLengths, 20, Task: TextTask.QuestionAnswering), default);
        Assert.Equal(64, cost.LongestTokens);
        Assert.True(cost.EvaluationSeconds > 0);
        // What is measured for a row of several windows is a step of as many.
        using var objective = Objective.For(TextTask.QuestionAnswering, SmallTexts.Recipe with { MaxLength = 64 }, Repository.PracticeModel, []);
        var random = (QuestionTexts)objective.Random([40, 64, 65, 160]);
        Assert.Equal([1, 1, 2, 3], Enumerable.Range(0, 4).Select(row => random.Learned(row).Count));
    }

    [Fact]
    public void The_baselines_know_what_training_said_and_nothing_else()
    {
        var most = MostFrequentAnswer.Fit(["the Harbour", "Oslo", "harbour", ""]);
        Assert.Equal(("the Harbour", 2), (most.Answer, most.Rows));
        Assert.Equal("", MostFrequentAnswer.Fit(["", "x", ""]).Answer);
        var window = SlidingWindow.Fit([("The lamp stands in the hall.", "the hall"), ("A boat lies in the old harbour.", "old harbour"), ("The door is red.", "")]);
        Assert.Equal(2, window.Length);
        Assert.Equal("old harbour", window.Predict("Where is the boat in the hall?", "The lamp is red. A boat in the hall old harbour."));
        Assert.Equal("", window.Predict("What?", "!?"));
        Assert.Equal("", window.Predict("What?", ""));
    }

    public void Dispose() => folder.Dispose();
}
