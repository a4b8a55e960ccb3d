using System.Globalization;
using System.Text.Json;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

public class RunRecipeTests
{
    [Fact]
    public void The_defaults_are_valid()
    {
        Assert.Empty(new RunRecipe().Validate());
        Assert.All(RunRecipe.Fields, f => Assert.True(f.IsDefault(new RunRecipe()), f.Name));
    }

    [Fact]
    public void Every_property_is_a_described_field_and_no_field_lacks_help()
    {
        var properties = typeof(RunRecipe).GetProperties().Where(p => !p.GetMethod!.IsStatic).Select(p => p.Name).Order();
        Assert.Equal(properties, RunRecipe.Fields.Select(f => f.Name).Order());
        Assert.All(RunRecipe.Fields, f => Assert.True(f.Help.EndsWith('.') && f.Help.Count(c => c == '.') == 1, f.Name));
        Assert.All(RunRecipe.Fields, f => Assert.Equal(f.IsOptional ? null : f.Default, typeof(RunRecipe).GetProperty(f.Name)!.GetValue(new RunRecipe())));
    }

    [Fact]
    public void What_is_cut_from_a_long_text_is_said_by_task()
    {
        var field = RunRecipe.Field(nameof(RunRecipe.MaxLength))!;
        Assert.Equal("Texts longer than this many tokens are cut at the end.", field.HelpFor(TextTask.SingleLabel));
        Assert.Equal("Prompt and answer together: where they have more tokens than this, the beginning of the prompt is cut, and the end of the answer only where that is not enough.", field.HelpFor(TextTask.Generation));
        Assert.Equal("Texts longer than this many tokens are learned from their beginning only; they are measured and used as a whole, in windows of this length.", field.HelpFor(TextTask.TokenClassification));
        Assert.Equal(RunRecipe.Field(nameof(RunRecipe.Epochs))!.Help, RunRecipe.Field(nameof(RunRecipe.Epochs))!.HelpFor(TextTask.Generation));
    }

    public static TheoryData<string, string, string> OutOfRange => new()
    {
        { "Epochs", "0", "Epochs is 0; expected a whole number from 1 to 100." },
        { "Epochs", "101", "Epochs is 101; expected a whole number from 1 to 100." },
        { "LearningRate", "0", "Learning rate is 0; expected a number from 1E-07 to 1." },
        { "LearningRate", "1.5", "Learning rate is 1.5; expected a number from 1E-07 to 1." },
        { "BatchSize", "513", "Batch size is 513; expected a whole number from 1 to 512." },
        { "MaxLength", "7", "Max length is 7; expected a whole number from 8 to 512." },
        { "WarmupRatio", "0.6", "Warm-up is 0.6; expected a number from 0 to 0.5." },
        { "WeightDecay", "-0.1", "Weight decay is -0.1; expected a number from 0 to 1." },
        { "Dropout", "0.95", "Dropout is 0.95; expected a number from 0 to 0.9, or \"as the model\"." },
        { "GradientClipping", "101", "Gradient clipping is 101; expected a number from 0 to 100." },
        { "LastBlocks", "49", "Last blocks is 49; expected a whole number from 1 to 48." },
        { "Seed", "-1", "Seed is -1; expected a whole number from 0 to 2147483647." },
        { "EvaluationsPerEpoch", "51", "Evaluations per epoch is 51; expected a whole number from 0 to 50." },
        { "GradientAccumulation", "65", "Accumulated batches is 65; expected a whole number from 1 to 64." },
        { "LabelSmoothing", "0.6", "Label smoothing is 0.6; expected a number from 0 to 0.5." },
        { "LayerDecay", "0.4", "Layer-wise rate decay is 0.4; expected a number from 0.5 to 1." },
        { "UnfreezeEpochs", "51", "Epochs per unfrozen block is 51; expected a whole number from 0 to 50." },
        { "Momentum", "1", "Momentum is 1; expected a number from 0 to 0.99." },
        { "FocalGamma", "-1", "Focal loss gamma is -1; expected a number from 0 to 5." },
        { "EarlyStoppingPatience", "-2", "Early stopping patience is -2; expected a whole number from 0 to 100." },
    };

    [Theory, MemberData(nameof(OutOfRange))]
    public void A_value_out_of_range_is_named_with_what_was_expected(string name, string text, string sentence)
    {
        var field = RunRecipe.Field(name)!;
        Assert.Equal([sentence], field.With(new RunRecipe(), field.Parse(text)).Validate());
    }

