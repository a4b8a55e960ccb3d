using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

public class PreFlightTests
{
    private static readonly PreFlightFacts Ordinary = new(TrainRows: 8000, ValidationRows: 1000, Labels: 77,
        TokenLengths: Enumerable.Range(0, 8000).Select(i => 10 + i % 50).ToList(), MaxPositions: 512, Blocks: 12, SuggestedLearningRate: null, Origin: "pretrained");

    private static PreFlightFinding Single(string id, RunRecipe recipe, PreFlightFacts? facts = null) =>
        Assert.Single(PreFlight.Check(recipe, facts ?? Ordinary), f => f.Id == id);

    private static void Silent(string id, RunRecipe recipe, PreFlightFacts? facts = null) =>
        Assert.DoesNotContain(PreFlight.Check(recipe, facts ?? Ordinary), f => f.Id == id);

    [Fact]
    public void The_default_recipe_on_ordinary_data_has_no_finding_and_early_stopping_can_act() =>
        Assert.Empty(PreFlight.Check(new RunRecipe(), Ordinary));

    [Fact]
    public void A_field_out_of_range_blocks_with_the_recipes_own_sentence()
    {
        var finding = Single("out-of-range", new RunRecipe { Epochs = 0 });
        Assert.Equal(new("out-of-range", Severity.Block, "Epochs is 0; expected a whole number from 1 to 100.", "Epochs"), finding);
    }

    [Fact]
    public void No_train_rows_and_a_single_label_block()
    {
        Assert.Equal(Severity.Block, Single("no-train-rows", new(), Ordinary with { TrainRows = 0, TokenLengths = [] }).Severity);
        Assert.Equal("The data has 1 label; a classifier needs at least two.", Single("one-label", new(), Ordinary with { Labels = 1 }).Sentence);
    }

    [Fact]
    public void Patience_that_can_never_fire_is_named_with_the_largest_that_can()
    {
        Assert.Equal("Early stopping patience is 5 but the run has only 6 evaluations, so it can never act; choose at most 4, or evaluate more often.",
            Single("patience-never-fires", new RunRecipe { EarlyStoppingPatience = 5 }).Sentence);
        Silent("patience-never-fires", new RunRecipe { EarlyStoppingPatience = 4 });
        Silent("patience-never-fires", new RunRecipe { EarlyStoppingPatience = 0 });
        Assert.StartsWith("Early stopping can never act: the run has only 2 evaluations.", Single("patience-never-fires", new RunRecipe { Epochs = 1 }).Sentence);
    }

    [Fact]
    public void Evaluations_off_make_patience_and_the_metric_inert()
    {
        var off = new RunRecipe { EvaluationsPerEpoch = 0, Metric = Metric.Accuracy };
        Assert.Equal("Early stopping patience is 3 but evaluations are off, so it can never act; turn evaluations on or set it to 0.", Single("patience-without-evaluation", off).Sentence);
        Assert.Equal("Metric", Single("metric-inert", off).Field);
        Assert.Equal(Severity.Warn, Single("evaluation-off", off).Severity);
    }

    [Fact]
    public void Bf16_on_a_processor_without_its_instructions_is_said_to_be_slower()
    {
        var bf16 = new RunRecipe { Precision = Precision.Bf16 };
        var finding = Single("bf16-without-instructions", bf16, Ordinary with { Bf16Instructions = false });
        Assert.Equal(new("bf16-without-instructions", Severity.Warn, "Precision is bf16 mixed, but the processor has no bf16 instructions (avx512_bf16 or amx_bf16): the run works, and is slower than in float32.", "Precision"), finding);
        Assert.Empty(PreFlight.Check(bf16, Ordinary with { Bf16Instructions = true }));
        Assert.Empty(PreFlight.Check(bf16, Ordinary));
        Assert.Empty(PreFlight.Check(new(), Ordinary with { Bf16Instructions = false }));
    }

    [Fact]
    public void Activation_checkpointing_without_blocks_to_compute_again_is_named()
    {
        var on = new RunRecipe { ActivationCheckpointing = ActivationCheckpointing.On };
        Assert.Empty(PreFlight.Check(on, Ordinary));
        Assert.Equal(new("checkpointing-inert", Severity.Warn, "Activation checkpointing is on but has no effect, because only the head trains and no block is computed again.", "ActivationCheckpointing"),
            Single("checkpointing-inert", on with { TrainableLayers = TrainableLayers.HeadOnly }));
        Assert.Equal("Activation checkpointing is on but saves next to nothing, because only one block trains and backward needs all of what it computes; turn it off, for it costs time.",
            Single("checkpointing-one-block", on with { TrainableLayers = TrainableLayers.LastBlocks }).Sentence);
        Single("checkpointing-one-block", on, Ordinary with { Blocks = 1 });
        Silent("checkpointing-one-block", on with { TrainableLayers = TrainableLayers.LastBlocks, LastBlocks = 2 });
        Silent("checkpointing-inert", on with { TrainableLayers = TrainableLayers.HeadOnly, Method = TrainingMethod.Lora });
    }

