using System.Text.Json;
using FineTuneStudio.Engine.Headless;
using FineTuneStudio.Engine.Tests.Training;

namespace FineTuneStudio.Engine.Tests.Headless;

[Collection("training")]
public sealed class FewShotCommandTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public FewShotCommandTests() =>
        File.WriteAllLines(folder.File("data.csv"), SmallTexts.Rows(150).Select(r => $"{r.Text},{SmallTexts.Labels[r.Label]}").Prepend("message,kind"));

    private (int Code, string[] Output, string Error) Call(CancellationToken cancel, params string[] more)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = FewShotCommand.Run(["few-shot", "--data", folder.File("data.csv"), "--base", Repository.PracticeModel, "--out", folder.File("out"), "--text", "message", "--label", "kind", "--ks", "1,2,4", "--draws", "2", "--steps", "4", .. more], output, error, cancel);
        return (code, output.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries), error.ToString().Trim().Replace(folder.Path + Path.DirectorySeparatorChar, ""));
    }

    [Fact]
    public void A_table_has_a_row_for_each_number_of_examples_and_a_column_for_each_method_and_then_says_what_more_rows_would_bring()
    {
        var (code, output, error) = Call(default, "--methods", "head,centroid", "--metric", "accuracy");
        Assert.Equal((0, ""), (code, error));
        Assert.Equal("examples from 120 rows in 3 labels, measured on 15", output[0]);
        Assert.Matches(@"^1/12 points  head only, k = 1, draw 1  accuracy [01]\.\d{4}$", output[1]);
        var table = Array.FindIndex(output, l => l == "Accuracy on 15 rows: mean of the draws and 95 % interval (Student's t)");
        Assert.Matches("^ +k +rows +head only +nearest centroid$", output[table + 1]);
        Assert.Equal(["1 3", "2 6", "4 12"], output[(table + 2)..(table + 5)].Select(l => string.Join(' ', l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[..2])));
        Assert.Matches(@"^ +4 +12( +[01]\.\d{3} \([01]\.\d{3}-[01]\.\d{3}\)){2}$", output[table + 4]);
        Assert.Equal("always \"delivery\": 0.333", output[table + 5]);
        Assert.Equal(["head only", "nearest centroid"], output[(table + 6)..].Select(l => l.Split(':')[0]));
    }

    [Fact]
    public void An_interrupted_curve_says_how_to_go_on_and_does_and_json_has_one_object_a_line()
    {
        using var down = new CancellationTokenSource();
        down.Cancel();
        Assert.Equal((1, "The curve was interrupted; add --resume to the same command to go on after its last finished point."), (Call(down.Token).Code, Call(down.Token).Error));
        var (code, output, error) = Call(default, "--methods", "full,centroid", "--resume", "--json");
        Assert.Equal((0, ""), (code, error));
        var events = output.Select(l => JsonDocument.Parse(l).RootElement).ToList();
        Assert.Equal(12, events.Count(e => e.GetProperty("event").GetString() == "point"));
        var end = events[^1];
        Assert.Equal(("end", "Finished", 12), (end.GetProperty("event").GetString(), end.GetProperty("outcome").GetString(), end.GetProperty("pointsTotal").GetInt32()));
        Assert.Equal(["full", "centroid"], end.GetProperty("lines").EnumerateArray().Select(l => l.GetProperty("method").GetString()));
        Assert.Equal([1, 2, 4], end.GetProperty("lines")[0].GetProperty("means").EnumerateArray().Select(m => m.GetProperty("k").GetInt32()));
        Assert.Equal(2, end.GetProperty("moreRows").GetArrayLength());

        Assert.Equal("out already holds points of a curve; add --resume to go on with it, or choose another folder.", Call(default).Error);
        Assert.DoesNotContain(Call(default, "--methods", "full,centroid", "--resume").Output, l => l.Contains("points  "));
    }

    [Fact]
    public void What_is_wrong_with_the_command_is_one_sentence()
    {
        string Said(params string[] args)
        {
            using var error = new StringWriter();
            Assert.Equal(1, FewShotCommand.Run(["few-shot", "--data", folder.File("data.csv"), "--base", Repository.PracticeModel, "--out", folder.File("out"), .. args], TextWriter.Null, error));
            return error.ToString().Trim();
        }
        Assert.Equal("There is no method \"loar\"; the methods are full, head, lora, centroid.", Said("--methods", "full,loar"));
        Assert.Equal("--ks is \"1,two\"; expected whole numbers above 0 with commas between, such as 1,2,4.", Said("--ks", "1,two"));
        Assert.Equal("--draws is \"0\"; expected a whole number above 0, such as 3.", Said("--draws", "0"));
        Assert.Equal("--metric is \"f2\"; expected accuracy or macro-f1.", Said("--metric", "f2"));
        Assert.Equal("--gain is 0; expected a share above 0, such as 0.02.", Said("--gain", "0"));
        Assert.EndsWith("data.csv has no column \"label\"; its columns are \"message\", \"kind\".", Said("--text", "message"));
        Assert.Equal("There are no validation rows to measure on; give validation a share of the split.", Said("--text", "message", "--label", "kind", "--validation-share", "0"));
    }

    public void Dispose() => folder.Dispose();
}
