namespace FineTuneStudio.Engine.Training;

/// <summary>
/// What a recipe comes to on a number of train rows: how many steps, how many of them warm up, and after which steps the
/// model is evaluated. The loop and the pre-flight read the same plan.
/// </summary>
/// <param name="StepsPerEpoch">Optimizer steps in one pass, each over the recipe's accumulated batches; the last one may be short.</param>
/// <param name="TotalSteps">Optimizer steps in the whole run.</param>
/// <param name="WarmupSteps">Steps of rising learning rate, rounded up.</param>
/// <param name="EvaluationSteps">1-based steps after which the validation rows are evaluated, rising, no repeats.</param>
public sealed record TrainingPlan(int StepsPerEpoch, int TotalSteps, int WarmupSteps, IReadOnlyList<int> EvaluationSteps)
{
    /// <summary>The recipe's share of steps in which the rate climbs, before rounding; the one-cycle schedule uses it as it is.</summary>
    public double WarmupShare { get; init; }

    /// <summary>Rows of one optimizer step: the batch size times the accumulated batches.</summary>
    public static int RowsPerStep(RunRecipe recipe) => Math.Max(1, recipe.BatchSize * recipe.GradientAccumulation);

    /// <summary>What gradual unfreezing adds to the head in the end: the blocks that may train, and after all of them the embeddings.</summary>
    /// <param name="blocks">Blocks of the model.</param>
    public static int PartsToUnfreeze(RunRecipe recipe, int blocks) => recipe.TrainableLayers switch
    {
        TrainableLayers.HeadOnly => 0,
        TrainableLayers.LastBlocks => Math.Min(recipe.LastBlocks, blocks),
        _ => blocks + 1,
    };

    /// <param name="steps">The run's steps in place of the recipe's epochs; the evaluations of an epoch are then those of the whole run.</param>
    public static TrainingPlan For(RunRecipe recipe, int trainRows, int? steps = null)
    {
        var perEpoch = (trainRows + RowsPerStep(recipe) - 1) / RowsPerStep(recipe);
        var total = steps ?? perEpoch * recipe.Epochs;
        // The small subtraction keeps 0.1 * 30 from becoming 4 through a rounding error.
        var warmup = (int)Math.Ceiling(total * recipe.WarmupRatio - 1e-9);
        var (passes, pass) = steps is null ? (recipe.Epochs, perEpoch) : (1, total);
        var evaluations = Enumerable.Range(0, passes)
            .SelectMany(number => Enumerable.Range(1, Math.Max(0, recipe.EvaluationsPerEpoch))
                .Select(k => number * pass + (int)Math.Round(pass * (double)k / recipe.EvaluationsPerEpoch, MidpointRounding.AwayFromZero)))
            .Where(step => step > 0).Distinct().Order().ToList();
        return new(perEpoch, total, warmup, evaluations) { WarmupShare = recipe.WarmupRatio };
    }

    /// <summary>
    /// The factor on the peak learning rate at a 0-based step: rising linearly from 0 over the warm-up, then linear to 0,
    /// half a cosine to 0, constant, or quadratic to 1e-7. Same values as Hugging Face's
    /// get_linear/cosine/constant/polynomial_schedule_with_warmup. One cycle (Smith and Topin 2017, arXiv:1708.07120) rises
    /// from 1/25 and falls to 4e-6 along half cosines, with torch's OneCycleLR's values and the warm-up as its rising part.
    /// </summary>
    public double Factor(Schedule schedule, int step)
    {
        if (schedule == Schedule.OneCycle) return OneCycle(step);
        if (step < WarmupSteps) return (double)step / Math.Max(1, WarmupSteps);
        var progress = (double)(step - WarmupSteps) / Math.Max(1, TotalSteps - WarmupSteps);
        return schedule switch
        {
            Schedule.Linear => Math.Max(0, 1 - progress),
            Schedule.Cosine => Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * progress))),
            Schedule.Polynomial => LastPolynomial + (1 - LastPolynomial) * Math.Pow(Math.Max(0, 1 - progress), 2),
            _ => 1,
        };
    }

    private const double LastPolynomial = 1e-7, FirstOfCycle = 1 / 25.0, LastOfCycle = FirstOfCycle / 1e4;

    private double OneCycle(int step)
    {
        double top = WarmupShare * TotalSteps - 1, end = TotalSteps - 1;
        if (step <= top) return top <= 0 ? 1 : Between(FirstOfCycle, 1, step / top);
        return Between(1, LastOfCycle, Math.Min(1, (step - top) / (end - top)));
    }

    /// <summary>From one value to another along half a cosine.</summary>
    private static double Between(double from, double to, double share) => to + (from - to) / 2 * (1 + Math.Cos(Math.PI * share));
}
