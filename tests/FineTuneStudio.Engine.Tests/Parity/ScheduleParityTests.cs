using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Parity;

public class ScheduleParityTests
{
    [Theory]
    [InlineData("schedule_linear", Schedule.Linear)]
    [InlineData("schedule_cosine", Schedule.Cosine)]
    [InlineData("schedule_constant_with_warmup", Schedule.Constant)]
    public void The_rate_of_each_step_equals_the_reference(string golden, Schedule schedule)
    {
        var entry = Repository.GoldenJson("schedules.json").GetProperty(golden);
        var inputs = entry.GetProperty("inputs");
        var plan = TrainingPlan.For(new RunRecipe { Epochs = 1, BatchSize = 1, WarmupRatio = 0.1 }, trainRows: inputs.GetProperty("total_steps").GetInt32());
        Assert.Equal(inputs.GetProperty("warmup_steps").GetInt32(), plan.WarmupSteps);
        var expected = entry.GetProperty("expected").EnumerateArray().Select(v => v.GetDouble()).ToList();
        Assert.Equal(101, expected.Count);
        for (var step = 0; step < expected.Count; step++) Assert.Equal(expected[step], plan.Factor(schedule, step), 12);
    }
}
