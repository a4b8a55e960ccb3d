using System.Runtime.InteropServices;
using CsvHelper;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>What the encoder that comes with the product knows. Its card says MEASURE while it is still being trained.</summary>
[Collection("training")]
public sealed class StarterTests(ITestOutputHelper output)
{
    private static string Starter()
    {
        var folder = Path.Combine(Repository.Root, "starters", "encoder");
        Skip.If(!ModelWeights.Exist(folder) && File.ReadAllText(Path.Combine(folder, "README.md")).Contains("MEASURE", StringComparison.Ordinal), "It is still being trained.");
        Assert.True(ModelWeights.Exist(folder), $"{folder} has a finished card and no weights.");
        return folder;
    }

    [SkippableFact]
    public void All_of_its_backbone_loads_and_it_helps_a_new_head_on_the_sample_and_its_shuffled_copy_does_not()
    {
        var starter = Starter();
        var labels = Compare(starter, BackboneProbeTests.Trained.Read(), 815);
        var (model, report, _) = LoadClassifier.ForTraining(starter, labels, null, 1);
        using (model) Assert.Equal(1, report.BackboneShare);
    }

    [SkippableFact]
    public void It_helps_where_there_are_77_labels_too_and_its_shuffled_copy_does_not()
    {
        List<(string, string)> rows = [];
        using (var csv = CsvReader.FromFile(Shared.Find("data/text-classification/banking77/train.csv"), CsvReaderOptions.Default))
        {
            csv.ReadHeader();
            while (csv.Read()) rows.Add((csv.GetString(0), csv.GetString(1)));
        }
        Compare(Starter(), rows, 8000);
    }

    private List<string> Compare(string starter, IReadOnlyList<(string Text, string Label)> read, int train)
    {
        using var folder = new TemporaryFolder();
        BackboneProbeTests.Shuffle(starter, folder.File("shuffled"));
        List<string> labels = [.. read.Select(r => r.Label).Distinct().Order(StringComparer.Ordinal)];
        List<LabeledText> rows = [.. read.Select((r, i) => new LabeledText(i + 1, r.Text, labels.IndexOf(r.Label)))];
        new Random(3).Shuffle(CollectionsMarshal.AsSpan(rows));
        ProbeResult Of(string model) => BackboneProbe.Measure(new(new RunRecipe { MaxLength = 64 }, model, labels, rows[..train], rows[train..], ""), () => StopRequest.None, default)!;
        var (knows, shuffled) = (Of(starter), Of(folder.File("shuffled")));
        output.WriteLine($"starter {knows}, shuffled {shuffled}");
        Assert.True(knows.Gain >= BackboneProbe.LeastGain, $"{knows}");
        Assert.True(shuffled.Gain < BackboneProbe.LeastGain, $"{shuffled}");
        Assert.Equal(knows.ReinitialisedLoss, shuffled.ReinitialisedLoss);
        return labels;
    }
}