    [Fact]
    public void An_empty_validation_part_blocks_unless_evaluations_are_off()
    {
        Assert.Equal(Severity.Block, Single("no-validation-rows", new(), Ordinary with { ValidationRows = 0 }).Severity);
        Silent("no-validation-rows", new RunRecipe { EvaluationsPerEpoch = 0 }, Ordinary with { ValidationRows = 0 });
        Assert.StartsWith("Validation has 100 rows for 77 labels;", Single("small-validation", new(), Ordinary with { ValidationRows = 100 }).Sentence);
    }

    [Fact]
    public void Warm_up_that_takes_the_whole_run_blocks()
    {
        var oneStep = Ordinary with { TrainRows = 16, Labels = 2, TokenLengths = [10] };
        Assert.Equal("The run has only 1 step and warm-up takes 1 step, so the learning rate never reaches its value; set warm-up to 0 or train for more epochs or with a smaller batch.",
            Single("warm-up-whole-run", new RunRecipe { Epochs = 1 }, oneStep).Sentence);
        Silent("warm-up-whole-run", new RunRecipe { Epochs = 1, WarmupRatio = 0 }, oneStep);
        Assert.Equal("Warm-up takes 2 of the run's 3 steps; the learning rate is at its value for almost none of the run.",
            Single("warm-up-most-of-run", new RunRecipe { Epochs = 3, WarmupRatio = 0.5 }, oneStep).Sentence);
    }

    [Fact]
    public void Texts_cut_for_more_than_one_percent_of_rows_are_counted_with_the_length_that_would_do()
    {
        // 1,000 rows: 23 of 200 tokens, 977 of 20.
        var facts = Ordinary with { TokenLengths = Enumerable.Repeat(20, 977).Concat(Enumerable.Range(190, 23)).ToList() };
        Assert.Equal("2.3 % of the train rows (23 of 1000) are longer than 128 tokens and will be cut; a max length of 202 would cut at most 1 % (the longest row has 212).",
            Single("text-cut", new(), facts).Sentence);
        Silent("text-cut", new RunRecipe { MaxLength = 202 }, facts);
        Single("text-cut", new RunRecipe { MaxLength = 201 }, facts);
        Assert.Contains("tokens and will lose the beginning of their prompt, and the end of their answer where that is not enough; a max length", Single("text-cut", new() { Metric = Metric.Perplexity }, facts with { Task = TextTask.Generation }).Sentence);
        Assert.Contains("tokens and will be learned from their beginning only; a max length", Single("text-cut", new() { Metric = Metric.EntityF1 }, facts with { Task = TextTask.TokenClassification }).Sentence);
        Assert.Contains("it would take 202 to cut at most 1 %, which is more than the 128 this model allows", Single("text-cut", new(), facts with { MaxPositions = 128 }).Sentence);
    }

    [Fact]
    public void Exactly_one_percent_of_rows_cut_is_not_a_finding() =>
        Silent("text-cut", new(), Ordinary with { TokenLengths = Enumerable.Repeat(20, 990).Concat(Enumerable.Repeat(300, 10)).ToList() });

    [Fact]
    public void Max_length_beyond_the_models_positions_blocks() =>
        Assert.Equal("Max length is 256 tokens but the base model has only 128 positions; set it to 128 or less.",
            Single("max-length-over-positions", new RunRecipe { MaxLength = 256 }, Ordinary with { MaxPositions = 128 }).Sentence);

    [Fact]
    public void More_last_blocks_than_blocks_blocks_and_an_unused_number_is_called_inert()
    {
        Assert.Equal(Severity.Block, Single("last-blocks-over-blocks", new RunRecipe { TrainableLayers = TrainableLayers.LastBlocks, LastBlocks = 13 }).Severity);
        Assert.Equal("Last blocks is set to 3 but has no effect, because trainable layers is All.", Single("last-blocks-inert", new RunRecipe { LastBlocks = 3 }).Sentence);
        Assert.Equal(Severity.Note, Single("last-blocks-are-all", new RunRecipe { TrainableLayers = TrainableLayers.LastBlocks, LastBlocks = 12 }).Severity);
    }

