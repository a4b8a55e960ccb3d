using System.Runtime.InteropServices;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Tests.Weights;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Tests.Training;

/// <summary>The whole road of the engine, from a folder as it comes to a folder that predicts, for each family besides the practice model's.</summary>
[Collection("training")]
public sealed class FamilyTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [SkippableTheory]
    [InlineData("distilbert-tiny", false)]
    [InlineData("distilbert-tiny", true)]
    [InlineData("bert-tiny-oldnames", false)]
    [InlineData("roberta-tiny", false)]
    [InlineData("tokenizer-unigram-xlmr", false)]
    public void A_family_learns_resumes_and_comes_back_with_the_same_probabilities(string golden, bool inShards)
    {
        var original = Shared.Find($"goldens/{golden}");
        if (golden == "tokenizer-unigram-xlmr") original = XlmR(original, folder.File("xlm-r"));
        Assert.Null(ModelFolder.Inspect(original).WhyNot);
        var job = SmallTexts.Job(folder.File("whole")) with { BaseFolder = inShards ? Sharded(original) : original };
        var (result, events) = SmallTexts.Run(job);
        var losses = Losses(events);
        Assert.Equal((FineTuneOutcome.Finished, 90, 1.0), (result.Outcome, result.StepsDone, events.OfType<WeightsLoaded>().Single().Report.BackboneShare));
        Assert.True(losses[^10..].Average() < 0.5 * losses[..10].Average(), $"from {losses[..10].Average()} to {losses[^10..].Average()}");
        Assert.True(result.BestMetric > 0.7, $"accuracy {result.BestMetric}");

        var cut = job with { OutputFolder = folder.File("cut") };
        var before = new List<TrainingEvent>();
        Assert.Throws<InvalidOperationException>(() => FineTune.Run(cut, e =>
        {
            before.Add(e);
            if (e is StepDone { Step: 40 }) throw new InvalidOperationException("killed");
        }, () => StopRequest.None, default));
        var (resumed, after) = SmallTexts.Run(cut, resume: true);
        Assert.Equal(31, after.OfType<StepDone>().First().Step);
        Assert.Equal(losses, Losses(before.Where(e => e is StepDone { Step: <= 30 }).Concat(after)));
        Assert.Equal(result with { BestFolder = null }, resumed with { BestFolder = null });

        var texts = job.Validation.Select(r => r.Text).ToList();
        float[][] Predict(string path)
        {
            using var classifier = TextClassifier.Load(path);
            Assert.Equal(SmallTexts.Labels, classifier.Labels);
            return classifier.Predict(texts, maxLength: 32, batchSize: TrainingLoop.EvaluationBatchSize);
        }
        var probabilities = Predict(result.BestFolder!);
        Assert.Equal(result.BestMetric, probabilities.Zip(job.Validation).Count(p => Array.IndexOf(p.First, p.First.Max()) == ((LabeledText)p.Second).Label) / (double)texts.Count, 9);
        Assert.Equal(probabilities, Predict(resumed.BestFolder!));
        var (model, _) = LoadClassifier.ForPrediction(result.BestFolder!);
        using (model) SaveModelFolder.Write(model, SmallTexts.Labels, result.BestFolder!, folder.File("again"));
        Assert.Equal(probabilities, Predict(folder.File("again")));
        var facts = ModelFolder.Inspect(result.BestFolder!);
        Assert.Equal((null, EncoderConfig.Read(original).Architecture), (facts.WhyNot, facts.Architecture));
        // What came in shards goes out as the one file that every reader knows.
        Assert.Equal(["model.safetensors"], Directory.GetFiles(result.BestFolder!, "*.safetensors*").Select(Path.GetFileName));
    }

    private static double[] Losses(IEnumerable<TrainingEvent> events) => events.OfType<StepDone>().Select(s => s.TrainLoss).ToArray();

    /// <summary>The reference has only a tokenizer of XLM-RoBERTa: a small model with random weights beside it.</summary>
    internal static string XlmR(string tokenizer, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var name in new[] { "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json" }) File.WriteAllBytes(Path.Combine(to, name), File.ReadAllBytes(Path.Combine(tokenizer, name)));
        var vocabulary = Tokenizer.Load(to).LargestId + 1;
        File.WriteAllText(Path.Combine(to, "config.json"), $$"""
            {"architectures":["XLMRobertaForMaskedLM"],"model_type":"xlm-roberta","vocab_size":{{vocabulary}},"hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":128,
             "max_position_embeddings":130,"type_vocab_size":1,"pad_token_id":1,"layer_norm_eps":1e-5,"hidden_dropout_prob":0.1,"attention_probs_dropout_prob":0.1}
            """);
        var random = new Random(3);
        SafetensorsWriter.Write(Path.Combine(to, "model.safetensors"), EncoderTensors.Needed(EncoderConfig.Read(to)).Select(t => (t.Name, "F32", t.Shape, (Func<ReadOnlyMemory<byte>>)(() =>
            MemoryMarshal.AsBytes<float>([.. Enumerable.Range(0, (int)t.Shape.Aggregate(1L, (a, b) => a * b)).Select(_ => t.Name.EndsWith("LayerNorm.weight") ? 1 : (float)(random.NextDouble() - 0.5) * 0.5f)]).ToArray()))));
        return to;
    }

    private string Sharded(string original)
    {
        var to = folder.File("shards");
        Directory.CreateDirectory(to);
        foreach (var name in new[] { "config.json", "tokenizer.json", "tokenizer_config.json" }) File.WriteAllBytes(Path.Combine(to, name), File.ReadAllBytes(Path.Combine(original, name)));
        using var file = SafetensorsFile.Open(Path.Combine(original, "model.safetensors"));
        ModelWeightsTests.WriteShards(to, 3, file.Entries.Values.Select(e => (e.Name, e.Dtype, e.Shape, (Func<ReadOnlyMemory<byte>>)(() => file.Bytes(e.Name).ToArray()))));
        Assert.Null(ModelFolder.Inspect(to).WhyNot);
        return to;
    }

    public void Dispose() => folder.Dispose();
}
