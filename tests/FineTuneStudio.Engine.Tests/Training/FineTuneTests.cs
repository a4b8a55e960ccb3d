using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Training;

[Collection("training")]
public sealed class FineTuneTests(WholeRun whole) : IClassFixture<WholeRun>, IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void A_run_learns_reports_each_step_and_keeps_its_best_checkpoint()
    {
        var (job, result, events) = (whole.Job, whole.Result, whole.Events);
        var evaluations = events.OfType<EvaluationDone>().ToList();
        Assert.Equal((FineTuneOutcome.Finished, 90, Path.Combine(job.OutputFolder, "best")), (result.Outcome, result.StepsDone, result.BestFolder));
        Assert.Equal(Enumerable.Range(1, 90), events.OfType<StepDone>().Select(s => s.Step));
        Assert.Equal([15, 30, 45, 60, 75, 90], evaluations.Select(e => e.Step));
        Assert.True(evaluations.Max(e => e[Metric.Accuracy]) > 0.9, $"accuracy {evaluations.Max(e => e[Metric.Accuracy])}");
        Assert.Equal(evaluations.Max(e => e[Metric.Accuracy]), result.BestMetric);
        Assert.Equal(evaluations.Where(e => e[Metric.Accuracy] == result.BestMetric).MinBy(e => e.ValidationLoss)!.Step, result.BestStep);
        Assert.Equal(evaluations.Where(e => e.IsBest).Select(e => e.Step), events.OfType<CheckpointSaved>().Where(c => c.Best).Select(c => c.Step));
        var loaded = Assert.Single(events.OfType<WeightsLoaded>());
        Assert.Equal(1.0, loaded.Report.BackboneShare);
        Assert.Equal(loaded.TotalParameters, loaded.TrainableParameters);
        Assert.Equal(0, events.OfType<StepDone>().First().LearningRate);
        Assert.All(events.OfType<StepDone>(), s => Assert.True(s.ExamplesPerSecond > 0 && s.MemoryBytes > 0 && double.IsFinite(s.GradientNorm)));

        using var classifier = TextClassifier.Load(result.BestFolder!);
        Assert.Equal(SmallTexts.Labels, classifier.Labels);
        // In the run's own batches, because another shape rounds otherwise and could tip a label that is nearly a tie.
        var probabilities = classifier.Predict(job.Validation.Select(r => r.Text).ToList(), maxLength: 32, batchSize: TrainingLoop.EvaluationBatchSize);
        Assert.All(probabilities, p => Assert.Equal(1, p.Sum(), 4));
        var right = probabilities.Zip(job.Validation).Count(p => Array.IndexOf(p.First, p.First.Max()) == ((LabeledText)p.Second).Label);
        Assert.Equal(result.BestMetric, (double)right / job.Validation.Count, 9);
    }

    [Fact]
    public void The_same_seed_gives_the_same_losses_and_another_seed_does_not()
    {
        var recipe = SmallTexts.Recipe with { Epochs = 1, EvaluationsPerEpoch = 0 };
        double[] Losses(RunRecipe r) => SmallTexts.Run(SmallTexts.Job(folder.Path, r)).Events.OfType<StepDone>().Select(s => s.TrainLoss).ToArray();
        var first = Losses(recipe);
        Assert.Equal(first, Losses(recipe));
        Assert.NotEqual(first, Losses(recipe with { Seed = 43 }));
    }

    [Theory]
    [InlineData(11)]
    [InlineData(30)]
    [InlineData(47)]
    public void A_run_killed_at_any_step_and_resumed_gives_the_losses_of_one_never_interrupted(int killedAfter)
    {
        var job = SmallTexts.Job(folder.File("cut"));
        var before = new List<TrainingEvent>();
        // The exception from the report is the nearest a test comes to a kill: nothing after the step runs, nothing is saved.
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(job, e =>
        {
            before.Add(e);
            if (e is StepDone step && step.Step == killedAfter) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        var (result, after) = SmallTexts.Run(job, resume: true);

        var resumedAfter = after.OfType<StepDone>().First().Step - 1;
        Assert.Equal(killedAfter / 15 * 15 == killedAfter ? killedAfter - 15 : killedAfter / 15 * 15, resumedAfter);
        Assert.Equal(Losses(whole.Events), Losses(before.Where(e => e is StepDone s && s.Step <= resumedAfter).Concat(after)));
        Assert.Equal(whole.Events.OfType<EvaluationDone>().Where(e => e.Step > resumedAfter).Select(Numbers), after.OfType<EvaluationDone>().Select(Numbers));

        Assert.Equal(whole.Result with { BestFolder = null }, result with { BestFolder = null });
        AssertSameWeights(whole.Result.BestFolder!, result.BestFolder!);

        static string Numbers(EvaluationDone e) => JsonSerializer.Serialize(e);
    }

    [Fact]
    public void A_cancelled_process_saves_where_it_stands_and_resumes_exactly_there()
    {
        var job = SmallTexts.Job(folder.File("cut"));
        using var source = new CancellationTokenSource();
        var before = new List<TrainingEvent>();
        Assert.Throws<OperationCanceledException>(() => FineTune.Run(job, e =>
        {
            before.Add(e);
            if (e is StepDone { Step: 23 }) source.Cancel();
        }, () => StopRequest.None, source.Token));
        Assert.Equal(23, before.OfType<CheckpointSaved>().Last().Step);
        var (_, after) = SmallTexts.Run(job, resume: true);
        Assert.Equal(24, after.OfType<StepDone>().First().Step);
        Assert.Equal(Losses(whole.Events), Losses(before.Concat(after)));
    }

    private static double[] Losses(IEnumerable<TrainingEvent> events) => events.OfType<StepDone>().Select(s => s.TrainLoss).ToArray();

    private static void AssertSameWeights(string left, string right)
    {
        using var a = SafetensorsFile.Open(Path.Combine(left, "model.safetensors"));
        using var b = SafetensorsFile.Open(Path.Combine(right, "model.safetensors"));
        Assert.All(a.Entries.Keys, name => Assert.True(a.Bytes(name).SequenceEqual(b.Bytes(name)), name));
    }

    [Fact]
    public void A_checkpoint_of_another_recipe_or_other_rows_is_refused()
    {
        var job = SmallTexts.Job(folder.Path, SmallTexts.Recipe with { Epochs = 1 });
        SmallTexts.Run(job);
        Assert.Equal("The last checkpoint was made with another recipe, so the run cannot go on from it; start the run anew.",
            Assert.Throws<TrainingException>(() => SmallTexts.Run(job with { Recipe = job.Recipe with { Seed = 1 } }, resume: true)).Message);
        Assert.StartsWith("The last checkpoint was made with other train or validation rows",
            Assert.Throws<TrainingException>(() => SmallTexts.Run(job with { Train = job.Train.Skip(1).ToList() }, resume: true)).Message);
        File.WriteAllText(Path.Combine(folder.Path, "last", "state.json"), "null");
        Assert.Equal("The last checkpoint cannot be read (state.json is empty); start the run anew.", Assert.Throws<TrainingException>(() => SmallTexts.Run(job, resume: true)).Message);
        File.WriteAllText(Path.Combine(folder.Path, "last", "state.json"), "{ \"Step\": ");
        Assert.StartsWith("The last checkpoint cannot be read", Assert.Throws<TrainingException>(() => SmallTexts.Run(job, resume: true)).Message);
    }

    [Fact]
    public void The_best_folder_is_the_base_folder_but_for_head_and_labels()
    {
        var (mine, theirs) = (whole.Result.BestFolder!, Repository.PracticeModel);
        Assert.Equal(Directory.GetFiles(theirs).Select(Path.GetFileName).Where(f => f != "README.md").Order(), Directory.GetFiles(mine).Select(Path.GetFileName).Order());
        foreach (var name in new[] { "vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(theirs, name)), File.ReadAllBytes(Path.Combine(mine, name)));

        using var a = SafetensorsFile.Open(Path.Combine(theirs, "model.safetensors"));
        using var b = SafetensorsFile.Open(Path.Combine(mine, "model.safetensors"));
        Assert.Equal(a.Entries.Keys.Order(), b.Entries.Keys.Order());
        Assert.All(a.Entries.Values, e => Assert.Equal((e.Dtype, string.Join(',', e.Shape)), (b.Entries[e.Name].Dtype, string.Join(',', b.Entries[e.Name].Shape))));
        Assert.Equal("pt", b.Metadata["format"]);

        JsonObject Config(string path) => JsonNode.Parse(File.ReadAllText(Path.Combine(path, "config.json")))!.AsObject();
        var (before, after) = (Config(theirs), Config(mine));
        Assert.Equal(before.Select(p => p.Key), after.Select(p => p.Key));
        Assert.Equal("""{"0":"delivery","1":"payment","2":"praise"}""", after["id2label"]!.ToJsonString());
        Assert.Equal("""{"delivery":0,"payment":1,"praise":2}""", after["label2id"]!.ToJsonString());
        Assert.All(before.Where(p => p.Key is not ("id2label" or "label2id")), p => Assert.Equal(p.Value?.ToJsonString(), after[p.Key]?.ToJsonString()));
    }

    [Fact]
    public void Early_stopping_ends_the_run_after_its_patience()
    {
        // The validation rows bear the next label, so whatever is learned makes them worse.
        var job = SmallTexts.Job(folder.Path, SmallTexts.Recipe with { EarlyStoppingPatience = 2, Metric = Metric.ValidationLoss });
        var (result, events) = SmallTexts.Run(job with { Validation = [.. job.Validation.Cast<LabeledText>().Select(r => r with { Label = (r.Label + 1) % 3 })] });
        Assert.Equal((FineTuneOutcome.StoppedEarly, 15, 45), (result.Outcome, result.BestStep, result.StepsDone));
        Assert.Equal(3, events.OfType<EvaluationDone>().Count());
    }

    [Fact]
    public void A_score_that_stands_still_ends_no_run_whose_validation_loss_falls_also_when_it_is_resumed()
    {
        // At this rate the accuracy does not move in three epochs, and the loss does.
        var recipe = SmallTexts.Recipe with { LearningRate = 1e-6, EarlyStoppingPatience = 1 };
        var (result, events) = SmallTexts.Run(SmallTexts.Job(folder.File("whole"), recipe));
        var evaluations = events.OfType<EvaluationDone>().ToList();
        Assert.Single(evaluations.Select(e => e[Metric.Accuracy]).Distinct());
        Assert.Equal(evaluations.OrderByDescending(e => e.ValidationLoss), evaluations);
        Assert.Equal((FineTuneOutcome.Finished, 90, true), (result.Outcome, result.BestStep, evaluations.All(e => e.IsBest)));

        var cut = SmallTexts.Job(folder.File("cut"), recipe);
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(cut, e => { if (e is StepDone { Step: 47 }) throw new InvalidOperationException("killed"); }, () => StopRequest.None, default));
        Assert.Equal(evaluations[2].ValidationLoss, JsonDocument.Parse(File.ReadAllText(folder.File("cut/last/state.json"))).RootElement.GetProperty("BestLoss").GetDouble());
        var (resumed, after) = SmallTexts.Run(cut, resume: true);
        Assert.Equal(evaluations.Skip(3).Select(e => (e.Step, e.ValidationLoss, e.IsBest)), after.OfType<EvaluationDone>().Select(e => (e.Step, e.ValidationLoss, e.IsBest)));
        Assert.Equal(result with { BestFolder = null }, resumed with { BestFolder = null });
    }

    [Fact]
    public void A_person_who_stops_keeps_the_best_and_one_who_cancels_just_ends()
    {
        var job = SmallTexts.Job(folder.File("stop"));
        var (stopped, events) = SmallTexts.Run(job, e => e.OfType<StepDone>().Count() == 20 ? StopRequest.Stop : StopRequest.None);
        Assert.Equal((FineTuneOutcome.StoppedByPerson, 20), (stopped.Outcome, stopped.StepsDone));
        Assert.Equal([15, 20], events.OfType<EvaluationDone>().Select(e => e.Step));
        Assert.True(Directory.Exists(stopped.BestFolder));
        var (cancelled, _) = SmallTexts.Run(SmallTexts.Job(folder.File("cancel")), e => e.OfType<StepDone>().Count() == 5 ? StopRequest.Cancel : StopRequest.None);
        Assert.Equal(new(FineTuneOutcome.Cancelled, 0, double.NaN, 5, null), cancelled);
    }

    [Fact]
    public void A_person_who_cancels_amid_an_evaluation_does_not_wait_for_its_end()
    {
        var job = SmallTexts.Job(folder.Path, validation: 640);
        var (asked, askedAfterStep15) = (0, 0);
        var events = new List<TrainingEvent>();
        var result = FineTune.Run(job, events.Add, () =>
        {
            asked++;
            if (events.OfType<StepDone>().LastOrDefault()?.Step != 15) return StopRequest.None;
            return ++askedAfterStep15 == 3 ? StopRequest.Cancel : StopRequest.None;
        }, default);
        Assert.Equal(new(FineTuneOutcome.Cancelled, 0, double.NaN, 15, null), result);
        // 15 steps, then two of the evaluation's ten batches and the answer before the third.
        Assert.Equal(18, asked);
        Assert.Empty(events.OfType<EvaluationDone>());
    }

    [Fact]
    public void What_a_killed_process_left_half_written_is_gone_after_the_next_best_checkpoint()
    {
        var job = SmallTexts.Job(folder.Path);
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(job, e =>
        {
            if (e is StepDone { Step: 20 }) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        foreach (var half in new[] { "best/model.safetensors.7-1.tmp", "last/checkpoint-20.safetensors.7-1.tmp" }) File.WriteAllText(folder.File(half), "half");
        SmallTexts.Run(job, resume: true);
        Assert.Empty(Directory.GetFiles(folder.Path, "*.tmp", SearchOption.AllDirectories));
        Assert.Equal(["checkpoint-90.safetensors", "state.json"], Directory.GetFiles(folder.File("last")).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void A_base_inside_the_folders_that_a_run_replaces_is_refused_and_kept()
    {
        var job = SmallTexts.Job(folder.Path, SmallTexts.Recipe with { Epochs = 1 });
        var best = SmallTexts.Run(job).Result.BestFolder!;
        Assert.Equal("The base model lies in the folder best of the output folder, which the run replaces; choose another output folder.",
            Assert.Throws<TrainingException>(() => SmallTexts.Run(job with { BaseFolder = best })).Message);
        Assert.True(File.Exists(Path.Combine(best, "model.safetensors")));
        var (next, _) = SmallTexts.Run(job with { BaseFolder = best, OutputFolder = folder.File("next") });
        Assert.Equal(FineTuneOutcome.Finished, next.Outcome);
    }

    [Fact]
    public void A_tokenizer_that_makes_nothing_of_a_text_trains_and_predicts_all_the_same()
    {
        var bare = folder.File("bare");
        Directory.CreateDirectory(bare);
        foreach (var name in new[] { "config.json", "model.safetensors" }) File.Copy(Path.Combine(Repository.PracticeModel, name), Path.Combine(bare, name));
        var tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.PracticeModel, "tokenizer.json")))!;
        tokenizer["post_processor"] = null;
        File.WriteAllText(Path.Combine(bare, "tokenizer.json"), tokenizer.ToJsonString());
        var job = SmallTexts.Job(folder.File("out"), SmallTexts.Recipe with { Epochs = 1, BatchSize = 1 }, train: 6, validation: 3) with { BaseFolder = bare };
        var (result, _) = SmallTexts.Run(job with { Train = [.. job.Train, new LabeledText(99, "", 0)] });
        using var classifier = TextClassifier.Load(result.BestFolder!);
        Assert.Equal(1, classifier.Predict([""])[0].Sum(), 5);
    }

    [Fact]
    public void Without_evaluations_the_last_weights_are_the_model()
    {
        var (result, events) = SmallTexts.Run(SmallTexts.Job(folder.Path, SmallTexts.Recipe with { Epochs = 1, EvaluationsPerEpoch = 0 }, validation: 0));
        Assert.Equal((30, double.NaN), (result.BestStep, result.BestMetric));
        Assert.Empty(events.OfType<EvaluationDone>());
        TextClassifier.Load(result.BestFolder!).Dispose();
    }

    [Theory]
    [InlineData(TrainableLayers.HeadOnly, new[] { "classifier." })]
    [InlineData(TrainableLayers.LastBlocks, new[] { "classifier.", "bert.encoder.layer.1.", "bert.pooler." })]
    public void Frozen_layers_stay_as_the_base_has_them(TrainableLayers layers, string[] trained)
    {
        var (result, events) = SmallTexts.Run(SmallTexts.Job(folder.Path, SmallTexts.Recipe with { Epochs = 1, TrainableLayers = layers }));
        var loaded = events.OfType<WeightsLoaded>().Single();
        Assert.True(loaded.TrainableParameters < loaded.TotalParameters);
        using var before = SafetensorsFile.Open(Path.Combine(Repository.PracticeModel, "model.safetensors"));
        using var after = SafetensorsFile.Open(Path.Combine(result.BestFolder!, "model.safetensors"));
        foreach (var name in before.Entries.Keys)
            Assert.Equal(!trained.Any(name.StartsWith), before.Bytes(name).SequenceEqual(after.Bytes(name)));
    }

    [Fact]
    public void A_diverging_run_stops_with_a_sentence_and_keeps_its_last_good_checkpoint()
    {
        var job = SmallTexts.Job(folder.Path, SmallTexts.Recipe with { LearningRate = 1, GradientClipping = 0, WarmupRatio = 0, Schedule = Schedule.Constant, Epochs = 20, EvaluationsPerEpoch = 10 });
        var error = Assert.Throws<TrainingException>(() => SmallTexts.Run(job));
        Assert.StartsWith("The run diverged ", error.Message);
        Assert.Contains("Try a learning rate below 1e0", error.Message);
    }

    [Fact]
    public void Jobs_that_cannot_be_trained_say_why()
    {
        var job = SmallTexts.Job(folder.Path);
        string Message(FineTuneJob broken) => Assert.Throws<TrainingException>(() => SmallTexts.Run(broken)).Message;
        Assert.Equal("There are no train rows to learn from.", Message(job with { Train = [] }));
        Assert.Equal("The data has only the label \"a\"; a classifier needs at least two.", Message(job with { Labels = ["a"] }));
        Assert.Equal("The label \"a\" is listed twice.", Message(job with { Labels = ["a", "a", "b"] }));
        Assert.Equal("All train rows have the label \"payment\"; a classifier needs rows of at least two labels.", Message(job with { Train = job.Train.Cast<LabeledText>().Where(r => r.Label == 1).ToList() }));
        Assert.Equal("Row 9 has label number 3, but labels are numbered 0 to 2.", Message(job with { Train = [.. job.Train, new LabeledText(9, "x", 3)] }));
        Assert.StartsWith("There are no validation rows to evaluate on;", Message(job with { Validation = [] }));
        Assert.Equal("The recipe is not valid. Epochs is 0; expected a whole number from 1 to 100.", Message(job with { Recipe = job.Recipe with { Epochs = 0 } }));
        Assert.Equal("Max length is 256 tokens but the base model has only 128 positions; set it to 128 or less.", Message(job with { Recipe = job.Recipe with { MaxLength = 256 } }));
    }

    [Fact]
    public void A_run_of_so_many_steps_that_is_only_measured_takes_them_evaluates_at_the_end_and_leaves_files_as_they_are()
    {
        var best = Directory.CreateDirectory(folder.File("best")).FullName;
        File.WriteAllText(Path.Combine(best, "model.safetensors"), "of another run");
        var job = SmallTexts.Job(folder.Path, train: 12);
        var (result, events) = SmallTexts.Run(job with { Steps = 25, Saves = false });
        Assert.Equal((FineTuneOutcome.Finished, 25, null), (result.Outcome, result.StepsDone, result.BestFolder));
        Assert.Equal([13, 25], events.OfType<EvaluationDone>().Select(e => e.Step));
        Assert.Empty(events.OfType<CheckpointSaved>());
        Assert.Equal("of another run", File.ReadAllText(Path.Combine(best, "model.safetensors")));
        Assert.Single(Directory.EnumerateFileSystemEntries(folder.Path));
        // It is the same run as one that saves.
        Assert.Equal(events.OfType<StepDone>().Select(s => s.TrainLoss), SmallTexts.Run(job with { Steps = 25, OutputFolder = folder.File("saved") }).Events.OfType<StepDone>().Select(s => s.TrainLoss));
    }

    [Fact]
    public void Hundreds_of_steps_leave_no_tensor_behind()
    {
        var job = SmallTexts.Job(folder.Path, SmallTexts.Recipe with { Epochs = 10, EvaluationsPerEpoch = 1 });
        Settle();
        var before = torch.Tensor.TotalCount;
        var live = new List<long>();
        FineTune.Run(job, e => { if (e is StepDone { Step: > 5 }) live.Add(torch.Tensor.TotalCount); }, () => StopRequest.None, default);
        Assert.Equal(295, live.Count);
        // A padded batch holds a few tensors more than one without a mask, so the tops are compared.
        Assert.Equal(live[..100].Max(), live[^100..].Max());
        // Without help from the garbage collector: whatever a run makes, it frees.
        Assert.Equal(before, torch.Tensor.TotalCount);

        Assert.Throws<TrainingException>(() => SmallTexts.Run(job with { Recipe = job.Recipe with { MaxLength = 256 } }));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => SmallTexts.Run(job, cancel: cancelled.Token));
        Assert.Equal(before, torch.Tensor.TotalCount);
    }

    /// <summary>Tensors that other tests left to the collector are gone, so that counts compare.</summary>
    private static void Settle()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    public void Dispose() => folder.Dispose();
}

/// <summary>A run that nothing interrupted, which several tests look at.</summary>
public sealed class WholeRun : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public WholeRun()
    {
        Job = SmallTexts.Job(folder.Path);
        (Result, Events) = SmallTexts.Run(Job);
    }

    public FineTuneJob Job { get; }

    public FineTuneResult Result { get; }

    public List<TrainingEvent> Events { get; }

    public void Dispose() => folder.Dispose();
}

/// <summary>Tests that use the process's tensors run one after the other, so that they can count them.</summary>
[CollectionDefinition("training", DisableParallelization = true)]
public sealed class TrainingCollection;