    [Fact]
    public void Head_only_names_what_dropout_and_weight_decay_still_do()
    {
        var head = new RunRecipe { TrainableLayers = TrainableLayers.HeadOnly, Dropout = 0.1 };
        Assert.Equal("Dropout", Single("dropout-head-only", head).Field);
        Assert.Equal("WeightDecay", Single("weight-decay-head-only", head).Field);
        Assert.Equal(Severity.Warn, Single("head-only-on-random", head, Ordinary with { Origin = "random" }).Severity);
        Silent("dropout-head-only", head with { Dropout = null });
    }

    [Fact]
    public void A_learning_rate_far_from_what_the_model_suggests_is_named()
    {
        var practice = Ordinary with { SuggestedLearningRate = 1e-3, Origin = "random" };
        Assert.Equal("The learning rate is 5e-5; this base model suggests 1e-3, 20 times more.", Single("rate-unlike-suggested", new(), practice).Sentence);
        Silent("rate-unlike-suggested", new RunRecipe { LearningRate = 1e-3 }, practice);
    }

    [Fact]
    public void A_learning_rate_outside_the_band_for_its_origin_is_named()
    {
        Assert.StartsWith("The learning rate is 1e-3, far above", Single("rate-too-high", new RunRecipe { LearningRate = 1e-3 }).Sentence);
        Assert.StartsWith("The learning rate is 1e-6, far below", Single("rate-too-low", new RunRecipe { LearningRate = 1e-6 }).Sentence);
        Silent("rate-too-high", new RunRecipe { LearningRate = 1e-3, TrainableLayers = TrainableLayers.HeadOnly });
        Assert.StartsWith("The learning rate is 5e-5; a model with random weights", Single("rate-low-for-random", new(), Ordinary with { Origin = "random" }).Sentence);
    }

    [Fact]
    public void Dropout_on_random_weights_is_named() =>
        Assert.Equal("Dropout is 0.1 on a base model with random weights: it has nothing to over-fit yet, and learns far more slowly with dropout; leave it as the model has it.",
            Single("dropout-on-random", new RunRecipe { Dropout = 0.1 }, Ordinary with { Origin = "random" }).Sentence);

    [Fact]
    public void Only_a_declared_origin_counts_as_pretrained()
    {
        Assert.Equal(Severity.Warn, Single("origin-unknown", new(), Ordinary with { Origin = "unknown" }).Severity);
        Assert.Equal(Severity.Warn, Single("origin-random", new RunRecipe { LearningRate = 1e-3 }, Ordinary with { Origin = "random" }).Severity);
    }

    [Fact]
    public void A_batch_larger_than_the_data_and_too_many_evaluations_are_named()
    {
        var small = Ordinary with { TrainRows = 40, Labels = 2, TokenLengths = [10] };
        Assert.Equal("The batch size is 64 but there are only 40 train rows, so every epoch is one step; choose at most 5.", Single("batch-larger-than-data", new RunRecipe { BatchSize = 64 }, small).Sentence);
        Assert.Equal("EvaluationsPerEpoch", Single("more-evaluations-than-steps", new RunRecipe { EvaluationsPerEpoch = 4 }, small).Field);
        Single("few-steps", new(), small);
        Single("few-rows-per-label", new(), small with { Labels = 6 });
    }

    [Fact]
    public void Findings_that_block_come_first()
    {
        var findings = PreFlight.Check(new RunRecipe { MaxLength = 256, LastBlocks = 2, EarlyStoppingPatience = 50 }, Ordinary with { MaxPositions = 128 });
        Assert.Equal(findings.Select(f => f.Severity).Order(), findings.Select(f => f.Severity));
        Assert.Equal(Severity.Block, findings[0].Severity);
    }

    [Fact]
    public void Accumulation_without_a_second_batch_or_beyond_the_data_is_named()
    {
        var small = Ordinary with { TrainRows = 40, Labels = 2, TokenLengths = [10] };
        Assert.Equal("Accumulated batches is 4 but has no effect, because one batch of 40 already takes all 40 train rows.",
            Single("accumulation-inert", new RunRecipe { BatchSize = 40, GradientAccumulation = 4 }, small).Sentence);
        Assert.Equal("8 accumulated batches of 16 make 128 rows a step but there are only 40 train rows, so every epoch is one step; choose a product of at most 5.",
            Single("batch-larger-than-data", new RunRecipe { BatchSize = 16, GradientAccumulation = 8 }, small).Sentence);
        Silent("accumulation-inert", new RunRecipe { GradientAccumulation = 8 });
    }

