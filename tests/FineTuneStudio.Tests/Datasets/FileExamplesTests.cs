using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;

namespace FineTuneStudio.Tests.Datasets;

/// What the upload page shows as a file of the task is one: it is read as it stands.
public sealed class FileExamplesTests
{
    public static IEnumerable<object[]> Examples =>
        TaskWords.Offered.SelectMany(task => Enumerable.Range(0, FileExamples.Of(task).Count).Select(at => new object[] { task, at }));

    [Theory, MemberData(nameof(Examples))]
    public void Every_example_comes_in_whole_without_a_change_of_its_columns(TextTask task, int at)
    {
        var example = FileExamples.Of(task)[at];
        using var file = Tables.File(example.Text);
        var look = Tables.See(file, example.FileName, null, task);
        Assert.Null(look.Problem);
        var counts = ExamineFile.CountRows(file, look.Format!, look.Mapping, Answers.Of(task), null, default);
        Assert.Equal((null, 0, look.Rows.Count), (counts.Problem, counts.Rejected, counts.Rows));
        Assert.Equal(task == TextTask.SingleLabel ? 1 : 0, counts.Unlabeled);
        Assert.Empty(counts.Warnings);
        Assert.InRange(counts.Rows, 2, 3);
    }

    [Fact]
    public void Every_task_that_is_offered_says_what_its_files_look_like() =>
        Assert.All(TaskWords.Offered, task => Assert.True(FileExamples.Lead(task).EndsWith('.') && FileExamples.Of(task).Count >= 2, $"{task}"));
}