    [Fact]
    public void Several_broken_fields_give_a_sentence_each()
    {
        var broken = new RunRecipe { Epochs = 0, Dropout = double.NaN, Schedule = (Schedule)9 };
        Assert.Equal(
            ["Epochs is 0; expected a whole number from 1 to 100.", "Schedule is 9; expected one of Linear, Cosine, Constant, Polynomial, OneCycle.", "Dropout is NaN; expected a number from 0 to 0.9, or \"as the model\"."],
            broken.Validate());
    }

    [Fact]
    public void Every_field_survives_the_round_trip_through_json()
    {
        var changed = new RunRecipe
        {
            Epochs = 7, LearningRate = 3.3e-5, BatchSize = 33, MaxLength = 77, WarmupRatio = 0.07, Schedule = Schedule.Cosine, WeightDecay = 0.123,
            Dropout = 0.21, GradientClipping = 0, TrainableLayers = TrainableLayers.LastBlocks, LastBlocks = 2, Seed = 5, EvaluationsPerEpoch = 4,
            EarlyStoppingPatience = 9, Metric = Metric.ValidationLoss,
            GradientAccumulation = 4, LabelSmoothing = 0.1, ClassWeights = ClassWeighting.Balanced, FocalGamma = 2, RegressionLoss = RegressionLoss.Huber,
            LayerDecay = 0.9, UnfreezeEpochs = 1, Optimizer = OptimizerKind.Sgd, Momentum = 0.5,
            Method = TrainingMethod.Dora, LoraRank = 16, LoraAlpha = 3.5, LoraDropout = 0.05, LoraTargets = LoraTargets.AllLinear, PromptFormat = PromptFormat.ChatMl, Packing = Packing.On,
            Precision = Precision.Bf16, ActivationCheckpointing = ActivationCheckpointing.On,
        };
        Assert.All(RunRecipe.Fields, f => Assert.False(f.IsDefault(changed), f.Name));
        Assert.Equal(changed, RunRecipe.FromJson(changed.ToJson()));
        Assert.Equal(RunRecipe.Fields.Count, JsonDocument.Parse(changed.ToJson()).RootElement.EnumerateObject().Count());
    }

    [Fact]
    public void Fields_left_out_of_the_json_keep_their_defaults() =>
        Assert.Equal(new RunRecipe { LearningRate = 1e-3, Schedule = Schedule.Constant }, RunRecipe.FromJson("""{ "LearningRate": 1e-3, "schedule": "constant" }"""));

    [Fact]
    public void Dropout_left_to_the_model_is_null_in_json_and_words_in_a_form()
    {
        var field = RunRecipe.Field("dropout")!;
        Assert.Contains("\"dropout\": null", new RunRecipe().ToJson());
        Assert.Null(RunRecipe.FromJson("""{ "dropout": null }""").Dropout);
        Assert.Equal("as the model", field.Text(field.Get(new RunRecipe())));
        var set = field.With(new RunRecipe(), field.Parse("0.2"));
        Assert.Equal(0.2, set.Dropout);
        Assert.False(field.IsDefault(set));
        Assert.Null(field.With(set, field.Parse(" ")).Dropout);
        Assert.Null(field.With(set, field.Parse("As the model")).Dropout);
    }

    [Theory]
    [InlineData("""{ "learningRat": 1, "epohcs": 2 }""", "The recipe has unknown fields: \"learningRat\", \"epohcs\". Known fields: epochs, ")]
    [InlineData("""{ "epochs": 2.5 }""", "Epochs is \"2.5\"; expected a whole number from 1 to 100.")]
    [InlineData("""{ "epochs": null }""", "Epochs is \"null\"; expected a whole number from 1 to 100.")]
    [InlineData("""{ "schedule": "steps" }""", "Schedule is \"steps\"; expected one of Linear, Cosine, Constant, Polynomial, OneCycle.")]
    [InlineData("""{ "epochs": 2, "Epochs": 3 }""", "\"Epochs\" is given twice.")]
    [InlineData("""[1]""", "The recipe is a JSON array; expected one object")]
    [InlineData("{ \"epochs\": 2,\n oops }", "The recipe is not valid JSON (line 2, position 2)")]
    public void A_recipe_that_cannot_be_read_says_why(string json, string sentence) =>
        Assert.StartsWith(sentence, Assert.Throws<FormatException>(() => RunRecipe.FromJson(json)).Message);

