using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Parity;

public class ScheduleParityTests
{
    [Theory]
    [InlineData("schedule_linear", Schedule.Linear)]
    [InlineData("schedule_cosine", Schedule.Cosine)]
    [InlineData("schedule_constant_with_warmup", Schedule.Constant)]
    [InlineData("schedule_polynomial", Schedule.Polynomial)]
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

    [Fact]
    public void One_cycle_equals_the_reference_with_the_warm_up_as_its_rising_part()
    {
        var entry = Repository.GoldenJson("schedules.json").GetProperty("schedule_torch_onecycle");
        var plan = TrainingPlan.For(new RunRecipe { Epochs = 1, BatchSize = 1, WarmupRatio = 0.3 }, trainRows: entry.GetProperty("inputs").GetProperty("total_steps").GetInt32());
        var expected = entry.GetProperty("expected").EnumerateArray().Select(v => v.GetDouble()).ToList();
        Assert.Equal(101, expected.Count);
        for (var step = 0; step < expected.Count; step++) Assert.Equal(expected[step], plan.Factor(Schedule.OneCycle, step), 12);
    }

    [Theory]
    [InlineData(1, 0.0)]
    [InlineData(2, 0.5)]
    [InlineData(10, 0.1)]
    [InlineData(10, 0.0)]
    public void Every_schedule_gives_a_rate_between_0_and_1_on_the_shortest_runs(int rows, double warmup)
    {
        var plan = TrainingPlan.For(new RunRecipe { Epochs = 1, BatchSize = 1, WarmupRatio = warmup }, rows);
        foreach (var schedule in Enum.GetValues<Schedule>())
            for (var step = 0; step < rows; step++) Assert.InRange(plan.Factor(schedule, step), 0, 1);
    }
}
