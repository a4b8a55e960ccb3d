namespace FineTuneStudio.Engine.Training;

/// <summary>
/// What a recipe comes to on a number of train rows: how many steps, how many of them warm up, and after which steps the
/// model is evaluated. The loop and the pre-flight read the same plan.
/// </summary>
/// <param name="StepsPerEpoch">Batches in one pass; the last one may be short.</param>
/// <param name="TotalSteps">Optimizer steps in the whole run.</param>
/// <param name="WarmupSteps">Steps of rising learning rate, rounded up.</param>
/// <param name="EvaluationSteps">1-based steps after which the validation rows are evaluated, rising, no repeats.</param>
public sealed record TrainingPlan(int StepsPerEpoch, int TotalSteps, int WarmupSteps, IReadOnlyList<int> EvaluationSteps)
{
    public static TrainingPlan For(RunRecipe recipe, int trainRows)
    {
        var perEpoch = (trainRows + recipe.BatchSize - 1) / Math.Max(1, recipe.BatchSize);
        var total = perEpoch * recipe.Epochs;
        // The small subtraction keeps 0.1 * 30 from becoming 4 through a rounding error.
        var warmup = (int)Math.Ceiling(total * recipe.WarmupRatio - 1e-9);
        var evaluations = Enumerable.Range(0, recipe.Epochs)
            .SelectMany(epoch => Enumerable.Range(1, Math.Max(0, recipe.EvaluationsPerEpoch))
                .Select(k => epoch * perEpoch + (int)Math.Round(perEpoch * (double)k / recipe.EvaluationsPerEpoch, MidpointRounding.AwayFromZero)))
            .Where(step => step > 0).Distinct().Order().ToList();
        return new(perEpoch, total, warmup, evaluations);
    }

    /// <summary>
    /// The factor on the peak learning rate at a 0-based step: rising linearly from 0 over the warm-up, then linear to 0,
    /// half a cosine to 0, or constant. Same values as Hugging Face's get_linear/cosine/constant_schedule_with_warmup.
    /// </summary>
    public double Factor(Schedule schedule, int step)
    {
        if (step < WarmupSteps) return (double)step / Math.Max(1, WarmupSteps);
        var progress = (double)(step - WarmupSteps) / Math.Max(1, TotalSteps - WarmupSteps);
        return schedule switch
        {
            Schedule.Linear => Math.Max(0, 1 - progress),
            Schedule.Cosine => Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * progress))),
            _ => 1,
        };
    }
}
