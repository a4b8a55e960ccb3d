using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;

namespace FineTuneStudio.Tests.Projects;

public sealed class CreateProjectTests
{
    private static NewProject Form(double goal) => new() { Name = "Answers", Purpose = "Answers to customers.", Task = TextTask.Generation, Metric = Metric.Perplexity, Goal = goal, Approver = "the head of support" };

    [Fact]
    public void A_perplexity_that_no_model_can_reach_is_no_goal()
    {
        Assert.Equal("The goal is 0.8; a perplexity is never below 1, which is that of a model that foresees every word, so give a number above 1, such as 10.", CreateProject.Faults(Form(0.8))[nameof(NewProject.Goal)]);
        Assert.Empty(CreateProject.Faults(Form(NewProject.UsualGoal(Metric.Perplexity))));
    }
}