    [Fact]
    public void Losses_that_contradict_each_other_block_and_weights_on_equal_counts_are_inert()
    {
        Assert.Equal(Severity.Block, Single("contradiction", new RunRecipe { LabelSmoothing = 0.1, FocalGamma = 2 }).Severity);
        var balanced = new RunRecipe { ClassWeights = ClassWeighting.Balanced };
        Assert.Equal("Class weights is set to balanced but has no effect, because every label has 10 train rows.",
            Single("class-weights-inert", balanced, Ordinary with { RowsOfLabels = [10, 10, 0, 10] }).Sentence);
        Assert.StartsWith("Balanced class weights make a row of the rarest label (2 train rows) count 250 times as much",
            Single("class-weights-steep", balanced, Ordinary with { RowsOfLabels = [500, 2] }).Sentence);
        Silent("class-weights-inert", balanced, Ordinary with { RowsOfLabels = [10, 11] });
        // With several labels a row a label's weight is that of its rows against all others.
        var several = Ordinary with { Task = TextTask.MultiLabel, TrainRows = 100_000, RowsOfLabels = [90_000, 1] };
        Assert.Equal("Balanced class weights make a row with the rarest label (1 train row) count 99999 times as much for that label as a row without it; a few wrong labels there would steer the run, so check those rows.",
            Single("class-weights-steep", balanced, several).Sentence);
        Silent("class-weights-steep", balanced, several with { RowsOfLabels = [90_000, 1000] });
        Silent("class-weights-steep", new(), several);
        Silent("class-weights-inert", balanced);
    }

    [Fact]
    public void Unfreezing_that_does_not_begin_or_does_not_end_within_the_run_is_named()
    {
        Assert.Equal("Gradual unfreezing reaches only the last 2 blocks of 12 within 3 epochs; for all blocks and the embeddings the run needs 14 epochs.",
            Single("unfreezing-never-ends", new RunRecipe { UnfreezeEpochs = 1 }).Sentence);
        Assert.Equal("Gradual unfreezing reaches only the last 1 block of 12 within 5 epochs; for the last 2 blocks the run needs 9 epochs.",
            Single("unfreezing-never-ends", new RunRecipe { UnfreezeEpochs = 4, Epochs = 5, TrainableLayers = TrainableLayers.LastBlocks, LastBlocks = 2 }).Sentence);
        Assert.StartsWith("The first block would be unfrozen after 3 epochs, and the run ends after 3, so only the head ever trains;",
            Single("unfreezing-never-begins", new RunRecipe { UnfreezeEpochs = 3 }).Sentence);
        Silent("unfreezing-never-ends", new RunRecipe { UnfreezeEpochs = 1, Epochs = 14 });
        Silent("unfreezing-never-ends", new RunRecipe { UnfreezeEpochs = 4, Epochs = 9, TrainableLayers = TrainableLayers.LastBlocks, LastBlocks = 2 });
    }

    [Fact]
    public void What_a_head_alone_cannot_use_is_inert()
    {
        var head = new RunRecipe { TrainableLayers = TrainableLayers.HeadOnly, LayerDecay = 0.9, UnfreezeEpochs = 1 };
        Assert.Equal("Layer-wise rate decay is 0.9 but has no effect, because only the head trains.", Single("layer-decay-inert", head).Sentence);
        Assert.Equal("Epochs per unfrozen block is 1 but has no effect, because trainable layers leaves only the head to train.", Single("unfreezing-inert", head).Sentence);
        Assert.Equal("A layer-wise rate decay of 0.5 over 12 blocks leaves the embeddings with 1.22e-4 of the learning rate; the lowest blocks will hardly move.",
            Single("layer-decay-steep", new RunRecipe { LayerDecay = 0.5 }).Sentence);
        Silent("layer-decay-steep", new RunRecipe { LayerDecay = 0.9 });
    }

