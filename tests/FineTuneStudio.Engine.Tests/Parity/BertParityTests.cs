using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using static TorchSharp.torch;
using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

[Collection("training")]
public sealed class BertParityTests(ITestOutputHelper output) : ClassifierParity(output, Repository.PracticeModel, Repository.Golden("bert-tiny"))
{
    [SkippableFact]
    public void A_file_with_old_norm_names_and_other_heads_loads_its_whole_backbone()
    {
        var folder = Shared.Find("goldens/bert-tiny-oldnames");
        var (old, report, newHead) = LoadClassifier.ForTraining(folder, ["a", "b"], dropout: 0, seed: 1);
        using var owned = old;
        Assert.Equal((1.0, true), (report.BackboneShare, newHead));
        Assert.Equal(["classifier.bias", "classifier.weight"], report.Missing.Order());
        Assert.All(report.Unexpected, n => Assert.True(n.StartsWith("cls.") || n == "bert.embeddings.position_ids", n));
        old.eval();
        using var scope = NewDisposeScope();
        var (ids, mask, types, _) = Inputs(Repository.GoldenJson("bert-tiny/inputs.json"));
        using var file = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
        Close("old names: last hidden state", file, "last_hidden_state", old.ForwardWithHiddenStates(ids, mask, types).HiddenStates[^1], 1e-4);
    }
}