    [Fact]
    public void The_hash_is_stable_and_moves_with_every_field()
    {
        var first = new RunRecipe();
        Assert.Equal("866c02b814f4478c67d32bfce718fe5000ede0602fd2a6784ae2ee886c3e76b3", first.Sha256());
        Assert.Equal(first.Sha256(), (first with { }).Sha256());
        var hashes = RunRecipe.Fields.Select(f => f.With(first, f.Kind switch
        {
            RecipeFieldKind.Integer => (int)f.Default + 1,
            RecipeFieldKind.Number => f.Default is double number ? number + 0.01 : 0.1,
            _ => f.Parse(f.Choices[^1].Value),
        }).Sha256()).Append(first.Sha256());
        Assert.Equal(RunRecipe.Fields.Count + 1, hashes.Distinct().Count());
    }

    [Fact]
    public void A_recipe_stored_before_the_later_fields_came_keeps_its_text_and_its_hash()
    {
        var stored = new RunRecipe { LearningRate = 1e-3 }.ToJson();
        Assert.DoesNotContain("gradientAccumulation", stored);
        Assert.Equal(["epochs", "batchSize", "maxLength", "seed", "learningRate", "warmupRatio", "schedule", "weightDecay", "dropout", "gradientClipping",
            "trainableLayers", "lastBlocks", "evaluationsPerEpoch", "earlyStoppingPatience", "metric"], JsonDocument.Parse(stored).RootElement.EnumerateObject().Select(p => p.Name));
        Assert.Equal(new RunRecipe { LearningRate = 1e-3 }.Sha256(), RunRecipe.FromJson(stored).Sha256());
        Assert.Contains("\"labelSmoothing\": 0.1", new RunRecipe { LabelSmoothing = 0.1 }.ToJson());
    }

    [Fact]
    public void Two_settings_that_exclude_each_other_are_named() =>
        Assert.StartsWith("Label smoothing and focal loss are both on, and they pull in opposite ways", Assert.Single(new RunRecipe { LabelSmoothing = 0.1, FocalGamma = 2 }.Validate()));

    [Fact]
    public void Accumulated_batches_are_one_step_of_the_plan()
    {
        var plan = TrainingPlan.For(new RunRecipe { Epochs = 2, BatchSize = 10, GradientAccumulation = 4, EvaluationsPerEpoch = 1 }, trainRows: 95);
        Assert.Equal((3, 6), (plan.StepsPerEpoch, plan.TotalSteps));
        Assert.Equal([3, 6], plan.EvaluationSteps);
    }

    [Fact]
    public void Text_and_parse_use_the_invariant_culture_everywhere()
    {
        var before = CultureInfo.CurrentCulture;
        var comma = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        comma.NumberFormat.NumberDecimalSeparator = ",";
        CultureInfo.CurrentCulture = comma;
        try
        {
            var rate = RunRecipe.Field("learningrate")!;
            Assert.Equal("0.001", rate.Text(1e-3));
            Assert.Equal(1e-3, rate.Parse(" 0.001 "));
            Assert.False(rate.TryParse("0,001", out _, out var problem));
            Assert.Equal("Learning rate is \"0,001\"; expected a number from 1E-07 to 1.", problem);
            Assert.Equal(new RunRecipe().Sha256(), RunRecipe.FromJson(new RunRecipe().ToJson()).Sha256());
        }
        finally { CultureInfo.CurrentCulture = before; }
    }

    [Fact]
    public void The_plan_spreads_evaluations_over_each_epoch_and_ends_on_the_last_step()
    {
        var plan = TrainingPlan.For(new RunRecipe { Epochs = 2, BatchSize = 10, EvaluationsPerEpoch = 3 }, trainRows: 95);
        Assert.Equal((10, 20, 2), (plan.StepsPerEpoch, plan.TotalSteps, plan.WarmupSteps));
        Assert.Equal([3, 7, 10, 13, 17, 20], plan.EvaluationSteps);
        var fixedSteps = TrainingPlan.For(new RunRecipe { Epochs = 2, BatchSize = 10, EvaluationsPerEpoch = 3 }, trainRows: 25, steps: 50);
        Assert.Equal((3, 50, 5), (fixedSteps.StepsPerEpoch, fixedSteps.TotalSteps, fixedSteps.WarmupSteps));
        Assert.Equal([17, 33, 50], fixedSteps.EvaluationSteps);
        Assert.Empty(TrainingPlan.For(new RunRecipe { EvaluationsPerEpoch = 0 }, 95).EvaluationSteps);
        Assert.Equal([1, 2, 3], TrainingPlan.For(new RunRecipe { Epochs = 3, BatchSize = 100, EvaluationsPerEpoch = 50 }, 95).EvaluationSteps);
    }
}