    [Fact]
    public void Momentum_without_sgd_and_a_small_rate_with_it_are_named()
    {
        Assert.Equal("Momentum is 0.5 but has no effect, because the optimizer is AdamW.", Single("momentum-inert", new RunRecipe { Momentum = 0.5 }).Sentence);
        var sgd = new RunRecipe { Optimizer = OptimizerKind.Sgd };
        Assert.Equal("The learning rate is 5e-5; SGD moves weights by the bare gradient and usually needs 1e-3 to 1e-1.", Single("rate-low-for-sgd", sgd).Sentence);
        Assert.Empty(PreFlight.Check(sgd with { LearningRate = 0.01, Momentum = 0.5 }, Ordinary));
    }

    [Fact]
    public void A_cycle_that_does_not_rise_and_a_patience_shorter_than_the_wait_for_the_next_block_are_named()
    {
        Assert.Equal("The one-cycle schedule rises during warm-up, and warm-up is 0, so the rate only falls; a warm-up of 0.3 is usual for it.",
            Single("one-cycle-without-rise", new RunRecipe { Schedule = Schedule.OneCycle, WarmupRatio = 0 }).Sentence);
        Silent("one-cycle-without-rise", new RunRecipe { Schedule = Schedule.OneCycle });
        var slow = new RunRecipe { UnfreezeEpochs = 2, Epochs = 27 };
        Assert.Equal("The model is evaluated 4 times before each unfreezing, and early stopping waits for only 3 without improvement; it may end the run before the next block gets to learn.",
            Single("patience-before-unfreezing", slow).Sentence);
        Silent("patience-before-unfreezing", slow with { EarlyStoppingPatience = 4 });
        var small = Ordinary with { TrainRows = 40, Labels = 2, TokenLengths = [10] };
        Assert.EndsWith("More epochs or fewer accumulated batches give more steps.", Single("few-steps", new RunRecipe { BatchSize = 4, GradientAccumulation = 4 }, small).Sentence);
    }

    [Fact]
    public void What_adapters_exclude_blocks_and_what_they_make_idle_is_named()
    {
        var lora = new RunRecipe { Method = TrainingMethod.Lora, LearningRate = 2e-4 };
        Assert.Empty(PreFlight.Check(lora, Ordinary));
        Assert.Equal((Severity.Block, "TrainableLayers"), (Single("adapters-exclude", lora with { TrainableLayers = TrainableLayers.HeadOnly }) is var only ? only.Severity : default, only.Field));
        Assert.Equal("Epochs per unfrozen block is 1, but the method is LoRA, which leaves the blocks frozen to the end; set it to 0, or the method to full.", Single("adapters-exclude", lora with { UnfreezeEpochs = 1 }).Sentence);
        Assert.Equal("Trainable layers is set to LastBlocks but has no effect, because only the adapters and the head train.", Single("trainable-layers-inert", lora with { TrainableLayers = TrainableLayers.LastBlocks }).Sentence);
        Assert.Equal("Adapter rank is set to 16 but has no effect, because the method is full and makes no adapters.", Single("adapter-setting-inert", new() { LoraRank = 16 }).Sentence);
        Assert.Equal("Method", Single("adapters-on-random", lora, Ordinary with { Origin = "random" }).Field);
        Assert.Equal(Severity.Note, Single("rate-low-for-adapters", lora with { LearningRate = 5e-5 }).Severity);
        Assert.Contains("far above the usual 1e-4 to 1e-3 for adapters", Single("rate-too-high", lora with { LearningRate = 5e-3 }).Sentence);
    }

    [Fact]
    public void A_form_shows_settings_of_adapters_only_with_adapters_and_what_was_changed_always()
    {
        string[] Shown(RunRecipe recipe, TextTask task = TextTask.SingleLabel) => [.. RunRecipe.Fields.Where(f => f.IsShown(task, recipe)).Select(f => f.Name)];
        Assert.Contains("TrainableLayers", Shown(new()));
        Assert.Contains("Method", Shown(new()));
        Assert.DoesNotContain("LoraRank", Shown(new()));
        Assert.DoesNotContain("LastBlocks", Shown(new()));
        Assert.Contains("LastBlocks", Shown(new() { TrainableLayers = TrainableLayers.LastBlocks }));
        Assert.Contains("LoraRank", Shown(new() { LoraRank = 16 }));
        foreach (var task in Enum.GetValues<TextTask>())
            Assert.Equal(["LoraRank", "LoraAlpha", "LoraDropout", "LoraTargets"], Shown(new() { Method = TrainingMethod.Dora }, task).Except(Shown(new(), task)));
        Assert.DoesNotContain("TrainableLayers", Shown(new() { Method = TrainingMethod.Lora }));
        Assert.DoesNotContain("PromptFormat", Shown(new() { Method = TrainingMethod.Lora }));
    }
}
